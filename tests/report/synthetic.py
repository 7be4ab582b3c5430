"""A made-up but plausible finished store, so that the report can be built and looked at without a simulation."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

VENUES = (
    "kraken-preipo",
    "tradexyz-ipop",
    "hyperliquid-hyperp",
    "okx-prelaunch-futures",
    "okx-premarket-perp",
    "okx-preipo-perp",
    "binance-premarket",
    "binance-preipo",
)
SCENARIOS = ("baseline", "ipo_delay", "valuation_reset", "cancellation", "feed_error", "squeeze", "combined")
OPEN_INTEREST = dict(zip(VENUES, (10e6, 50e6, 50e6, 5e6, 30e6, 40e6, 30e6, 50e6)))
FUND_SHARE = dict(zip(VENUES, (0.010, 0.0, 0.0, 0.013, 0.013, 0.010, 0.010, 0.010)))
BACKSTOP_SHARE = {"hyperliquid-hyperp": 0.01}
SEVERITY = dict(zip(SCENARIOS, (0.02, 0.10, 0.75, 0.85, 0.30, 0.35, 0.12)))
TYPICAL = dict(zip(SCENARIOS, (0.001, 0.002, 0.012, 0.030, 0.004, 0.005, 0.008)))
QUANTILES = (0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
METRICS = (
    "p_fund_depleted",
    "required_fund_99",
    "required_fund_999",
    "var_99_bad_debt",
    "es_99_bad_debt",
    "p_adl",
    "adl_notional_mean",
    "adl_wealth_mean",
    "liquidated_notional_mean",
    "liquidated_accounts_mean",
    "latent_deficit_99",
    "winners_haircut_es99",
    "cover_two",
    "mark_index_gap_99",
    "unpaid_mean",
    "p_unpaid",
)


def band_times() -> np.ndarray:
    """The common clock around the event: fine near it, 48 hours after it at the end (seconds)."""
    before = -np.array([3600.0, 1800.0, 600.0, 120.0, 10.0])
    after = np.concatenate([[0.0, 5.0, 15.0, 30.0], np.geomspace(60.0, 172_800.0, 40)])
    return np.concatenate([before, after])


def _paths(rng: np.random.Generator, venue: str, scenario: str, n: int) -> dict[str, np.ndarray]:
    """Per-path summaries of one cell whose payers add up to the bad debt."""
    oi, fund = OPEN_INTEREST[venue], FUND_SHARE[venue] * OPEN_INTEREST[venue]
    backstop_cap = BACKSTOP_SHARE.get(venue, 0.0) * oi
    hit = rng.random(n) < SEVERITY[scenario]
    deficit = np.where(hit, oi * TYPICAL[scenario] * rng.lognormal(0.0, 1.3, n), 0.0)
    deficit = np.minimum(deficit, 0.45 * oi)
    backstop = np.minimum(deficit, backstop_cap)
    fund_loss = np.minimum(deficit - backstop, fund)
    left = deficit - backstop - fund_loss
    cut = 0.2 * left if scenario == "cancellation" else 0.0 * left
    unpaid = 0.02 * left
    adl = left - cut - unpaid
    liquidated = np.where(hit, oi * np.minimum(0.95, 0.08 + 8 * deficit / oi), oi * 0.02 * rng.random(n))
    first = np.where(hit, 12 * 86400 + rng.lognormal(8.0 if venue.startswith("kraken") else 5.5, 1.1, n), np.nan)
    latent = deficit * (2.4 if venue.startswith("kraken") else 0.25)
    nan = np.full(n, np.nan)
    return {
        "fund_initial": np.full(n, fund),
        "fund_min": fund - fund_loss,
        "fund_end": fund - fund_loss,
        "fund_loss": fund_loss,
        "bad_debt": deficit,
        "unpaid": unpaid,
        "backstop_loss": backstop,
        "traders_loss": 0.18 * liquidated,
        "liquidated_notional": liquidated,
        "liquidated_accounts": np.round(600 * liquidated / oi),
        "adl_notional": 6 * adl,
        "adl_wealth": adl,
        "adl_accounts": np.round(40 * (adl > 0)),
        "settlement_cut": cut,
        "winners_profit": 0.3 * oi * np.where(hit, 1.0, 0.1),
        "first_liquidation_time": first,
        "first_adl_time": np.where(adl > 0, first + 120, np.nan),
        "depletion_time": np.where((fund_loss >= fund) & (deficit > 0), first + 300, np.nan),
        "event_time": nan if scenario == "baseline" else np.full(n, 12 * 86400.0),
        "event_label": rng.integers(0, 2, n).astype(float),
        "latent_deficit": latent,
        "deficit_48h": 0.8 * deficit,
        "mark_index_gap": np.abs(0.0025 if venue.startswith("kraken") else rng.normal(0.02, 0.01, n)) * np.ones(n),
        "terminal_mark": 100 * np.exp(np.where(hit, -0.4, 0.0) + 0.2 * rng.normal(size=n)),
        "fees": 0.0005 * liquidated,
        "conservation_residual": np.abs(rng.normal(0, 1e-14, n)),
    }


def _bands(venue: str, scenario: str, time: np.ndarray) -> dict[str, np.ndarray]:
    """last, index, mark, funding and fund quantiles [time, quantile] with the venue's way of lagging."""
    shock = np.quantile(np.r_[np.linspace(-0.9, -0.15, 50), np.linspace(0.1, 0.7, 50)], QUANTILES)
    shock = shock * {"baseline": 0.02}.get(scenario, 1.0 if scenario in ("valuation_reset", "cancellation") else 0.3)
    t = np.maximum(time, 0.0)[:, None]
    arrived = np.where(time[:, None] >= 0, 1 - 0.4 * 0.5 ** (t / 7200.0), 0.0)
    last = np.exp(shock[None, :] * arrived)
    if venue.startswith("kraken"):
        index = np.exp(shock[None, :] * (1 - np.exp(-np.maximum(t - 1800.0, 0.0) / 600.0)))
        mark = np.clip(last, index * 0.9975, index * 1.0025)
    else:
        overshoot = 1 + 0.25 * np.exp(-((np.log1p(t) - 7.0) ** 2) / 3)
        last = np.exp(shock[None, :] * arrived * overshoot)
        index, mark = last, np.exp(np.log(last) * (1 - np.exp(-t / 45.0)))
    ranks = np.linspace(1, 0, len(QUANTILES))
    fund = (1.0 if FUND_SHARE[venue] else 0.0) - 0.8 * arrived * ranks
    sold = (0.01 + 0.6 * arrived) * np.linspace(0, 1, len(QUANTILES)) * (t + 60.0) / (t + 600.0)
    funding = 1e-3 * np.cumsum(last / index - 1, axis=0)
    return {"last": last, "index": index, "mark": mark, "funding": funding, "fund": fund, "liquidated": sold, "adl": 0.4 * sold}


