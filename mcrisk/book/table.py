"""The book of accounts as flat arrays: what the engine reads and what files and generators make."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mcrisk.errors import InputError

ISOLATED, CROSS = 0, 1
MARGIN_MODES = ("isolated", "cross")  # position = code
TRADER, HEDGER, MAKER, HOUSE = "trader", "hedger", "maker", "house"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Book:
    """A accounts by M markets of one venue. Quantities are signed, in units of the underlying; money is quote.

    An isolated account has a position in at most one market; a cross account may have one in each. `depth_share` is
    the part of a market's depth that goes with a maker, in every market where it has a position.
    `notes` says what reading or generating had to decide.
    """

    account_id: NDArray[np.str_]  # [A]
    quantity: FloatArray  # [A, M]
    entry_price: FloatArray  # [A, M], > 0 also where the quantity is 0
    collateral: FloatArray  # [A], >= 0
    margin_mode: NDArray[np.int8]  # [A], ISOLATED or CROSS
    user_class: NDArray[np.str_]  # [A]
    depth_share: FloatArray  # [A]
    markets: tuple[str, ...]  # [M]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        accounts, markets = len(self.account_id), len(self.markets)
        shapes = {
            "quantity": (accounts, markets),
            "entry_price": (accounts, markets),
            "collateral": (accounts,),
            "margin_mode": (accounts,),
            "user_class": (accounts,),
            "depth_share": (accounts,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")

    def __len__(self) -> int:
        return len(self.account_id)

    def imbalance(self) -> FloatArray:
        """Long minus short quantity over one-sided quantity, per market [M]."""
        longs, shorts = np.maximum(self.quantity, 0).sum(0), np.maximum(-self.quantity, 0).sum(0)
        one_sided = np.maximum(np.maximum(longs, shorts), np.finfo(float).tiny)
        return (longs - shorts) / one_sided

    def one_sided_open_interest(self, mark: FloatArray | float) -> FloatArray:
        """Notional of one side at `mark` (scalar or [M]) in quote, per market [M]: half of Σ|quantity|·mark."""
        return 0.5 * np.abs(self.quantity).sum(0) * np.broadcast_to(mark, (len(self.markets),))

    def equity(self, mark: FloatArray | float) -> FloatArray:
        """Collateral plus unrealised profit at `mark` (scalar or [M]), in quote, per account [A]."""
        return self.collateral + (self.quantity * (np.asarray(mark, float) - self.entry_price)).sum(1)

    def notional(self, mark: FloatArray | float) -> FloatArray:
        """Σ over markets of |quantity|·mark, in quote, per account [A]."""
        return (np.abs(self.quantity) * np.asarray(mark, float)).sum(1)

    def with_house(self, account: str, mark: FloatArray) -> Book:
        """The same book plus one account that takes the difference of every market at `mark` [M].

        It is margined across markets and funded with ten times its notional, so that it is a counterparty and never a
        casualty. A balanced book is returned as it is. Raises InputError when `account` is already in the book.
        """
        gap = -self.quantity.sum(0)
        if not np.any(gap):
            return self
        if account in self.account_id:
            raise InputError(f"house account '{account}' is an account of the book", remedy="choose another name")
        mark = np.broadcast_to(np.asarray(mark, float), gap.shape)

        def extended(column: np.ndarray, value: object) -> np.ndarray:
            return np.concatenate([column, np.array([value], dtype=None if isinstance(value, str) else column.dtype)])

        return Book(
            extended(self.account_id, account),
            np.vstack([self.quantity, gap]),
            np.vstack([self.entry_price, mark]),
            extended(self.collateral, 10.0 * float(np.sum(np.abs(gap) * mark))),
            extended(self.margin_mode, CROSS),
            extended(self.user_class, HOUSE),
            extended(self.depth_share, 0.0),
            self.markets,
            self.notes
            + (f"house account '{account}' takes {', '.join(f'{q:+.6g} {m}' for q, m in zip(gap, self.markets))}",),
        )

    def to_table(self) -> pd.DataFrame:
        """Long table as in design.md 3.6, one row per account and market held, in account order.

        Collateral stands in the first row of an account and is 0 in its further ones, so that it sums to the book's.
        """
        accounts, markets = np.nonzero(self.quantity)
        first = np.r_[True, accounts[1:] != accounts[:-1]] if len(accounts) else np.zeros(0, bool)
        return pd.DataFrame(
            {
                "account_id": self.account_id[accounts],
                "market": np.asarray(self.markets, dtype=object)[markets],
                "quantity": self.quantity[accounts, markets],
                "entry_price": self.entry_price[accounts, markets],
                "collateral": np.where(first, self.collateral[accounts], 0.0),
                "margin_mode": np.asarray(MARGIN_MODES, dtype=object)[self.margin_mode[accounts]],
                "user_class": self.user_class[accounts],
            }
        )


@dataclass(frozen=True)
class Concentration:
    """How unequal account sizes are: shares of total |notional| held by the largest, and the Gini coefficient."""

    accounts: int
    top_10: float
    top_100: float
    top_1000: float
    gini: float


def concentration(notional: FloatArray) -> Concentration:
    """Statistics of account notionals [A] >= 0 (zeros are left out).

    The Gini coefficient is Σ (2i − n − 1)·x_i / (n·Σx) over ascending x.
    """
    sizes = np.sort(notional[notional > 0])
    n, total = len(sizes), sizes.sum()
    if n == 0:
        return Concentration(0, np.nan, np.nan, np.nan, np.nan)
    top = [float(sizes[-k:].sum() / total) for k in (10, 100, 1000)]
    gini = float(((2 * np.arange(1, n + 1) - n - 1) * sizes).sum() / (n * total))
    return Concentration(n, *top, gini)
