"""Commands from risk to decisions that need no simulation: size-fund, backtest, adl-lab, fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.options import JsonOption, QuietOption, RunArgument
from mcrisk.cli.terminal import console
from mcrisk.errors import InputError, printable

if TYPE_CHECKING:
    from mcrisk.calibrate.output import Findings, Table

OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for the page (HTML and Markdown), CSV tables and SVG figures.")
]


def register(app: typer.Typer) -> None:
    app.command("size-fund", rich_help_panel="Decide")(size_fund)
    app.command("backtest", rich_help_panel="Decide")(backtest)
    app.command("adl-lab", rich_help_panel="Decide")(adl_lab)
    app.command("fit", rich_help_panel="Decide")(fit)


def conclude(found: Findings, out: Path | None, answer: Answer, more: Sequence[Path] = ()) -> None:
    """Answer in words and tables, or as JSON; write pages, tables and figures when a folder is given.

    `more` are files that were written already.
    """
    screen = console()
    for table in found.tables[: found.main] if answer.for_people else ():
        screen.print(_rich(table))
        if table.note:
            screen.print(printable(table.note), style="dim", markup=False, highlight=False)
    answer.say("")
    for line in found.lines:
        answer.say(line)
    files: list[Path] = []
    if out is not None:
        from mcrisk.calibrate.output import write_page

        files = write_page(out, found)
    answer.give(found.as_data() | {"files": answer.wrote([*files, *more])})


def _rich(table: Table):
    from rich.table import Table as Rich
    from rich.text import Text

    from mcrisk.calibrate.output import shown

    out = Rich(title=printable(table.title), title_justify="left", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for i, column in enumerate(table.columns):
        numeric = bool(table.rows) and all(isinstance(row[i], (int, float)) for row in table.rows)
        out.add_column(printable(column), justify="right" if numeric else "left", no_wrap=i == 0)
    for row in table.rows:
        out.add_row(*(Text(printable(shown(value))) for value in row))
    return out


def pick(wanted: str | None, known: Sequence[str], option: str) -> list[str]:
    """The one asked for, or all. Raises InputError with the nearest name."""
    from mcrisk.config.catalog import suggest

    if wanted is None:
        return list(known)
    if wanted not in known:
        raise InputError(
            f"the run has no {option.strip('-')} '{wanted}'", f"{option} {wanted}", f"it has {', '.join(known)}",
            suggest(wanted, known),
        )  # fmt: skip
    return [wanted]


def _finished(run: Path) -> None:
    """Raises InputError where a run has not all of its paths."""
    from mcrisk.cli.results import existing

    if existing(run).get("complete") is False:
        raise InputError(
            "the run is unfinished", str(run), "a tail needs all of its paths",
            "repeat the same `mcrisk run` command: it resumes",
        )  # fmt: skip


def size_fund(
    run: RunArgument,
    venue: Annotated[str | None, typer.Option("--venue", help="One venue of the run; default all.")] = None,
    scenario: Annotated[str | None, typer.Option("--scenario", help="One scenario; default all.")] = None,
    mixture: Annotated[
        str | None, typer.Option("--mixture", metavar="S=P,…", help="Also size for this mixture of scenarios.")
    ] = None,
    cost_rate: Annotated[
        float, typer.Option("--cost-rate", metavar="r", help="Cost of one unit of fund over the run's horizon.")
    ] = 0.01,
    penalty: Annotated[
        float, typer.Option("--penalty", metavar="κ", help="Cost of one unit of loss that the fund cannot pay.")
    ] = 10.0,
    out: OutOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The cheapest insurance fund: the quantile of the deficit at 1 − r/κ, with its cost curve."""
    from mcrisk.calibrate import fund_size as sizing
    from mcrisk.calibrate.output import Findings
    from mcrisk.cli import checks
    from mcrisk.report.source import Run
    from mcrisk.risk.headline import fund_need
    from mcrisk.risk.weighted import accepted, estimator

    _finished(run)
    sizing.quantile_level(cost_rate, penalty)  # costs that make no sense are refused before anything is read
    if out is not None:
        checks.writable(out)
    opened = Run.open(run)
    paths = opened.paths
    names = [str(v) for v in paths["scenario"].values]
    wanted = pick(scenario, names, "--scenario")
    weights = sizing.parse_mixture(mixture) if mixture else None
    by_venue, tables, curves, figures = {}, [], [], {}
    for name in pick(venue, [str(v) for v in paths["venue"].values], "--venue"):
        cells = paths.sel(venue=name)
        samples = {s: fund_need(cells.sel(scenario=s)) for s in names}
        counted = {s: estimator(cells.sel(scenario=s)) for s in names}
        present = float(cells["fund_initial"].isel(scenario=0, path=0))
        sizes = [
            sizing.size_fund(samples[s], cost_rate, penalty, name=s, present=present, of=counted[s]) for s in wanted
        ]
        if weights:  # from plain samples, which is what weighted paths can be thinned to
            plain = {s: values[accepted(cells.sel(scenario=s))] for s, values in samples.items()}
            mixed = sizing.mixture(plain, weights)
            sizes.append(sizing.size_fund(mixed, cost_rate, penalty, name="mixture", present=present))
        by_venue[name] = sizes
        tables.append(sizing.table(sizes, name))
        curves.append(sizing.curve_table(sizes, name))
        figures |= {f"{name}-{s.name}": sizing.figure(s, name) for s in sizes}
    interest = {v.name: v.open_interest for v in opened.venues}
    tables.insert(0, sizing.overview(by_venue, interest))
    text = sizing.answer(by_venue, cost_rate, penalty)
    found = Findings("size-fund", "Size of the insurance fund", text, [*tables, *curves], figures, len(tables))
    conclude(found, out, Answer(as_json, quiet))


