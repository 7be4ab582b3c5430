"""Which stored metric answers which question: the report's keys and the names a store may use for them."""

from __future__ import annotations

ALIASES: dict[str, tuple[str, ...]] = {
    "p_depleted": ("p_depleted", "p_fund_depleted"),
    "required_fund_99": ("required_fund_99",),
    "required_fund_999": ("required_fund_999",),
    "es_99": ("es_99_bad_debt", "es_99"),
    "p_adl": ("p_adl",),
    "adl_wealth_mean": ("adl_wealth_mean",),
    "liquidated_notional_mean": ("liquidated_notional_mean",),
    "latent_deficit_99": ("latent_deficit_99",),
    "winners_haircut_es99": ("winners_haircut_es99",),
    "cover_two": ("cover_two",),
    "unpaid_mean": ("unpaid_mean",),
    "mark_index_gap_99": ("mark_index_gap_99",),
}
