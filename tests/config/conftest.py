"""A small world of its own, so that these tests do not move with the shipped numbers."""

import pytest

FILES = {
    "prices/near.yaml": """
        name: near
        company: near
        volatility: {kind: constant, sigma: 0.5}
        jumps: {law: merton, per_year: 1, mean: 0, sd: 0.1}
    """,
    "liquidity/thin.yaml": """
        name: thin
        half_spread: {calm: 0.003, event_multiplier: 5}
        depth_1pct: 0.002
        shape: 1.5
        total_depth: 0.2
        refill_half_life: 10min
        permanent_share: 0.2
    """,
    "liquidity/made.yaml": "base: thin\nname: made\ndepth_1pct: 0.02\n",
    "feeds/published.yaml": "name: published\nrecipe: published\n",
    "feeds/stale.yaml": "name: stale\nrecipe: stale\n",
    "grids/default.yaml": "name: default\n",
    "scenarios/baseline.yaml": "name: baseline\nlabel: nothing special\n",
    "scenarios/late.yaml": "base: baseline\nname: late\nlabel: late\nfeed: stale\n",
    "run.yaml": """
        name: small
        paths: 64
        venues: [kraken-preipo, okx-preipo-perp]
        scenarios: [baseline, late]
        markets: [{name: company}]
    """,
}


@pytest.fixture
def world(tmp_path):
    """A folder with run.yaml and the models it names; venues and books are the shipped ones."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        indent = 8 if text.startswith("\n") else 0
        file.write_text("\n".join(line[indent:] for line in text.splitlines()) + "\n")
    return tmp_path