def _metrics(values: dict[str, np.ndarray], venue: str) -> np.ndarray:
    """[metric, bound] with rough normal intervals; 99.9 % bounds unresolved, as on a small sample."""
    n = len(values["bad_debt"])
    haircut = (values["adl_wealth"] + values["settlement_cut"]) / values["winners_profit"]
    point = {
        "p_fund_depleted": float(np.mean(np.isfinite(values["depletion_time"]))),
        "required_fund_99": float(np.quantile(values["bad_debt"], 0.99)),
        "required_fund_999": float(np.quantile(values["bad_debt"], 0.999)),
        "var_99_bad_debt": float(np.quantile(values["bad_debt"], 0.99)),
        "es_99_bad_debt": float(np.sort(values["bad_debt"])[-max(1, n // 100) :].mean()),
        "p_adl": float(np.mean(values["adl_notional"] > 0)),
        "adl_notional_mean": float(values["adl_notional"].mean()),
        "adl_wealth_mean": float(values["adl_wealth"].mean()),
        "liquidated_notional_mean": float(values["liquidated_notional"].mean()),
        "liquidated_accounts_mean": float(values["liquidated_accounts"].mean()),
        "latent_deficit_99": float(np.quantile(values["latent_deficit"], 0.99)),
        "winners_haircut_es99": float(np.sort(haircut)[-max(1, n // 100) :].mean()),
        "cover_two": 0.013 * OPEN_INTEREST[venue],
        "mark_index_gap_99": float(np.quantile(values["mark_index_gap"], 0.99)),
        "unpaid_mean": float(values["unpaid"].mean()),
        "p_unpaid": float(np.mean(values["unpaid"] > 0)),
    }
    out = np.full((len(METRICS), 3), np.nan)
    for i, name in enumerate(METRICS):
        half = 0.12 * abs(point[name]) + (1.0 / n if name.startswith("p_") else 0.0)
        out[i] = point[name], max(0.0, point[name] - half), point[name] + half
        if name.endswith("999"):
            out[i, 2] = np.nan
    return out


def _config(venues: tuple[str, ...], operator: str) -> dict:
    """A resolved configuration with provenance notes, limits and the people behind the report."""
    note = {
        "field": "fund.initial",
        "source": "defaults.md 7",
        "date": "2026-11-20",
        "marker": "assumption",
        "assumption": True,
        "note": "Usable share of the fund is not published; range 0 to 3 %.",
    }
    found = {
        "field": "pre.mark",
        "source": "venue-rules.md",
        "date": "2026-11-20",
        "marker": "found",
        "assumption": False,
        "note": "",
    }
    return {
        "name": "quickstart",
        "horizon": 2_592_000.0,
        "paths": 512,
        "report": {"owner": "Market risk", "purpose": "Model demonstration", "data_date": "2026-11-20", "approver": ""},
        "venues": [
            {
                "name": v,
                "title": v.replace("-", " ").title(),
                "operator": operator,
                "index_type": "feed_based" if v.startswith("kraken") else "self_referential",
                "contract": {"open_interest": OPEN_INTEREST.get(v, 1e7)},
                "backstop": {"enabled": v in BACKSTOP_SHARE, "loss_capacity": BACKSTOP_SHARE.get(v, 0.0)},
                "fund": {"initial": FUND_SHARE.get(v, 0.01)},
                "provenance": [note, found],
            }
            for v in venues
        ],
        "limits": {},
    }


def synthetic_tree(
    paths: int = 512,
    accounts: int = 40,
    seed: int = 7,
    *,
    venues=VENUES,
    scenarios=SCENARIOS,
    rename: dict[str, str] | None = None,
    operator: str = "Example operator",
    without: tuple[str, ...] = (),
    config: dict | None = None,
    complete: bool = True,
) -> xr.DataTree:
    """The whole store in memory. `rename` swaps venue names for nasty ones; `without` leaves groups out."""
    rng = np.random.default_rng(seed)
    time, shown = band_times(), [(rename or {}).get(v, v) for v in venues]
    cells = {(v, s): _paths(rng, v, s, paths) for v in venues for s in scenarios}

    def stack(make):
        return np.array([[make(v, s) for s in scenarios] for v in venues])

    dims = ("venue", "scenario")
    coords = {"venue": shown, "scenario": list(scenarios)}
    names = list(next(iter(cells.values())))
    path_vars = {n: ((*dims, "path"), stack(lambda v, s: cells[v, s][n])) for n in names}
    groups = {"paths": xr.Dataset(path_vars, coords)}
    groups["paths"]["event_label"].attrs["labels"] = ["down", "up"]
    share = rng.beta(0.7, 3.0, (len(venues), len(scenarios), accounts))
    groups["accounts"] = xr.Dataset(
        {
            "p_liquidated": ((*dims, "account"), share),
            "p_deleveraged": ((*dims, "account"), 0.2 * share[..., ::-1]),
            "pnl_mean": ((*dims, "account"), -1000 * share),
            "pnl_es": ((*dims, "account"), -9000 * share),
            "account_id": (("venue", "account"), np.array([[f"a{i:04d}" for i in range(accounts)]] * len(venues))),
            "leverage": (("venue", "account"), rng.uniform(0.5, 5, (len(venues), accounts))),
            "notional": (("venue", "account"), rng.lognormal(9, 2, (len(venues), accounts))),
            "side": (("venue", "account"), np.where(rng.random((len(venues), accounts)) < 0.7, 1.0, -1.0)),
        },
        coords,
    )
    band_vars = {
        n: ((*dims, "time", "quantile"), stack(lambda v, s: _bands(v, s, time)[n]))
        for n in ("last", "index", "mark", "funding", "fund", "liquidated", "adl")
    }
    groups["bands"] = xr.Dataset(band_vars, {**coords, "time": time, "quantile": list(QUANTILES)})
    groups["bands"]["funding"].attrs["long_name"] = "sum of the funding rates paid since the start of this clock"
    groups["metrics"] = xr.Dataset(
        {"value": ((*dims, "metric", "bound"), stack(lambda v, s: _metrics(cells[v, s], v)))},
        {**coords, "metric": list(METRICS), "bound": ["estimate", "lower", "upper"]},
    )
    groups["break_even"] = _break_even(shown, rng)
    groups["strip"] = _strip(shown, rng)
    root = _root(config or json.dumps(_config(venues, operator)), complete)
    kept = {f"/{k}": v for k, v in groups.items() if k not in without}
    return xr.DataTree.from_dict({"/": root, **kept})


def _root(config: str | dict, complete: bool) -> xr.Dataset:
    """The facts about a run that stand at the top of its store."""
    return xr.Dataset(
        attrs={
            "config": config,
            "complete": complete,
            "fingerprint": "3f9ac2d1e0b74655",
            "seed": 20261120,
            "versions": json.dumps({"mcrisk": "0.1.0", "jax": "0.10.2", "numpy": "2.4.6"}),
            "git_commit": "3fadc94",
            "hardware": "2 CPU cores, 8 GiB",
            "timings": json.dumps({"wall_seconds": 214.0, "compile_seconds": 31.0}),
        }
    )


def _break_even(venues: list[str], rng: np.random.Generator) -> xr.Dataset:
    """Smallest jumps down and up that empty the fund; one bound left unresolved."""
    down = -rng.uniform(0.15, 0.5, len(venues))
    up = rng.uniform(0.2, 0.6, len(venues))
    point = np.stack([down, up], axis=1)
    upper = point + 0.02
    upper[-1, 1] = np.nan
    dims = ("venue", "direction")
    return xr.Dataset(
        {"estimate": (dims, point), "lower": (dims, point - 0.02), "upper": (dims, upper)},
        {"venue": venues, "direction": ["down", "up"]},
    )


def _strip(venues: list[str], rng: np.random.Generator) -> xr.Dataset:
    """Eight assumptions, low and high, on the headline metric with paired differences."""
    names = ["index recipe", "pass-through", "jump size", "leverage", "depth", "fund", "settlement price", "restrike"]
    size = rng.normal(0, 0.04, (len(venues), 8, 1)) * np.array([[-1.0, 1.0]])
    size[:, names.index("leverage")] = (-0.05, 0.05)
    dims = ("venue", "assumption", "level")
    return xr.Dataset(
        {
            "value": (dims, 0.12 + size),
            "difference": (dims, size),
            "lower": (dims, size - 0.01),
            "upper": (dims, size + 0.01),
        },
        {"venue": venues, "assumption": names, "level": ["low", "high"]},
        attrs={"metric": "p_fund_depleted", "scenario": "combined"},
    )


def write_store(path: Path, **options) -> Path:
    """Write `synthetic_tree(**options)` as a Zarr v3 store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # string types and consolidated metadata are not in the Zarr specification yet
        synthetic_tree(**options).to_zarr(path, zarr_format=3, mode="w")
    return path
