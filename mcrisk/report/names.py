"""Which stored metric answers which question, and how a metric is called in sentences."""

from __future__ import annotations

ALIASES: dict[str, tuple[str, ...]] = {
    "p_depleted": ("p_fund_depleted",),
    "required_fund_99": ("required_fund_99",),
    "required_fund_999": ("required_fund_999",),
    "es_99": ("es_99_bad_debt",),
    "p_adl": ("p_adl",),
    "adl_wealth_mean": ("adl_wealth_mean",),
    "liquidated_notional_mean": ("liquidated_notional_mean",),
    "latent_deficit_99": ("latent_deficit_99",),
    "winners_haircut_es99": ("winners_haircut_es99",),
    "unpaid_mean": ("unpaid_mean",),
    "mark_index_gap_99": ("mark_index_gap_99",),
}
LABELS = {
    "p_fund_depleted": "P(fund gone)",
    "p_bad_debt": "P(any deficit)",
    "p_adl": "P(ADL)",
    "p_unpaid": "P(unpaid)",
    "required_fund_99": "required fund at 99 %",
    "required_fund_999": "required fund at 99.9 %",
    "es_99_bad_debt": "deficit, ES 99 %",
    "bad_debt_mean": "mean deficit",
    "var_99_bad_debt": "deficit at 99 %",
    "winners_haircut_es99": "winners' haircut, ES 99 %",
    "latent_deficit_99": "latent deficit at 99 %",
    "adl_wealth_mean": "taken by ADL, mean",
    "liquidated_notional_mean": "liquidated, mean",
    "unpaid_mean": "unpaid, mean",
}


DEPLETED = {"fund": "P(fund gone)", "vault": "P(vault gone)", "none": "P(first loss)"}
"""`p_fund_depleted` by what the venue has (`VenueInfo.cushion`): without any cushion it counts the first loss."""


def label(metric: str, cushion: str = "fund") -> str:
    """How a stored metric is called in sentences; a share of open interest says so."""
    if metric.endswith("_of_oi"):
        return f"{label(metric[:-6], cushion)} (of open interest)"
    if metric == "p_fund_depleted":
        return DEPLETED[cushion]
    return LABELS.get(metric, metric.replace("_", " "))


def spoken(name: str) -> str:
    """A name of a configuration (of a scenario, say) in a sentence: 'valuation reset', 'IPO delay'."""
    return " ".join("IPO" if word == "ipo" else word for word in name.split("_"))


def meaning(metric: str, cushion: str) -> str:
    """What a number stands for where its column's title would mislead: a venue without a fund has none to lose."""
    return f"no fund: {DEPLETED[cushion]}" if metric == "p_fund_depleted" and cushion != "fund" else ""
