"""A large replay from the command line: `python benchmarks/replay_size.py --json FILE` (100,000 rows, 10,000 accounts).

Writes a price file and a book made from one seed, runs `mcrisk replay` on them as a user would, and reports wall time, CPU
time of the one process and its largest resident memory, with what happened and how large the ledger became. The price walks
at 5 % a day and falls by a quarter half way, so that liquidations and, where the venue has it, funding fill the ledger.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

START = 1_789_002_000   # a full hour, epoch seconds
CRASH = -0.29           # log points over a fiftieth of the path


def price_rows(rows: int, step: float, seed: int) -> pd.DataFrame:
    """One row per `step` seconds around 150 quote; the valuation feed follows the last price."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, 0.05 * np.sqrt(step / 86400.0), rows)
    moves[rows // 2 : rows // 2 + max(rows // 50, 1)] += CRASH / max(rows // 50, 1)
    last = 150.0 * np.exp(np.cumsum(moves))
    return pd.DataFrame({"time": START + step * np.arange(rows), "last": last, "bid": last * 0.9995, "ask": last * 1.0005,
                         "external": last * np.exp(rng.normal(0.0, 0.002, rows)), "depth": 2e6})  # fmt: skip


def book(accounts: int, seed: int) -> pd.DataFrame:
    """Heavy-tailed sizes, one to five times leverage, longs and shorts of the same total."""
    rng = np.random.default_rng(seed + 1)
    side = np.where(np.arange(accounts) % 2 == 0, 1.0, -1.0)
    size = rng.pareto(1.5, accounts) + 0.01
    for one in (1.0, -1.0):
        size[side == one] *= 25e6 / 150.0 / size[side == one].sum()
    entry = 150.0 * np.exp(rng.normal(0.0, 0.03, accounts))
    collateral = size * entry / rng.uniform(1.0, 5.0, accounts) + np.maximum(-side * size * (150.0 - entry), 0.0)
    return pd.DataFrame({"account_id": [f"a{i:05d}" for i in range(accounts)], "quantity": side * size, "entry_price": entry,
                         "collateral": collateral})  # fmt: skip


def measure(venue: str, rows: int, accounts: int, step: float, seed: int) -> dict[str, object]:
    """One `mcrisk replay` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        price_rows(rows, step, seed).to_csv(work / "prices.csv", index=False)
        book(accounts, seed).to_csv(work / "accounts.csv", index=False)
        command = [sys.executable, "-m", "mcrisk", "replay", "--venue", venue, "--prices", str(work / "prices.csv"),
                   "--accounts", str(work / "accounts.csv"), "--out", str(work / "out")]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(done.pid, 0)
        wall = time.perf_counter() - start
        if status:
            raise SystemExit(f"{venue}: mcrisk replay ended with {os.waitstatus_to_exitcode(status)}")
        told = json.loads((work / "out" / "summary.json").read_text(encoding="utf-8"))
        ledger = work / "out" / "ledger.csv"
        return {
            "venue": venue, "rows": rows, "accounts": accounts, "step_seconds": step, "wall_seconds": wall,
            "user_seconds": used.ru_utime, "system_seconds": used.ru_stime,
            "peak_mib": used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2),
            "ledger_lines": sum(1 for _ in ledger.open("rb")) - 1, "ledger_mib": ledger.stat().st_size / 2**20,
            **{name: told[name] for name in ("liquidated_accounts", "adl_accounts", "conservation_residual")},
        }  # fmt: skip


def main() -> None:
    """Measure the venues asked for, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venue", action="append", help="repeatable; default tradexyz-ipop and kraken-preipo")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--step", type=float, default=3.0, help="seconds between rows")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = [measure(v, asked.rows, asked.accounts, asked.step, asked.seed)
             for v in asked.venue or ("tradexyz-ipop", "kraken-preipo")]  # fmt: skip
    for one in found:
        print(f"{one['venue']:22} wall {one['wall_seconds']:6.1f} s  user {one['user_seconds']:6.1f} s  "
              f"peak {one['peak_mib']:6.0f} MiB  ledger {one['ledger_lines']:,} lines, {one['ledger_mib']:.0f} MiB  "
              f"liquidated {one['liquidated_accounts']:,}  deleveraged {one['adl_accounts']:,}")
    if asked.json:
        asked.json.write_text(json.dumps({
            "at": datetime.now(UTC).isoformat(timespec="seconds"), "cores": os.cpu_count(),
            "load": os.getloadavg(), "own_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "measurements": found}, indent=1) + "\n", encoding="utf-8")  # fmt: skip


if __name__ == "__main__":
    main()
