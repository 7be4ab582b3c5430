"""Venue profiles in skeleton: rule kinds, whole numbers and flags are fixed here, every float is free.

An engine compiles once per combination of kinds; a dozen skeletons cover every kind in both phases, so a few thousand
generated cases cost a dozen compilations. A float is given as (lowest, highest); a wide range is drawn log-uniformly.
"""

from __future__ import annotations

from typing import Any

Range = tuple[float, float]

HL_FUNDING = {
    "kind": "clamped_premium",
    "interest": (-2e-4, 3e-4),
    "clamp": (1e-4, 1e-3),
    "divisor": (1.0, 8.0),
    "cap": (0.001, 0.01),
}
FLAT = {"kind": "flat", "rate": (-0.002, 0.004), "interval": 14400.0}
HOUR_AGO = {"kind": "previous_interval", "divisor": (1.0, 24.0), "interval": 3600.0, "cap": (0.001, 0.01)}
EXTERNAL = {"kind": "external"}
BASIS = {"kind": "index_basis", "average": (30.0, 600.0)}
OKX_LIMITS = {
    "kind": "okx_limits",
    "x": (0.01, 0.05),
    "y": (0.01, 0.05),
    "z": (0.05, 0.2),
    "opening": 600.0,
    "average": (60.0, 600.0),
}
BOUNDS = {"kind": "discovery_bounds", "bound": (0.05, 0.3), "trigger": (0.7, 0.95)}
MEDIAN3 = {"kind": "median3", "ema": (60.0, 600.0)}
BOOK = {"third": "book_ema", "book_ema": (10.0, 300.0)}
SPEED = {
    "relayer_step": (0.003, 0.02),
    "relayer_interval": (1.0, 5.0),
    "protocol_step": (0.005, 0.02),
    "protocol_interval": (1.0, 5.0),
}
SIMPLE_SETTLEMENT = {"cancellation": "mark"}


def _margin(mode: str, by: str = "notional") -> dict[str, Any]:
    return {"mode": mode, "by": by}


def _adl(trigger: str, rank: str, price: str, **more: Any) -> dict[str, Any]:
    return {"trigger": trigger, "rank": rank, "price": price, **more}


def _skeleton(pre: tuple, post: tuple, **top: Any) -> dict[str, Any]:
    slots = ("index", "limits", "mark", "funding", "margin")
    return {"pre": dict(zip(slots, pre, strict=True)), "post": dict(zip(slots, post, strict=True)), **top}


NONE = {"kind": "none"}
WHOLE, MARGINAL = _margin("whole"), _margin("marginal")

