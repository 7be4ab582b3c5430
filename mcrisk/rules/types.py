"""What every rule sees: one row of market data, one side of the book, the life-cycle codes of a step.

All numbers are scalars of ONE path and ONE market (float64; flags are bool, phases int32). Vectorising over
markets and paths is the engine's business, never a rule's. Money is quote currency, quantities are contracts,
times are seconds.
"""

from __future__ import annotations

from typing import NamedTuple

from jax import Array

PRE, TRANSITION, POST, SETTLED = 0, 1, 2, 3   # phase codes
NO_SETTLE, CANCELLED, EXPIRED = 0, 1, 2       # why a market settles in this step

Scalar = Array


class BookSide(NamedTuple):
    """One side of the order book as a function of the quantity already consumed.

    price(Q) = top · exp(∓ 1 % · (Q/depth)^(power)), best = price(consumed); nothing beyond `total`.
    A replay row has depth = inf (no displacement), consumed = 0 and total = quoted depth / price.
    """

    top: Scalar        # price at zero consumption, half spread included
    consumed: Scalar   # contracts taken and not yet refilled
    depth: Scalar      # contracts that displace the price by 1 %
    power: Scalar      # 1 / shape
    total: Scalar      # contracts there are; inf = unlimited
    refill: Scalar     # contracts that come back within this row's dt (replay: inf); paces inventory unwinding
    turns: Scalar      # how often that happens within dt, at least once (replay: 1): slow sellers may use each turn
    present: Scalar    # bool: is there a quote on this side


class Row(NamedTuple):
    """Everything exogenous to the venue in one step of one market."""

    time: Scalar            # seconds since the start
    utc: Scalar             # seconds since the epoch (funding boundaries)
    dt: Scalar              # seconds since the previous row; 0 in row 0
    last: Scalar
    bid: BookSide           # liquidating longs sell into it
    ask: BookSide           # liquidating shorts buy from it
    impact_bid: Scalar
    impact_ask: Scalar
    has_impact_bid: Scalar  # bool
    has_impact_ask: Scalar  # bool
    external: Scalar        # valuation feed before listing, spot after; last known value when not fresh
    has_external: Scalar    # bool: a fresh value in this row
    trades: Scalar          # number of trades at `last` in this row
    index_factor: Scalar    # 1.0; a feed unit error multiplies the index input by it
    listed: Scalar          # bool, in this row
    converted: Scalar       # bool, in this row
    settle: Scalar          # NO_SETTLE / CANCELLED / EXPIRED, int32
    settle_price: Scalar    # price carried by the event, used where has_settle_price
    has_settle_price: Scalar
    settle_draw: Scalar     # uniform in (0, 1): which cancellation outcome (replay: 0 → the first)
    final_hour: Scalar      # bool: the venue's announced final window before an expiry (narrower limits)
    rebase: Scalar          # ratio; 1.0 = none
    halted: Scalar          # bool: in this row nothing trades and nobody is liquidated
    restrike: Scalar        # bool: the book of accounts is re-struck at this row's mark (simulations)
    averaging: Scalar = 0.0  # seconds of this row within the 3,600 s that end with this market's settlement (any kind of it)


class Market(NamedTuple):
    """What the rules made of a row: the venue's view of one market after step 3 of the model contract."""

    phase: Scalar           # PRE/TRANSITION/POST/SETTLED, int32
    index: Scalar
    mark: Scalar
    previous_mark: Scalar
    lower_limit: Scalar     # 0 and inf where the venue has none
    upper_limit: Scalar
    order_lower: Scalar     # limits on ORDERS (0/inf when only the mark is limited)
    order_upper: Scalar
    mid: Scalar
