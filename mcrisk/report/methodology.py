"""docs/methodology.md: every rule and model with formula, source, assumption and limitation.

    python -m mcrisk.report.methodology [FILE]

Formulas and sources come from the headers of the modules that compute, options and defaults from the models of the
profile, values and assumptions from the shipped profiles. What is written by hand is the limitations below.
"""

from __future__ import annotations

import ast
import sys
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mcrisk.config import catalog
from mcrisk.config import venue as profile
from mcrisk.config.load import load_venue
from mcrisk.report.limitations import LIMITATIONS, MODELS, PREFACE
from mcrisk.report.readings import OUTSIDE, READINGS

ROOT = Path(__file__).resolve().parents[1]
SLOTS = {  # chapter: (module of the rule, union or model of the profile, path in a profile)
    "Index and oracle": ("rules/index.py", profile.Index, ("pre.index", "post.index")),
    "Price limits": ("rules/price_limits.py", profile.Limits, ("pre.limits", "post.limits")),
    "Mark": ("rules/mark.py", profile.Mark, ("pre.mark", "post.mark")),
    "Funding": ("rules/funding.py", profile.Funding, ("pre.funding", "post.funding")),
    "Margin": ("rules/margin.py", profile.Margin, ("pre.margin", "post.margin")),
    "Liquidation": ("rules/liquidation.py", profile.Liquidation, ("liquidation",)),
    "Insurance fund": ("rules/insurance.py", profile.Fund, ("fund",)),
    "Auto-deleveraging": ("rules/adl.py", profile.Adl, ("adl",)),
    "Settlement": ("rules/settlement.py", profile.Settlement, ("settlement",)),
}


def document() -> str:
    """The whole page."""
    venues = [load_venue(name) for name in catalog.names("venues")]
    parts = [PREFACE.strip()]
    parts += [_chapter(title, *where, venues) for title, where in SLOTS.items()]
    parts += ["## Prices, life cycle, books, estimators", *(_model(title, file, text) for title, (file, text) in MODELS.items())]
    parts += [_readings(), _assumptions(venues)]
    return "\n\n".join(parts) + "\n"


def header(file: str) -> str:
    """The docstring of a module, without importing it."""
    return ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or ""


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


def _chapter(title: str, file: str, union: Any, paths: tuple[str, ...], venues: list[profile.Venue]) -> str:
    models = _members(union)
    lines = [f"## {title}", f"`mcrisk/{file}`", _block(header(file)), "| kind | what | options (default) | used by |",
             "|---|---|---|---|"]  # fmt: skip
    head, rows = lines[:3], lines[3:]
    for model in models:
        kind = _kind(model)
        users = [v.name for v in venues if any(_is(v, path, kind) for path in paths)]
        text = (model.__doc__ or "").strip().replace("\n", " ")
        rows.append(f"| {kind or model.__name__} | {_cell(text)} | {_cell(_options(model))} | {', '.join(users) or '–'} |")
    limits = "\n".join(f"- {text}" for text in LIMITATIONS[title])
    return "\n\n".join([*head, "\n".join(rows), f"**Limitations**\n\n{limits}"])


def _members(union: Any) -> list[type[BaseModel]]:
    inner = typing.get_args(union)[0] if typing.get_origin(union) is typing.Annotated else union
    return [m for m in typing.get_args(inner)] or [inner]


def _kind(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    return typing.get_args(field.annotation)[0] if field is not None else ""


def _is(venue: profile.Venue, path: str, kind: str) -> bool:
    value: Any = venue
    for step in path.split("."):
        value = getattr(value, step)
    return not kind or value.kind == kind


def _options(model: type[BaseModel]) -> str:
    out = []
    for name, field in model.model_fields.items():
        if name == "kind":
            continue
        default = "required" if field.is_required() else field.default
        out.append(f"{name} ({default})")
    return ", ".join(out) or "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _model(title: str, file: str, text: str) -> str:
    return f"### {title}\n\n`mcrisk/{file}`\n\n{_block(header(file))}\n\n**Limitations.** {text}"


def _readings() -> str:
    rows = [f"| {r.topic} | {', '.join(r.venues)} | `{r.key}` | {r.shipped} | {', '.join(map(str, r.others))} | {r.sources} |"
            for r in READINGS]
    outside = [f"| {topic} | {text} | {where} |" for topic, text, where in OUTSIDE]
    return ("## Where sources conflict\n\nBoth readings can be asked for; one is shipped.\n\n"
            "| topic | venues | field | shipped | other readings | sources |\n|---|---|---|---|---|---|\n" + "\n".join(rows)
            + "\n\nNot fields of a profile:\n\n| topic | conflict | where |\n|---|---|---|\n" + "\n".join(outside))


def _assumptions(venues: list[profile.Venue]) -> str:
    """What venues do not publish, by profile; variants of a profile that add nothing are left out."""
    out, seen = ["## Assumptions of the shipped profiles"], set()
    for venue in venues:
        notes = [n for n in venue.provenance if n.assumption]
        fresh = [n for n in notes if (venue.operator, n.field, n.note) not in seen]
        seen |= {(venue.operator, n.field, n.note) for n in notes}
        if fresh:
            rows = "\n".join(f"| `{n.field}` | {_cell(n.note)} | {_cell(n.source)} ({n.date}) |" for n in fresh)
            out.append(f"### {venue.title} (`{venue.name}`)\n\n| field | assumption | source |\n|---|---|---|\n{rows}")
    return "\n\n".join(out)


def main(file: str = "docs/methodology.md") -> None:
    """Write the page."""
    Path(file).write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])
