"""A venue profile for book tests; only margin, contract and the leverage class matter here."""

from __future__ import annotations

from mcrisk.config.venue import Venue


def margin(tiers, mode="whole", by="notional", position_limit=None, isolation="cross_allowed"):
    rows = [{"up_to": up, "initial": im, "maintenance": mm} for up, im, mm in tiers]
    return {"mode": mode, "by": by, "tiers": rows, "position_limit": position_limit, "isolation": isolation}


FIVE_X = [(50_000.0, 0.2, 0.1), (500_000.0, 0.25, 0.125), (None, 0.5, 0.25)]


def venue(margin_table=None, open_interest=10e6, price=500.0, book="max_5x", contract_size=1.0) -> Venue:
    phase = {
        "index": {"kind": "last_trade"},
        "limits": {"kind": "none"},
        "mark": {"kind": "mid_average"},
        "funding": {"kind": "none"},
        "margin": margin_table or margin(FIVE_X),
    }
    return Venue.model_validate(
        {
            "name": "test",
            "title": "Test",
            "operator": "nobody",
            "contract": {"initial_price": price, "open_interest": open_interest, "contract_size": contract_size},
            "pre": phase,
            "post": phase,
            "liquidation": {"kind": "book_then_backstop"},
            "fund": {"initial": 0.01},
            "adl": {"trigger": "negative_equity", "rank": "hyperliquid", "price": "bankruptcy"},
            "settlement": {"cancellation": [{"price": "tick"}]},
            "book": book,
            "index_type": "self_referential",
            "provenance": [{"field": "", "source": "test", "date": "2026-01-01", "marker": "memory"}],
        }
    )
