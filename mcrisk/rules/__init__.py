"""The rulebook: one file per rule, pure functions of one path's scalars; and a calculator in plain floats.

The names below are for people and tests: what a venue's profile makes of one position. `calculator` holds the formulas with
every number as an argument, `position` the same under a profile (`mcrisk.load_venue(NAME)`).
"""

from mcrisk.rules.position import (
    adl_score,
    bankruptcy_price,
    discovery_ladder,
    funding_payment,
    funding_rate,
    initial_margin,
    liquidation_price,
    maintenance_margin,
    price_band,
)

__all__ = [
    "adl_score", "bankruptcy_price", "discovery_ladder", "funding_payment", "funding_rate", "initial_margin",
    "liquidation_price", "maintenance_margin", "price_band",
]
