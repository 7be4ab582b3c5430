"""Where sources contradict each other: each reading is a value of a profile field, and one is shipped.

A reading can be asked for with `--set KEY=VALUE` on a replay or `--set venues.NAME.KEY=VALUE` on a run.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Reading(NamedTuple):
    """A conflict between sources: `venues` it concerns, the field, the shipped value, the other readings, who says what."""

    topic: str
    venues: tuple[str, ...]
    key: str
    shipped: Any
    others: tuple[Any, ...]
    sources: str


HL = ("hyperliquid-hyperp", "tradexyz-ipop")
READINGS = (
    Reading("ADL rank of shorts", HL, "adl.rank", "hyperliquid", ("hyperliquid_literal",),
            "prose ranks by profit and leverage; the formula mark/entry, read literally, puts less profitable shorts first"),
    Reading("liquidation fee", HL, "liquidation.fee", 0.0, (0.001, 0.002),
            "Hyperliquid documents: no clearance fee; arXiv 2512.01112 quotes 20 and 10 bp"),
    Reading("sparse trades in the mark", ("binance-premarket",), "pre.mark.sparse_last", 20, (100,),
            "notice of August 2025: last 20; notice of May 2025: last 100"),
    Reading("sparse trades: threshold", ("binance-premarket",), "pre.mark.sparse_below", 21, (41,),
            "a third reading: 20 s window, fewer than 41 trades, last 40"),
    Reading("assignment edge", ("kraken-preipo",), "liquidation.assignment_min_edge", 0.0075, (0.005, 0.01),
            "assignment guide 75 bp; older liquidity-pool page 0.5 %; others 1 %"),
    Reading("expiry price", ("okx-prelaunch-futures",), "settlement.expiry_price", "last_hour_index", ("last_hour_last",),
            "seed 003: mean of the index; FAQ of September 2024: mean of last trades"),
    Reading("window of the mean premium in price limits", ("okx-premarket-perp", "okx-preipo-perp"), "pre.limits.average", 120.0,
            (300.0, 600.0), "current text 2 minutes, older texts 5 and 10"),
    Reading("what the premium is of", ("okx-premarket-perp", "okx-preipo-perp"), "pre.limits.premium_of", "mid", ("last",),
            "price − index, the price not named"),
    Reading("funding clamp", ("tradexyz-ipop",), "pre.funding.clamp", 5e-4, (3e-4,),
            "documents ±5 bp; a third party's fit of payments ±3 bp"),
    Reading("what the pre-listing multiplier scales", HL, "pre.funding.scales", "all", ("premium",),
            "seed 001: the funding multiplier; Hyperliquid: the premium samples"),
    Reading("bound against protocol speed limit", ("tradexyz-ipop",), "pre.mark.bound_first", True, (False,),
            "order of the two not stated"),
    Reading("re-anchoring within one row", ("tradexyz-ipop",), "pre.limits.repeat_within_row", True, (False,),
            "several resets in one step not described"),
    Reading("oracle at the hard cap", ("tradexyz-ipop",), "pre.limits.oracle_stops_at_cap", True, (False,),
            "step 8 of the documents against its summary"),
    Reading("partial liquidation within a row", ("okx-premarket-perp",), "liquidation.repeat_within_row", True, (False,),
            "repeated reductions, pace not stated"),
    Reading("who pays settlement deficits", HL + ("kraken-preipo",), "settlement.deficits", "fund_then_profit_cut",
            ("fund_then_venue",), "not documented"),
    Reading("who is above maintenance after the order", ("binance-premarket", "binance-preipo"), "liquidation.stops_when_compliant",
            True, (False,), "liquidation protocols: keeps the rest; short descriptions: order, then fund, then ADL"),
    Reading("fund's drawdown", ("okx-premarket-perp",), "adl.drawdown_of", "peak", ("average",),
            "official: 30 % from the peak of 8 h; a restatement: 30 % below the mean of 8 h, at least 50,000"),
)

OUTSIDE = (
    ("Bybit's trigger", "the rule says '<', its second example triggers at −0.30 exactly",
     "`rules.literature.bybit_adl(inclusive=…)`; no profile"),
    ("Kraken's margin on current value", "only value at the current mark reproduces the official 7481 (W-KR-1)",
     "no option: the other reading is contradicted by the example"),
    ("OKX's tiers", "rate of the reached tier on the whole position, no deduction (from memory); others deduct",
     "`margin.mode: whole` or `marginal`, for both phases together"),
    ("cool-down of 30 s", "whether an order exactly 30 s after a partial one is partial again is not said",
     "no: the cool-down includes its end (W-HL-7, “within 30 s”)"),
    ("trade.xyz's relayer", "±50 bp a tick limits what is published, or the components before the median",
     "`pre.mark.relayer_step` limits the median"),
    ("OKX at a margin ratio of exactly 100 %", "the pages say ≤ 100 %; rounding decides there",
     "liquidated below, not at, maintenance"),
    ("OKX's first ten minutes", "of a new contract; whether they start anew at conversion is not said",
     "`post.limits.opening`, from conversion"),
    ("Binance's mean premium", "5,760 samples weighted by time: equally, or the later the heavier",
     "equally, by the seconds they stand for"),
    ("sign of funding in arXiv 2512.01112", "γ < 0 means longs pay, opposite to exchanges", "`rules.literature.paper_step`"),
    ("what ADL costs", "contract notional and wealth taken are different numbers",
     "both are recorded: `adl_notional`, `adl_wealth`"),
)  # fmt: skip