SKELETONS: dict[str, dict[str, Any]] = {
    "kraken": _skeleton(
        (
            {"kind": "smoothed_feed", "ema": (60.0, 3600.0), "max_move_per_minute": (0.005, 0.1)},
            NONE,
            {"kind": "index_band", "band": (0.0025, 0.2)},
            NONE,
            WHOLE,
        ),
        (EXTERNAL, NONE, {**BASIS, "of": "impact_mid", "form": "ema", "band": (0.01, 0.1)}, HOUR_AGO, WHOLE),
        liquidation={
            "kind": "band_then_assignment",
            "band_floor": (0.2, 0.9),
            "cut": (0.05, 0.5),
            "cooldown": (0.0, 120.0),
            "assignment_min_edge": (0.002, 0.01),
            "assignment_max_edge": (0.02, 0.05),
            "assignment_capacity": (0.0, 0.2),
        },
        adl=_adl("fund_cannot_take", "pnl_leverage", "bankruptcy", difference_to="fund"),
        settlement={"cancellation": "last_index", "fee": (0.0, 0.001)},
    ),
    "tradexyz": _skeleton(
        (
            {"kind": "impact_ewma", "tau": (60.0, 3600.0)},
            {**BOUNDS, "max_resets": 3},
            {**MEDIAN3, **SPEED},
            {**HL_FUNDING, "premium": "hip3", "multiplier": (0.005, 1.0)},
            WHOLE,
        ),
        (
            {**EXTERNAL, "fallback": "impact_ewma", "tau": (60.0, 3600.0)},
            {**BOUNDS, "max_resets": 1, "anchor": "external"},
            {**MEDIAN3, **SPEED},
            {**HL_FUNDING, "premium": "hip3", "multiplier": (0.005, 1.0)},
            WHOLE,
        ),
        liquidation={"kind": "book_then_backstop", "partial_above": "size", "cooldown": (1.0, 600.0)},
        adl=_adl("negative_equity", "hyperliquid", "previous_mark", previous_mark_within=(3.0, 120.0)),
        settlement={"cancellation": "twap_from_launch"},
    ),
    "hyperp": _skeleton(
        (
            {"kind": "mark_ewma", "window_minutes": 30, "decay_minutes": (5.0, 60.0), "cap_multiple": (1.1, 4.0)},
            NONE,
            {**MEDIAN3, **BOOK, "cap_over_mark_ema": (1.02, 3.0), "mark_ema": (600.0, 28800.0)},
            {**HL_FUNDING, "premium": "impact", "scales": "premium", "multiplier": (0.01, 1.0)},
            MARGINAL,
        ),
        (EXTERNAL, NONE, {**MEDIAN3, **BOOK}, {**HL_FUNDING, "premium": "impact", "scales": "all"}, MARGINAL),
        liquidation={
            "kind": "book_then_backstop",
            "partial_above": "size",
            "partial_share": (0.1, 0.5),
            "cooldown": (1.0, 600.0),
            "backstop_below": (0.4, 0.9),
            "fee": (0.0, 0.002),
        },
        backstop={"enabled": True, "loss_capacity": (0.0, 0.05)},
        adl=_adl("negative_equity", "hyperliquid_literal", "previous_mark", difference_to="unpaid"),
        settlement={"cancellation": "last_hour_mark", "delisting": "last_hour_index", "deficits": "fund_then_venue"},
    ),
    "okx-futures": _skeleton(
        (
            {"kind": "last_trade", "spot_from": "listed"},
            {"kind": "mid_band", "band": (0.05, 0.3), "average": (60.0, 600.0), "final_band": (0.02, 0.1)},
            {"kind": "mid_to_index", "average": (60.0, 600.0), "transition": (600.0, 7200.0)},
            NONE,
            _margin("whole", "contracts"),
        ),
        (
            EXTERNAL,
            {"kind": "mid_band", "band": (0.05, 0.3)},
            {"kind": "mid_to_index", "average": (60.0, 600.0), "transition": (600.0, 7200.0)},
            NONE,
            _margin("whole", "contracts"),
        ),
        liquidation={"kind": "tier_step_down", "partial_from_tier": 2, "tiers_per_step": 1, "fee": (0.0, 0.002)},
        adl=_adl(
            "fund_drawdown",
            "okx",
            "mark",
            scope="inventory",
            drawdown=(0.02, 0.5),
            drawdown_window=28800.0,
            backlog_age=(60.0, 3600.0),
            backlog_notional="size",
            bankruptcy_price_below=(0.05, 0.9),
        ),
        settlement={
            "cancellation": "tick",
            "fee": (0.0, 0.01),
            "expires_after_listing": (600.0, 7200.0),
            "expiry_price": "last_hour_index",
        },
    ),
    "okx-perp": _skeleton(
        (
            {"kind": "last_trade", "spot_from": "converted"},
            OKX_LIMITS,
            {"kind": "mid_average", "average": (30.0, 600.0)},
            FLAT,
            WHOLE,
        ),
        (
            EXTERNAL,
            OKX_LIMITS,
            {**BASIS, "form": "window", "of": "mid"},
            {**HL_FUNDING, "premium": "mid", "basis": "mark"},
            WHOLE,
        ),
        liquidation={"kind": "tier_step_down", "partial_from_tier": 3, "tiers_per_step": 2, "fee": (0.0, 0.002)},
        adl=_adl("fund_drawdown", "okx", "mark", scope="inventory", drawdown=(0.02, 0.5)),
        settlement={"cancellation": "last_hour_index", "fee": (0.0, 0.01)},
    ),
    "binance": _skeleton(
        (
            {"kind": "last_trade"},
            NONE,
            {
                "kind": "trade_mean",
                "window": (5.0, 120.0),
                "sparse_below": 21,
                "sparse_last": 20,
                "max_change_per_second": (0.0005, 0.01),
            },
            FLAT,
            MARGINAL,
        ),
        (
            EXTERNAL,
            NONE,
            {
                "kind": "median_premium",
                "average": (30.0, 600.0),
                "band": (0.02, 0.1),
                "max_change_per_second": (0.001, 0.01),
            },
            {**HL_FUNDING, "premium": "mid", "basis": "mark"},
            MARGINAL,
        ),
        liquidation={"kind": "ioc_then_fund", "fund_takes_up_to": (0.2, 5.0), "clearance_fee": (0.0, 0.01)},
        adl=_adl("fund_cannot_take", "binance", "bankruptcy"),
        settlement={"cancellation": "last_hour_mark"},
    ),
    "ventuals": _skeleton(
        (
            {"kind": "blend", "external_weight": (0.2, 0.8), "ema": (600.0, 28800.0)},
            {**BOUNDS, "max_resets": 0, "anchor": "external", "limits_orders": False},
            {
                "kind": "index_basis",
                "average": (30.0, 600.0),
                "form": "window",
                "of": "impact_mid",
                "band": (0.02, 0.2),
            },
            HOUR_AGO,
            WHOLE,
        ),
        (
            EXTERNAL,
            {**BOUNDS, "max_resets": 2, "anchor": "external", "oracle_stops_at_cap": False},
            {**MEDIAN3, "bound_first": False, **SPEED},
            HOUR_AGO,
            WHOLE,
        ),
        liquidation={"kind": "book_then_backstop", "partial_above": "size", "floor": "none", "fee": (0.0, 0.002)},
        adl=_adl("negative_equity", "hyperliquid", "mark", difference_to="fund", bankruptcy_price_below=(0.0, 0.5)),
        settlement={"cancellation": "mark"},
    ),
    "once": _skeleton(
        (
            {**EXTERNAL, "fallback": "impact_ewma", "tau": (60.0, 3600.0)},
            {
                **BOUNDS,
                "max_resets": 1,
                "repeat_within_row": False,
                "oracle_stops_at_cap": False,
                "limits_orders": False,
            },
            {**MEDIAN3, "bound_first": False, "protocol_step": (0.005, 0.02)},
            {**HL_FUNDING, "premium": "impact", "basis": "mark", "multiplier": (0.1, 1.0)},
            MARGINAL,
        ),
        (
            EXTERNAL,
            {**OKX_LIMITS, "premium_of": "last", "limits_orders": False},
            {"kind": "mid_average", "average": (30.0, 600.0)},
            {**HL_FUNDING, "premium": "impact", "basis": "oracle", "multiplier": (0.1, 1.0)},
            MARGINAL,
        ),
        liquidation={
            "kind": "tier_step_down",
            "partial_from_tier": 2,
            "tiers_per_step": 1,
            "repeat_within_row": False,
            "fee": (0.0, 0.002),
        },
        adl=_adl(
            "fund_drawdown",
            "pnl_leverage",
            "bankruptcy",
            scope="inventory",
            drawdown=(0.02, 0.3),
            drawdown_of="average",
            drawdown_floor=(0.0, 2000.0),
            drawdown_window=(600.0, 7200.0),
        ),
        settlement={"cancellation": "mark", "expires_after_listing": (600.0, 7200.0), "expiry_price": "last_hour_last"},
    ),
    "account": _skeleton(
        (
            {"kind": "last_trade"},
            {"kind": "mid_band", "band": (0.05, 0.3)},
            {"kind": "mid_average", "average": (30.0, 600.0)},
            FLAT,
            MARGINAL,
        ),
        (
            {"kind": "impact_ewma", "tau": (60.0, 3600.0)},
            {**BOUNDS, "max_resets": 2},
            {"kind": "index_band", "band": (0.01, 0.2)},
            {**HL_FUNDING, "premium": "impact", "scales": "premium"},
            MARGINAL,
        ),
        liquidation={"kind": "ioc_then_fund", "fund_takes_up_to": (0.0, 2.0), "stops_when_compliant": False},
        adl=_adl("fund_empty", "okx", "mark", difference_to="unpaid", bankruptcy_price_below=(0.0, 0.5)),
        settlement={"cancellation": "tick", "expires_after_listing": (600.0, 7200.0), "expiry_price": "index"},
    ),
    "winners": _skeleton(
        (
            {"kind": "last_trade"},
            NONE,
            {
                "kind": "trade_mean",
                "window": (5.0, 600.0),
                "sparse_below": 5,
                "sparse_last": 4,
                "max_change_per_second": (0.01, 0.5),
            },
            FLAT,
            WHOLE,
        ),
        (EXTERNAL, NONE, {"kind": "index_band", "band": (0.01, 0.2)}, FLAT, WHOLE),
        liquidation={
            "kind": "band_then_assignment",
            "band_floor": (0.2, 0.9),
            "cut": (0.05, 0.5),
            "assignment_capacity": (0.0, 0.5),
        },
        adl=_adl("fund_cannot_take", "binance", "mark", bankruptcy_price_below=(0.0, 0.5)),
        settlement={"cancellation": "tick"},
    ),
}
