"""Make realistic books: heavy-tailed sizes, leverage by open interest, a long crowd against makers and hedgers.

The same seed gives the same people on every venue: who is larger, who is long first, who hedges, who trades boldly.
The venue decides open interest, price, margin tiers and position limits. Order of work: who holds which market on
which side (`_places`), how much (`sizes.fill`), at which leverage (`leverage.prefer`), how much of it the tiers admit
at that leverage (`sizes.refill`), how leverage answers other requirements (`response`), from which entry price
(`_entries`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mcrisk.book import leverage, response, sizes, tiers
from mcrisk.book.draws import normals, uniforms
from mcrisk.book.table import CROSS, HEDGER, ISOLATED, MAKER, TRADER, Book
from mcrisk.config.book import BookSpec, CompanyKind
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError

Array = NDArray[np.float64]
_SIZE, _SIDE, _HEDGE, _ENTRY = range(4)  # columns of a market's draws
_CROSS, _BAND, _WITHIN = range(3)  # columns of the people's draws
_MIX_TOLERANCE = 0.02  # of open interest, before a note is made


@dataclass
class _Draft:
    """A book being made: [A, M] arrays unless noted."""

    markets: tuple[str, ...]
    venues: tuple[Venue, ...]  # [M]
    mark: Array  # [M]
    people: Array  # [A, 3] uniforms
    draws: Array  # [M, A, 4] uniforms
    maker: NDArray[np.bool_]  # [A]
    home: NDArray[np.int64]  # [A]
    cross: NDArray[np.bool_]  # [A]
    held: NDArray[np.bool_]
    side: Array  # +1, −1, 0
    hedger: NDArray[np.bool_]
    notional: Array
    weight: Array  # relative size before any limit
    cap: Array  # largest notional of a trader
    notes: list[str] = field(default_factory=list)


def generate(
    spec: BookSpec,
    venue: Venue | Sequence[Venue],
    markets: Sequence[str],
    seed: int,
    company_kind: CompanyKind | Sequence[CompanyKind] | None = None,
) -> Book:
    """A balanced book of `spec.accounts` accounts over `markets` of one venue.

    Args:
        venue: the profile of every market, or one per market (variants of a venue).
        markets: names; part of the random key, so that a market has the same people on every venue.
        company_kind: overrides `spec.company_kind` (share of hedged shorts); one, or one per market.

    Per market, one-sided open interest is the venue's, unless position limits leave no room for it (then `notes` says
    so); quantities net to zero within rounding; nobody is above a position limit or below initial margin.

    Raises:
        InputError: no markets, repeated names, too few accounts, unknown leverage mix; positions observed under other
            margin requirements (`spec.response`) that this venue's limits do not admit.
    """
    venues = (venue,) * len(markets) if isinstance(venue, Venue) else tuple(venue)
    draft = _people(spec, response.observed(spec, venues), tuple(markets), seed)
    kinds = company_kind or spec.company_kind
    for m in range(len(draft.markets)):
        _places(draft, spec, m, kinds if isinstance(kinds, str) else kinds[m])
    bands = [leverage.bands_of(spec, v) for v in draft.venues]
    fixed = _fixed_leverage(draft, spec)
    band, wanted = _preferences(draft, bands, fixed)
    for m in range(len(draft.markets)):
        _within_tiers(draft, m, band, wanted, np.isnan(fixed))
    effective = np.minimum(wanted, response.largest_leverage(draft.venues, draft.notional))
    _say_what_was_reached(draft, bands, effective)
    effective = response.answer(spec, venues, draft.notional, effective, np.isnan(fixed))
    return _book(draft, spec, effective)


def _people(spec: BookSpec, venues: tuple[Venue, ...], markets: tuple[str, ...], seed: int) -> _Draft:
    """Who there is, makers first, and which markets each one holds."""
    if not markets or len(set(markets)) != len(markets):
        raise InputError("markets must be named, each once", where="markets", why=f"got {list(markets)}")
    if len(venues) != len(markets):
        raise InputError(f"{len(venues)} venue profiles for {len(markets)} markets")
    count, several = spec.accounts, len(markets)
    may_cross = several > 1 and all(v.pre.margin.isolation == "cross_allowed" for v in venues)
    desks = spec.makers.accounts * (1 if may_cross else several)
    if count < desks + 2 * several:
        raise InputError(
            f"{count} accounts are too few for {several} markets with {desks} market makers",
            where="book.accounts",
            remedy=f"ask for at least {desks + 2 * several}",
        )
    people = uniforms(seed, spec.seed_purpose, "people", count, 3)
    maker = np.arange(count) < desks
    traders = np.arange(count) - desks
    home = np.where(maker, np.arange(count) % several, traders % several)  # every market gets its share of people
    cross = may_cross & (maker | (people[:, _CROSS] < spec.cross.share_of_accounts))
    reach = np.where(cross, np.where(maker, several, min(spec.cross.markets_per_account, several)), 1)
    held = (np.arange(several)[None, :] - home[:, None]) % several < reach[:, None]
    shape = (count, several)
    return _Draft(
        markets,
        venues,
        np.array([v.contract.initial_price for v in venues]),
        people,
        np.stack([uniforms(seed, spec.seed_purpose, f"market {name}", count, 4) for name in markets]),
        maker,
        home,
        cross,
        held,
        np.zeros(shape),
        np.zeros(shape, bool),
        *np.zeros((3, *shape)),
    )


# ---------------------------------------------------------------- sides and sizes of one market
def _places(draft: _Draft, spec: BookSpec, m: int, kind: CompanyKind) -> None:
    """Sides, hedgers and notionals of market m, written into the draft."""
    venue, draws = draft.venues[m], draft.draws[m]
    makers = np.flatnonzero(draft.held[:, m] & draft.maker)  # the first of them are long
    traders = np.flatnonzero(draft.held[:, m] & ~draft.maker)
    limit = tiers.largest_notional(venue.pre.margin, venue.contract.initial_price, venue.contract.contract_size)
    limit *= 1 - 1e-12  # so that notional → quantity → notional does not round above it
    wanted = venue.contract.open_interest
    long_desks = int(round(spec.makers.long_share * len(makers)))
    desks = np.array([long_desks, len(makers) - long_desks])
    desk, longs, interest = _room(spec, len(traders), desks, wanted, limit)
    if interest < wanted * (1 - 1e-12):
        draft.notes.append(
            f"market '{draft.markets[m]}': position limits of {limit:g} admit an open interest of"
            f" {interest:g}, not {wanted:g}"
        )
    order = traders[np.argsort(draws[traders, _SIDE], kind="stable")]
    draft.side[order[:longs], m], draft.side[order[longs:], m] = 1.0, -1.0
    draft.side[makers[:long_desks], m], draft.side[makers[long_desks:], m] = 1.0, -1.0
    draft.notional[makers, m] = desk

    draft.weight[:, m] = np.exp(spec.size.sigma * normals(draws[:, _SIZE]))
    cap = min(limit, interest * max(spec.size.max_share_of_side, 1.5 / min(longs, len(traders) - longs)))
    _fill_longs(draft, m, order[:longs], interest - desk * desks[0], cap, limit)
    _fill_shorts(draft, spec, m, order[longs:], interest, interest - desk * desks[1], (cap, limit), kind)


def _room(spec: BookSpec, traders: int, desks: NDArray, wanted: float, limit: float) -> tuple[float, int, float]:
    """Notional per maker, number of long traders, and the open interest that position limits admit.

    Makers hold a share of the open interest and add to what the market can carry: solved by iterating downwards from
    `wanted`, where each round shrinks the error by the makers' share.
    """
    interest = wanted
    for _ in range(100):
        desk = min(
            spec.makers.share_of_oi * interest / max(desks.sum(), 1), limit * spec.makers.position_limit_multiple
        )
        longs, reached = sizes.split(
            traders, spec.accounts_long_share, wanted, tuple(desk * desks), limit * spec.limit_fill
        )
        if reached >= interest * (1 - 1e-15):
            break
        interest = reached
    return desk, longs, interest


def _fill_longs(draft: _Draft, m: int, who: NDArray, total: float, cap: float, limit: float) -> None:
    draft.cap[who, m] = min(limit, max(cap, 1.5 * total / len(who)))
    draft.notional[who, m] = sizes.fill(draft.weight[who, m], total, draft.cap[who, m])


def _fill_shorts(
    draft: _Draft,
    spec: BookSpec,
    m: int,
    who: NDArray,
    interest: float,
    total: float,
    caps: tuple[float, float],
    kind: CompanyKind,
) -> None:
    """Hedgers hold their share of the side, the other shorts what is left; a full group passes its excess on."""
    share = getattr(spec.hedged_shorts, kind)
    count = min(max(int(round(share * len(who))), 1 if share > 0 else 0), len(who) - 1)
    hedgers = who[np.argsort(draft.draws[m][who, _HEDGE], kind="stable")[:count]]
    others = np.setdiff1d(who, hedgers, assume_unique=True)
    cap = min(caps[1], max(caps[0], 1.5 * total / len(who)))
    hedged = min(share * interest, total, cap * len(hedgers))
    hedged = max(hedged, total - cap * len(others)) if len(hedgers) else 0.0
    draft.hedger[hedgers, m], draft.cap[who, m] = True, cap
    for group, amount in ((hedgers, hedged), (others, total - hedged)):
        if len(group):
            draft.notional[group, m] = sizes.fill(draft.weight[group, m], amount, cap)


# ---------------------------------------------------------------- leverage, collateral, entries
def _fixed_leverage(draft: _Draft, spec: BookSpec) -> Array:
    """Leverage of makers and hedgers [A]; NaN for whoever chooses. A hedger is one whose every position is a hedge."""
    held = draft.notional > 0
    hedger = np.all(~held | draft.hedger, axis=1) & held.any(1)
    return np.where(draft.maker, spec.makers.leverage, np.where(hedger, spec.hedged_shorts.leverage, np.nan))


def _preferences(draft: _Draft, bands: list[leverage.Bands], fixed: Array) -> tuple[NDArray[np.int64], Array]:
    """Leverage band and leverage wanted by every account [A], by the mix of its home market."""
    total, band, wanted = draft.notional.sum(1), np.zeros(len(fixed), np.int64), fixed.copy()
    for m, table in enumerate(bands):
        mine = draft.home == m
        band[mine] = leverage.prefer(table, total[mine], fixed[mine], draft.people[mine, _BAND])
        free = mine & np.isnan(fixed)
        wanted[free] = leverage.draw(table, band[free], draft.people[free, _WITHIN])
    return band, wanted


def _within_tiers(draft: _Draft, m: int, band: NDArray[np.int64], wanted: Array, chooses: NDArray[np.bool_]) -> None:
    """Positions of market m again, no larger than the tiers admit at the leverage their owners want."""
    admitted = leverage.admitted(draft.venues[m], wanted)
    for side in (1.0, -1.0):
        who = np.flatnonzero(chooses & (draft.side[:, m] == side) & ~draft.hedger[:, m])
        if who.size:
            draft.notional[who, m] = sizes.refill(
                draft.weight[who, m], draft.notional[who, m], band[who], admitted[who], draft.cap[who, m]
            )


def _say_what_was_reached(draft: _Draft, bands: list[leverage.Bands], effective: Array) -> None:
    """Notes the leverage mixes that the tiers left out of reach."""
    total = draft.notional.sum(1)
    for m, table in enumerate(bands):
        mine = draft.home == m
        share = leverage.reached(table, total[mine], effective[mine])
        if np.abs(share - table.share).max() > _MIX_TOLERANCE:
            got, asked = ("/".join(f"{x:.0%}" for x in shares) for shares in (share, table.share))
            draft.notes.append(
                f"market '{draft.markets[m]}': open interest per leverage band is {got}, not {asked}: more"
                f" is not to be had from {mine.sum()} accounts under this venue's margin tiers"
            )


def _book(draft: _Draft, spec: BookSpec, effective: Array) -> Book:
    equity = draft.notional.sum(1) / effective
    quantity = draft.side * draft.notional / draft.mark
    longs, shorts = np.maximum(quantity, 0).sum(0), np.maximum(-quantity, 0).sum(0)
    quantity = np.where(quantity < 0, quantity * (longs / shorts), quantity)  # rounding of the two fills
    entry, profit = _entries(draft, spec, quantity, equity)
    held = draft.notional > 0
    hedger = np.all(~held | draft.hedger, axis=1) & ~draft.maker
    user_class = np.where(draft.maker, MAKER, np.where(hedger, HEDGER, TRADER))
    desks = max(spec.makers.accounts, 1)
    names = [f"maker-{i + 1}" if is_maker else f"a{i + 1:07d}" for i, is_maker in enumerate(draft.maker)]
    return Book(
        np.array(names),
        quantity,
        entry,
        equity - profit,
        np.where(draft.cross, CROSS, ISOLATED).astype(np.int8),
        user_class,
        np.where(draft.maker, spec.makers.depth_share / desks, 0.0),
        draft.markets,
        tuple(draft.notes),
    )


def _entries(draft: _Draft, spec: BookSpec, quantity: Array, equity: Array) -> tuple[Array, Array]:
    """Entry prices [A, M] and unrealised profit [A]; profit beyond (1 − floor)·equity counts as withdrawn.

    Then the account's gains are scaled down by moving the entries of its winning positions towards the mark.
    """
    z = normals(draft.draws[:, :, _ENTRY]).T
    entry = draft.mark * np.exp(-draft.side * spec.entry_sd * z)
    profit = quantity * (draft.mark - entry)
    gains, losses = np.maximum(profit, 0).sum(1), np.minimum(profit, 0).sum(1)
    admitted = (1.0 - spec.collateral_floor) * equity - losses
    scale = (admitted / np.maximum(gains, admitted))[:, None]  # admitted > 0: equity is, losses are not
    entry = np.where(profit > 0, draft.mark + (entry - draft.mark) * scale, entry)
    return entry, (quantity * (draft.mark - entry)).sum(1)