def backtest(
    history: Annotated[
        Path, typer.Argument(metavar="HISTORY", help="CSV or Parquet: date, margin (or var), pnl and optionally es.")
    ],
    level: Annotated[float, typer.Option("--level", help="Coverage that margin or VaR claims.")] = 0.99,
    out: OutOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Test a margin or VaR history: coverage, independence, traffic light, expected shortfall, procyclicality."""
    from mcrisk.calibrate.history import backtest as test
    from mcrisk.calibrate.history import read_history
    from mcrisk.calibrate.output import Findings
    from mcrisk.cli import checks

    if out is not None:
        checks.writable(out)
    tables, text = test(read_history(history), level)
    conclude(Findings("backtest", "Backtest of margin", text, tables), out, Answer(as_json, quiet))


def adl_lab(
    accounts: Annotated[
        Path | None,
        typer.Argument(metavar="ACCOUNTS", help="CSV or Parquet: quantity, entry_price, collateral of one market."),
    ] = None,
    mark: Annotated[float | None, typer.Option("--mark", help="Mark price at which losses are divided.")] = None,
    fund: Annotated[float, typer.Option("--fund", help="Insurance fund that pays first, quote.")] = 0.0,
    policies: Annotated[str | None, typer.Option("--policies", help="Comma-separated; default all.")] = None,
    lot: Annotated[float, typer.Option("--lot", help="Smallest number of contracts; 0 = any.")] = 0.0,
    cap: Annotated[float, typer.Option("--cap", help="Largest share of profit the capped rule may take.")] = 0.5,
    maintenance: Annotated[float, typer.Option("--maintenance", help="Maintenance rate, of notional.")] = 0.05,
    volatility: Annotated[float, typer.Option("--volatility", help="Annual, for the next hour's shock.")] = 3.0,
    out: OutOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Divide one loss under every ADL policy. Without ACCOUNTS: a made-up book as of 10 October 2025."""
    import math

    from mcrisk.calibrate import adl_lab as lab
    from mcrisk.calibrate.adl_policies import POLICIES
    from mcrisk.calibrate.output import Findings
    from mcrisk.cli import checks

    limits = (("--fund", fund, math.inf), ("--lot", lot, math.inf), ("--cap", cap, 1.0),
              ("--maintenance", maintenance, 1.0), ("--volatility", volatility, 100.0))  # fmt: skip
    for option, value, top in limits:
        if not 0 <= value <= top or math.isinf(value):
            raise InputError(f"{option} cannot be {value:g}", option, f"allowed: 0 to {top:g}", None)
    if accounts is not None and mark is None:
        raise InputError("the mark is missing", "--mark", "losses are measured at a price", "give --mark PRICE")
    if out is not None:
        checks.writable(out)
    book = lab.read_lab_book(accounts, mark, maintenance) if accounts is not None else lab.october_book()
    wanted = tuple(p.strip() for p in policies.split(",") if p.strip()) if policies else POLICIES
    outcomes = lab.compare(book, fund, wanted, lot=lot, cap=cap, volatility=volatility)
    text = f"{lab.answer(outcomes)}\n{lab.facts(book, fund)}"
    found = Findings("adl-lab", "ADL policies compared", text, lab.tables(outcomes), {"taken": lab.figure(outcomes)})
    conclude(found, out, Answer(as_json, quiet))


def fit(
    candles: Annotated[
        Path | None,
        typer.Argument(metavar="[CANDLES]", help="CSV or Parquet as ccxt writes it: timestamp, open, …, volume."),
    ] = None,
    depth: Annotated[
        Path | None, typer.Option("--depth", metavar="FILE", help="Order books: timestamp, side, price, amount.")
    ] = None,
    open_interest: Annotated[
        float | None, typer.Option("--open-interest", help="One-sided, quote; depth becomes a fraction of it.")
    ] = None,
    life_cycle: Annotated[
        str | None,
        typer.Option("--life-cycle", metavar="TABLE", help="Counts of withdrawals, delays, …: `ipo` is shipped, or a CSV."),
    ] = None,
    base: Annotated[str, typer.Option("--base", help="Price model for what candles cannot say.")] = "near",
    base_liquidity: Annotated[str, typer.Option("--base-liquidity", help="The same for the order book.")] = "thin",
    base_scenario: Annotated[str, typer.Option("--base-scenario", help="The same for the life cycle.")] = "combined",
    name: Annotated[str, typer.Option("--name", help="Name of the fitted models.")] = "fitted",
    resamples: Annotated[int, typer.Option("--resamples", help="Bootstrap replicates behind the intervals.")] = 60,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the YAML files and tables.")] = Path("fit"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a price model, a liquidity model and life-cycle priors to data, with the uncertainty of every parameter."""
    from mcrisk.calibrate.output import Findings
    from mcrisk.cli import checks

    checks.writable(out)
    if candles is None and life_cycle is None:
        raise InputError("there is nothing to fit", "fit", None, "give a candle file, or --life-cycle ipo")
    if depth is not None and candles is None:
        raise InputError("order books alone make no model", "--depth", None, "give the candles of the market, too")
    tables, more, written, uses, said = [], [], [], [], []
    if life_cycle is not None:
        _fit_life_cycle(life_cycle, base_scenario, name, out, (tables, written, uses, said))
    if candles is not None:
        more = _fit_market(candles, depth, open_interest, (base, base_liquidity), name, resamples, out,
                           (tables, written, uses, said))  # fmt: skip
    said += [
        "The intervals are part of the result: with a few weeks of data or a handful of events they are wide.",
        f"Use with {' and '.join(uses)}; `parameters: bootstrap` carries the uncertainty into a run.",
    ]
    text = "\n".join(said)
    found = Findings("fit", "Fitted models", text, [*tables, *more], main=len(tables))
    conclude(found, out, Answer(as_json, quiet), written)


Found = tuple[list["Table"], list[Path], list[str], list[str]]  # tables, files, how to use them, what is said first


def _fit_life_cycle(reference: str, base: str, name: str, out: Path, found: Found) -> None:
    from mcrisk.calibrate import life_cycle
    from mcrisk.calibrate.models import write_tree
    from mcrisk.config.load import load_model
    from mcrisk.config.scenario import Scenario

    prior = load_model(Scenario, "scenarios", base)
    posterior = life_cycle.posterior(life_cycle.read_evidence(life_cycle.find(reference)))
    tree = life_cycle.override(posterior, name, base)
    load_model(Scenario, "scenarios", tree)  # what is written can be read
    tables, written, uses, said = found
    said.append(life_cycle.headline(posterior))
    tables.append(life_cycle.table(posterior, prior))
    written.append(write_tree(out / "scenarios", tree, name))
    uses.append(f"`scenarios: [{written[-1]}]`")


def _fit_market(
    candles: Path, depth: Path | None, open_interest: float | None, bases: tuple[str, str], name: str, resamples: int,
    out: Path, found: Found,
) -> list[Table]:  # fmt: skip
    """Returns the tables that are written and not printed."""
    from mcrisk.calibrate import depth as books
    from mcrisk.calibrate import fit as fitting
    from mcrisk.calibrate.models import write_model
    from mcrisk.config.load import load_model
    from mcrisk.config.prices import Liquidity, PriceModel

    if depth is not None and not (open_interest or 0) > 0:
        raise InputError(
            "the open interest is missing", "--open-interest", "models state depth as a fraction of it",
            "give the one-sided open interest in quote currency",
        )  # fmt: skip
    prior = load_model(PriceModel, "prices", bases[0])
    book = (books.read_depth(depth), load_model(Liquidity, "liquidity", bases[1])) if depth is not None else None
    fitted = fitting.fit(fitting.read_candles(candles), resamples)
    tables, written, uses, said = found
    said.insert(0, fitting.headline(fitted))
    tables += fitting.tables(fitted)
    written.append(write_model(out / "prices", fitting.price_model(fitted, prior, name, candles.name)))
    uses.append(f"`prices: {written[-1]}`")
    if book is not None:
        tables.append(books.table(book[0]))
        model = books.liquidity_model(*book, open_interest, name, depth.name)
        written.append(write_model(out / "liquidity", model))
        uses.append(f"`liquidity: {written[-1]}`")
    return [fitting.draws_table(fitted)]
