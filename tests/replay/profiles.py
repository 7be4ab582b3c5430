"""Small venue profiles for the tests of this room: one per index rule, everything else plain."""

from __future__ import annotations

from typing import Any

from mcrisk.config.venue import Venue

_PLAIN_PHASE: dict[str, Any] = {
    "index": {"kind": "impact_ewma"},
    "limits": {"kind": "none"},
    "mark": {"kind": "index_band"},
    "funding": {"kind": "none"},
    "margin": {"mode": "whole", "tiers": [{"initial": 0.2, "maintenance": 0.1}]},
}


def profile(index: dict[str, Any] | None = None, post_index: dict[str, Any] | None = None, **top: Any) -> Venue:
    """A venue with the given index rules; `top` replaces top-level sections."""
    pre = {**_PLAIN_PHASE, **({"index": index} if index else {})}
    post = {**_PLAIN_PHASE, "index": post_index or {"kind": "external", "fallback": "impact_ewma"}}
    return Venue.model_validate(
        {
            "name": "plain",
            "title": "Plain",
            "operator": "Test",
            "contract": {"initial_price": 100.0, "open_interest": 1e6},
            "pre": pre,
            "post": post,
            "liquidation": {"kind": "ioc_then_fund"},
            "fund": {"initial": 0.01},
            "adl": {"trigger": "fund_cannot_take", "rank": "binance", "price": "bankruptcy"},
            "settlement": {"cancellation": [{"price": "mark"}]},
            "index_type": "self_referential",
            "provenance": [
                {
                    "field": "",
                    "source": "test",
                    "date": "2026-11-20",
                    "marker": "assumption",
                    "note": "made up",
                    "assumption": True,
                }
            ],
            **top,
        }
    )
