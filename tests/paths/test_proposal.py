"""Drawing paths otherwise than by chance: weights undo it exactly, nets are even, and a path is a function of its number.

Means are compared at 5 standard errors: a false alarm in 1.7 million comparisons, and seeds are fixed.
"""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mcrisk import paths
from mcrisk.config.scenario import Grid
from mcrisk.config.variance import VarianceReduction
from mcrisk.paths import codes
from mcrisk.paths.proposal import Proposal, branch_shares, corner_rows
from mcrisk.paths.script import COMPANY, OVERLAY, Script, open_steering, steer
from mcrisk.paths.state import Draws
from mcrisk.paths.value import jump_size
from tests.paths.worlds import liquidity, params, price, scenario

COUNT = 1 << 13
DEFAULT = Grid()
TRUE = (0.67, 0.20, 0.06, 0.06, 0.01)


def world(name="combined", **more):
    one = params(price("near"), liquidity("thin"), scenario(name), grid=DEFAULT, **more)
    return jax.tree.map(lambda x: np.asarray(x)[None], one)


def proposal(wish, markets=1, name="combined", seed=1) -> Proposal:
    keys = [paths.stream_keys(seed, name, f"m{m}", "venue") for m in range(markets)]
    tree = jax.tree.map(lambda x: np.concatenate([x] * markets), world(name))
    return Proposal(
        VarianceReduction.model_validate(wish), tree, DEFAULT, np.array([k.company for k in keys]),
        np.array([k.venue for k in keys]), int(keys[0].common),
    )  # fmt: skip


@jax.jit
def _draw(one, company, venue, u):
    def draw(u):
        return paths.draw_plan(one, company, venue, 0, 0, None, (u[:20].reshape(5, 4), u[20:].reshape(3, 4)))

    return jax.vmap(draw)(u)


def plans(p: Proposal, count=COUNT):
    """(plans of market 0, weights)."""
    drawn = p.draw(0, count)
    u = np.stack(drawn.script.points)[: COMPANY + OVERLAY]
    one = jax.tree.map(lambda x: jnp.asarray(x[0]), p.params)
    return jax.tree.map(np.asarray, _draw(one, p.company[0], p.venue[0], jnp.asarray(u.T))), drawn.weight


def mean_within(sample, expected, standard_errors=5.0):
    error = np.std(sample) / np.sqrt(len(sample))
    assert abs(np.mean(sample) - expected) <= standard_errors * error + 1e-12, (np.mean(sample), expected, error)


WISHES = {
    "share": {"events": {"share": 0.6}},
    "branches": {"events": {"branches": {"cancel": 0.3, "reset_up": 0.3}, "squeeze": 0.4, "feed_error": 0.3}},
    "times": {"times": {"towards": "late", "power": 4.0}},
    "early": {"times": {"towards": "early", "share": 0.3}},
    "sizes": {"sizes": {"share": 0.5, "power": 3.0}},
    "all": {"events": {"share": 0.7, "squeeze": 0.3}, "times": {}, "sizes": {}, "sampling": "stratified"},
    "net": {"events": {"share": 0.7}, "sizes": {}, "sampling": "sobol"},
}


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_weights_undo_what_was_drawn(wish):
    p = proposal(wish)
    plan, w = plans(p)
    mean_within(w, 1.0)
    for branch, share in enumerate(TRUE):
        mean_within(w * (plan.branch == branch), share)
    mean_within(w * (plan.squeeze_from < paths.NEVER), float(p.params.plan.squeeze_probability[0]))
    mean_within(w * (plan.error_from < paths.NEVER), float(p.params.plan.error_probability[0]))
    u = np.stack(p.draw(0, COUNT).script.points)
    for row in u:  # all coordinates are still uniform under the weights: their moments say so
        for power in (1, 2, 3):
            mean_within(w * (row**power - 1.0 / (power + 1)), 0.0)
    plain, ones = plans(proposal({"events": {"share": 0.01}}))  # nothing is rarer than that: neutral
    assert (ones == 1.0).all()
    down = codes.RESET_DOWN_BRANCH
    for field in ("jump", "event_time"):
        for power in (1, 2):
            here, there = (x * (p.branch == down) * (getattr(p, field) / 1e6 if field == "event_time" else p.jump) ** power
                           for x, p in ((w, plan), (ones, plain)))  # fmt: skip
            error = np.hypot(np.std(here), np.std(there)) / np.sqrt(COUNT)
            assert abs(here.mean() - there.mean()) <= 5 * error


def test_a_neutral_proposal_draws_the_plain_uniforms():
    p = proposal({"events": {"share": 0.01}}, markets=2)
    u = np.stack(p.draw(7, 5).script.points).reshape(2, COMPANY + OVERLAY, 5)
    for m in range(2):
        for k, path in enumerate(range(7, 12)):
            words = paths.philox.philox_numpy(p.company[m], path, 0, 0, paths.Purpose.COMPANY, np.arange(5))
            wanted = np.stack([paths.philox.uniform(word) for word in words], axis=-1).ravel()
            np.testing.assert_array_equal(u[m, :COMPANY, k], wanted)


