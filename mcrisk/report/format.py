"""Numbers and names the way people read them. No function here raises on NaN."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

NARROW = " "  # between a number and its unit; HTML and SVG make it a narrow no-break space, see `unbroken`
NOT_RESOLVED = "not resolved"
DASH = "–"


def clean(text: Any) -> str:
    """A name or note without control characters, escape sequences or text-direction overrides.

    Tabs and line breaks become one space. HTML is left alone: escaping is the template's job.
    """
    out = []
    for character in _without_ansi(str(text)):
        if character in "\t\r\n\x0b\x0c":
            out.append(" ")
        elif unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co"):
            out.append(character)
    return "".join(out).strip()


def _without_ansi(text: str) -> str:
    """Drop terminal escape sequences (CSI and OSC) whole, so that '[31m' does not stay behind."""
    out, i = [], 0
    while i < len(text):
        if text[i] not in "\x1b\x9b":
            out.append(text[i])
            i += 1
            continue
        single = text[i] == "\x9b"
        i += 1
        kind = "[" if single else (text[i] if i < len(text) else "")
        i += 0 if single else 1
        if kind == "[":
            while i < len(text) and not "@" <= text[i] <= "~":
                i += 1
            i += 1
        elif kind == "]":
            while i < len(text) and text[i] not in "\x07\x1b":
                i += 1
            i += 1
    return "".join(out)


def clean_tree(value: Any) -> Any:
    """`clean` on every string of nested lists and dictionaries, keys included."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(k): clean_tree(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_tree(v) for v in value]
    return value


_UNIT_GAP = re.compile(r"(?<=[\d<]) (?=(?:%|pp|k|M|B|ms|s|min|h|d)(?!\w)|\d{3}(?!\d))|(?<=[<>]) (?=[+−\d])")


def unbroken(text: Any) -> str:
    """The text with narrow no-break spaces inside numbers and before their units."""
    return _UNIT_GAP.sub("\u202f", str(text))


def known(value: Any) -> bool:
    """True for a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _digits(value: float, significant: int) -> str:
    """Fixed notation with so many significant digits, without trailing zeros after rounding to an integer."""
    if value == 0:
        return "0"
    value = float(f"{value:.{significant - 1}e}") if abs(value) < 10**significant else value
    places = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    if places > 0 and float(text.replace(",", "")) == round(value) and abs(value) >= 10 ** (significant - 1):
        text = f"{value:,.0f}"
    return text.replace("-", "−").replace(",", NARROW)


def percent(value: float | None) -> str:
    """0.034 → '3.4 %'. Very small values read '< 0.001 %', '> −0.001 %'."""
    if not known(value):
        return NOT_RESOLVED
    hundred = 100.0 * value
    if hundred and abs(hundred) < 0.001:
        return f"{'> −' if hundred < 0 else '< '}0.001{NARROW}%"
    return f"{_digits(hundred, 3 if abs(hundred) >= 100 else 2)}{NARROW}%"


def plain_percent(value: float) -> str:
    """For thresholds and ticks, which are round: '0.1 %', '10 %'."""
    return f"{100 * value:g}{NARROW}%".replace("-", "−")


def points(value: float | None) -> str:
    """A difference of two shares in percentage points: '+5.6 pp'."""
    return signed_percent(value).replace("%", "pp")


def signed_percent(value: float | None) -> str:
    """Like `percent` with an explicit plus sign: '+42 %', '−36 %'."""
    text = percent(value)
    return f"< +{text[2:]}" if text.startswith("<") else f"+{text}" if known(value) and value > 0 else text


def money(value: float | None) -> str:
    """1234567 → '1.2 M'; the currency belongs in the column head."""
    if not known(value):
        return NOT_RESOLVED
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{_digits(value / size, 3)}{NARROW}{unit}"
    return _digits(value, 3) if abs(value) >= 0.005 or value == 0 else "≈ 0"


def ratio(value: float | None) -> str:
    """1.84 → '1.8×'."""
    if isinstance(value, float) and math.isinf(value) and value > 0:
        return "no need"
    return f"{_digits(value, 2)}×" if known(value) else NOT_RESOLVED


def number(value: float | None) -> str:
    """Three significant digits, large ones with k, M, B."""
    return money(value)


def count(value: float | None) -> str:
    """An integer with thousands separated."""
    return f"{round(value):,}".replace(",", NARROW) if known(value) else NOT_RESOLVED


def seconds(value: float | None) -> str:
    """A duration: '45 s', '12 min', '3.4 h', '2.1 d'; NaN reads 'never'."""
    if not known(value):
        return "never"
    sign, size = ("−" if value < 0 else ""), abs(value)
    if size < 0.995:
        return "0" if size == 0 else f"{sign}{size * 1000:.0f}{NARROW}ms"
    for unit, name, until in ((1, "s", 99.5), (60, "min", 5970), (3600, "h", 172_000), (86400, "d", math.inf)):
        if size < until:
            return f"{sign}{_digits(size / unit, 2)}{NARROW}{name}"
    return "never"


FORMATS = {
    "percent": percent,
    "signed_percent": signed_percent,
    "points": points,
    "money": money,
    "ratio": ratio,
    "number": number,
    "count": count,
    "seconds": seconds,
    "text": lambda v: clean(v) if v is not None else "",
}


def interval(lower: float | None, upper: float | None, kind: str) -> str:
    """The 95 % interval beside an estimate; a side the sample cannot give says so."""
    show = FORMATS[kind]
    if known(lower) and known(upper):
        return _span(show(lower), show(upper))
    if known(lower):
        return f"≥ {show(lower)}, upper bound {NOT_RESOLVED}"
    if known(upper):
        return f"≤ {show(upper)}, lower bound {NOT_RESOLVED}"
    return f"interval {NOT_RESOLVED}"


def _span(low: str, high: str) -> str:
    """'4.1–5.2 %' where both ends carry the same unit, 'a to b' where signs would blur the dash."""
    if low.endswith("×") and high.endswith("×"):
        low = low[:-1]
    _, gap, unit = high.rpartition(NARROW)
    if gap and not unit[:1].isdigit() and low.endswith(gap + unit):
        low = low[: -len(gap + unit)]
    return f"{low} to {high}" if "−" in low + high or "+" in low + high or "<" in low else f"{low}–{high}"


def join(words: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def jsonable(value: Any) -> Any:
    """Plain JSON types; NaN and infinities become null."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
