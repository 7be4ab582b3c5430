"""Templates to files: one style, one script and one content security policy for every page."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mcrisk.report import format as fmt
from mcrisk.report.model import VERDICT_WORDS, Figure, Fold, Section

SIMULATED = ("Every number here is simulated from stated assumptions; it is not a forecast. Money is in quote currency, open "
             "interest is one-sided.")  # fmt: skip


@dataclass
class Leaf:
    """A page of its own without lights: a comparison, an index of runs."""

    eyebrow: str
    title: str
    lead: str
    sections: list[Section]
    facts: list[tuple[str, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)  # (relative address, text)
    footer: str = SIMULATED


def environment(html: bool) -> Environment:
    """The templates with our filters; an unknown name is an error, never an empty text."""
    made = Environment(
        loader=PackageLoader("mcrisk.report"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(md=markdown_text, nb=fmt.unbroken)
    made.globals.update(words=VERDICT_WORDS, is_figure=lambda b: isinstance(b, Figure),
                        is_fold=lambda b: isinstance(b, Fold))  # fmt: skip
    return made


def html(template: str, **names: Any) -> str:
    """One offline file: styles and script inline, the script allowed by its hash, every request forbidden."""
    made = environment(html=True)
    style, script = (made.loader.get_source(made, f"report.{k}")[0].strip() for k in ("css", "js"))
    script = f"\n{script}\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return made.get_template(template).render(style=Markup(style), script=Markup(script), script_hash=digest, **names)


def markdown(template: str, **names: Any) -> str:
    """Text and tables without charts."""
    return environment(html=False).get_template(template).render(**names)


def markdown_text(text: Any) -> str:
    """Text that cannot break a Markdown table or turn into HTML or a link."""
    out = fmt.clean(text)
    for character in "\\`*_[]<>|#":
        out = out.replace(character, {"<": "&lt;", ">": "&gt;"}.get(character, "\\" + character))
    return out


def write(path: Path, text: str) -> Path:
    """Replace a file whole, so that a reader never sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
