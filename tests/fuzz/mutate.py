"""Damaged inputs, drawn from a numbered case: configs, books, price files and stores that nobody should trust."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

NASTY = (
    "", "~", "null", "true", "-1", "0", "1e400", ".nan", ".inf", "-.inf", "1e-320", "99999999999999999999", "0x7f", "1_0",
    "[]", "{}", "[[[[]]]]", "{a: {b: {c: 1}}}", "'", '"', "|", ">", "&a [*a]", "*x", "<<: *x", "!!python/name:os.system",
    "!!python/object/apply:os.system ['touch pwned']", "!!binary aGk=", "../../../etc/passwd", "/etc/passwd", "/dev/zero",
    "/dev/stdin", "/proc/self/mem", "file:///etc/passwd", "http://127.0.0.1:9/x", "~/x", "a\x00b", "\x1b[2J", "\u202e", "\ud7ff",
    "é" * 40, "x" * 5000, "9" * 400, "-" * 60, "2026-13-45", "30 fortnights", "1e9d", "-5min", "quickstart", "base: x",
    "<script>alert(1)</script>", "${HOME}", "$(touch pwned)", "`touch pwned`", "%s%n", "NaN", "inf", "-0.0", "١٢",
)  # fmt: skip

RUN = """base: quickstart
paths: 256
seed: 3
venues: [kraken-preipo, {base: okx-preipo-perp, fund: {initial: 0.01}}]
scenarios: [baseline, {base: combined, event_time: {lead: 1d}}]
markets: [{name: company, prices: near, open_interest_multiple: 1.0}]
book: {base: default, accounts: 50}
target: {metric: p_adl, relative_halfwidth: 0.1, max_paths: 4096}
execution: {backend: jax, block_paths: 256, lane_paths: 256}
limits: {enforce: false, p_fund_depleted: {green: 0.001, amber: 0.01}}
grid: default
start: "2026-11-20T00:00:00Z"
report: {owner: me, data_date: 2026-11-20}
"""
PRICES = "time,last,bid,ask,external,depth,trades\n" + "".join(f"{60 * i},100,99,101,100,5000,3\n" for i in range(8))
BOOK = "account_id,market,quantity,entry_price,collateral,margin_mode\nL,M,1,100,50,cross\nS,M,-1,100,50,isolated\n"


def text(source: str, dice: random.Random) -> bytes:
    """One to three edits: a value, a token, a line, a byte, the end."""
    for _ in range(dice.randint(1, 3)):
        source = dice.choice((_value, _value, _insert, _lines, _cut, _indent))(source, dice)
    data = bytearray(source.encode("utf-8", "surrogatepass"))
    if data and dice.random() < 0.15:
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


def _value(source: str, dice: random.Random) -> str:
    """Replace what stands between two separators."""
    marks = [i for i, c in enumerate(source) if c in ":,[{\n "]
    if not marks:
        return source
    start = dice.choice(marks) + 1
    end = next((i for i in range(start + 1, len(source)) if source[i] in ",]}\n"), len(source))
    return f"{source[:start]} {dice.choice(NASTY)}{source[end:]}"


def _insert(source: str, dice: random.Random) -> str:
    at = dice.randint(0, len(source))
    return source[:at] + dice.choice(NASTY) + source[at:]


def _lines(source: str, dice: random.Random) -> str:
    """Drop, double or move a line."""
    lines = source.splitlines(keepends=True) or [""]
    line = lines.pop(dice.randrange(len(lines)))
    for _ in range(dice.choice((0, 1, 2))):
        lines.insert(dice.randint(0, len(lines)), line)
    return "".join(lines)


def _cut(source: str, dice: random.Random) -> str:
    return source[: dice.randint(0, len(source))]


def _indent(source: str, dice: random.Random) -> str:
    return source.replace(dice.choice((": ", "\n", ", ", "{")), dice.choice((":", "\n  ", "\t", "{{", "\r")), 1)


def store(sound: Path, copy: Path, dice: random.Random) -> str:
    """A copy of a store with one or two of its files damaged; metadata more often than chunks. Returns what was done."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sound, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    metadata = [path for path in files if path.name == "zarr.json"]
    done = []
    for _ in range(dice.randint(1, 2)):
        victim = copy / "zarr.json" if dice.random() < 0.3 else dice.choice(metadata if dice.random() < 0.6 else files)
        if victim.is_file() and not victim.is_symlink():  # not what an earlier edit put there, least of all through a link
            done.append(f"{_damage(victim, dice)} {victim.relative_to(copy)}")
    return "; ".join(done)


def _damage(victim: Path, dice: random.Random) -> str:
    content = victim.read_bytes()
    kind = dice.choice(("removed", "emptied", "cut", "flipped", "edited", "edited", "folder", "link"))
    if kind == "edited":
        victim.write_bytes(text(content.decode("utf-8", "replace"), dice))
    elif kind == "flipped" and content:
        changed = bytearray(content)
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        victim.write_bytes(bytes(changed))
    elif kind == "cut":
        victim.write_bytes(content[: dice.randint(0, len(content))])
    else:
        victim.unlink()
        if kind == "emptied":
            victim.write_bytes(b"")
        elif kind == "folder":
            victim.mkdir()
        elif kind == "link":
            victim.symlink_to("/etc/passwd")
    return kind