@pytest.mark.parametrize("wish", [WISHES["all"] | {"jumps": {}}, WISHES["net"], WISHES["share"]], ids=("even", "net", "iid"))
def test_a_path_is_a_function_of_its_number(wish):
    whole = proposal(wish)
    far = whole.draw(4096, 64)
    begin = jax.tree.map(np.asarray, whole.draw(0, 256))  # backwards: the nets start again
    parts = [proposal(wish).draw(first, n) for first, n in ((0, 1), (1, 94), (95, 161))]
    for k, leaf in enumerate(jax.tree.leaves(begin)):
        np.testing.assert_array_equal(leaf, np.concatenate([jax.tree.leaves(part)[k] for part in parts]))
    for one, other in zip(jax.tree.leaves(far), jax.tree.leaves(proposal(wish).draw(4096, 64))):
        np.testing.assert_array_equal(one, other)


def test_company_events_are_common_to_venues_and_overlays_are_not():
    for wish in ({"sampling": "sobol"}, {"sampling": "stratified"}):
        a, b = proposal(wish), proposal(wish)
        b.venue = b.venue + np.uint64(1)
        u, v = (np.stack(p.draw(0, 64).script.points) for p in (a, b))
        np.testing.assert_array_equal(u[:COMPANY], v[:COMPANY])
        assert (u[COMPANY:] != v[COMPANY:]).any(axis=1).all()


@pytest.mark.parametrize("sampling", ["stratified", "sobol"])
def test_every_net_has_its_share_of_events(sampling):
    wish = {"sampling": sampling, "events": {"share": 0.5}, "replicates": 8}
    plan, _ = plans(proposal(wish), 8 * 64)
    shares = branch_shares(np.array(TRUE), VarianceReduction.model_validate(wish))
    for net in range(8):
        counts = np.bincount(plan.branch[net::8], minlength=5)
        assert (abs(counts - 64 * shares) <= 1.0).all(), counts  # an interval holds ⌊64 s⌋ or ⌈64 s⌉ points, ± 1 at its ends


def test_shares_add_up_and_leave_nothing_out():
    true = np.array(TRUE)
    for events in ({"share": 0.5}, {"branches": {"cancel": 0.5}}, {"share": 0.9, "branches": {"reset_up": 0.4}},
                   {"branches": {"reset_down": 0.6, "reset_up": 0.3}}):  # fmt: skip
        shares = branch_shares(true, VarianceReduction.model_validate({"events": events}))
        assert shares.sum() == pytest.approx(1.0) and (shares > 0).all()
        for name, share in events.get("branches", {}).items():
            assert shares[("orderly", "delay", "reset_down", "reset_up", "cancel").index(name)] == share
    alone = np.array([0.0, 0.0, 0.5, 0.5, 0.0])  # a scenario of resets only: nothing to force
    np.testing.assert_array_equal(branch_shares(alone, VarianceReduction.model_validate({"events": {"share": 0.8}})), alone)


# ---------------------------------------------------------------- rows
def rows(script_of, steps, dt, rate, common, count, seed=5):
    """(draws of all rows [steps, paths, M], steering at the end) of paths whose raw shocks are numpy's; M = 2 markets."""
    r = np.random.default_rng(seed)
    pair = {"jump_rate": rate, "jump_common": common, "jump_p_up": 0.45, "factor": 0.6, "own": 0.8}
    value = SimpleNamespace(**{name: np.full(2, number) for name, number in pair.items()})
    slope = np.zeros((2, steps + 1))
    tree = SimpleNamespace(jumps="kou", value=value, grid=(slope, np.tile(dt * np.arange(steps + 1.0), (2, 1))))
    u, z = jnp.asarray(r.random((steps, count, 5))), jnp.asarray(r.standard_normal((steps, count, 2)))
    shared, zc = jnp.asarray(r.random((steps, count))), jnp.asarray(r.standard_normal((steps, count)))

    def one(script, u, shared, z, zc):
        def row(steering, x):
            k, u, shared, z, zc = x
            blank = jnp.zeros(2)
            draws = Draws(z, blank, blank + zc, u[:2], u[2:4], blank, blank + shared, blank + u[4])
            clock = SimpleNamespace(dt=jnp.float64(dt), time=(k + 1) * dt)
            moved, steering = steer(tree, steering, draws, clock, k + 1, jnp.bool_(True))
            return steering, (moved, z if moved.z_total is None else moved.z_total)

        first = open_steering(tree, script, 0.0)
        return jax.lax.scan(row, first, (jnp.arange(steps), u, shared, z, zc))

    script = script_of(count)
    return jax.jit(jax.vmap(one, in_axes=(0, 1, 1, 1, 1), out_axes=(0, 1)))(script, u, shared, z, zc)


def test_raised_jumps_are_undone_by_their_ratio():
    steps, dt, rate, common, share, count = 20, 1.0, 0.02, 0.3, 0.5, 1 << 14
    raised = np.arange(count) % 2 == 0  # exactly the share

    def script(n):
        return Script((), jnp.asarray(raised), jnp.full(n, 4.0), jnp.full(n, 2.0), jnp.full(n, 0.4))

    steering, (moved, _) = rows(script, steps, dt, rate, common, count)
    u, shared = moved.u_event, moved.u_common
    p_common = common * rate * dt
    p_own = (rate * dt - p_common) / (1 - p_common)
    weight = 1.0 / (share * np.asarray(steering.ratio) + 1.0 - share)
    assert weight.max() <= 1.0 / (1.0 - share) + 1e-9
    kou = SimpleNamespace(jump_p_up=0.45, jump_up=0.1, jump_down=0.12)
    size = np.asarray(jump_size(kou, "kou", moved.u_size[..., 0], 0.0))
    joint = np.asarray(jump_size(kou, "kou", moved.u_common_size[..., 0], 0.0))
    own, both = np.asarray(u) < p_own, np.asarray(shared[..., 0]) < p_common
    assert own[:, raised].sum() > 3 * own[:, ~raised].sum()
    mean_within(weight, 1.0)
    here, at_once = own[..., 0] & ~both, both
    for law, chance, sample in ((here, p_own * (1 - p_common), size), (at_once, p_common, joint)):
        for f, known in ((lambda x: x, 0.45 * 0.1 - 0.55 * 0.12), (lambda x: x * x, 2 * (0.45 * 0.1**2 + 0.55 * 0.12**2)),
                         (lambda x: x < -0.6, 0.55 * np.exp(-5.0))):  # fmt: skip
            mean_within(weight * np.where(law, f(sample), 0.0).sum(axis=0), steps * chance * known)
    assert (size[here] < -0.6)[:].mean() > 3 * 0.55 * np.exp(-5.0)  # that is what it is for
    for m in range(2):
        mean_within(weight * own[..., m].sum(axis=0), steps * p_own)
        mean_within(weight * (own[..., m].sum(axis=0) == 0), (1 - p_own) ** steps)
    mean_within(weight * both.sum(axis=0), steps * p_common)
    mean_within(weight * (own[..., 0].sum(axis=0) * own[..., 1].sum(axis=0)), (steps * p_own) ** 2)
    rest = (np.asarray(u)[..., 0] - p_own) / (1 - p_own)  # where no jump comes, the uniform is uniform on what is left
    mean_within((weight * np.where(own[..., 0], 0.0, rest - 0.5)).mean(axis=0), 0.0)


def test_the_bridge_is_brownian_and_ends_where_it_must():
    grid = Grid()
    steps, count = grid.steps, 1024
    corners = corner_rows(grid)
    shocks = np.random.default_rng(9).standard_normal((5, count))

    def script(n):
        return Script((), None, None, None, None, tuple(jnp.full(n, float(c)) for c in corners), tuple(jnp.asarray(shocks)))

    steering, (_, z) = rows(script, steps, 2.0, 0.0, 0.0, count)
    z = np.asarray(z)[..., 0]
    np.testing.assert_allclose(np.asarray(steering.rest), 0.0, atol=1e-9)
    walked = np.cumsum(z * np.sqrt(2.0), axis=0)
    np.testing.assert_allclose(walked[-1], np.sqrt(2.0 * steps) * shocks[0], rtol=1e-9, atol=1e-9)
    starts = np.array([0, *corners[:-1]])
    for a, b, move in zip(starts, corners, steering.moves):
        np.testing.assert_allclose(walked[b - 1] - (walked[a - 1] if a else 0.0), np.asarray(move), atol=1e-9)
    for k in (0, 10, corners[1] - 1, corners[1], steps - 1):  # every row's shock is a standard normal …
        mean_within(z[k], 0.0)
        mean_within(z[k] ** 2, 1.0)
    for a, b in ((0, 1), (5, 200), (corners[1] - 1, corners[1]), (steps - 2, steps - 1), (corners[0], steps - 1)):
        mean_within(z[a] * z[b], 0.0)  # … and independent of the others


def test_what_is_not_offered_is_refused_by_name():
    for name in ("antithetic", "splitting"):
        with pytest.raises(ValueError, match=f"'{name}' is not offered: .+; use events"):
            VarianceReduction.model_validate({name: True})
    with pytest.raises(ValueError, match="more than share"):
        VarianceReduction.model_validate({"events": {"share": 0.2, "branches": {"cancel": 0.3}}})
    assert not VarianceReduction().active
