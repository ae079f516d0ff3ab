"""The hand-written loops of `scripts/bench training` train as neurofit's does: the same weights after 20 steps."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import neurofit as nf

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_loops.py"
IMAGES, NEURONS, BATCH, RATE = 80, 12, 16, 1e-3
# Largest difference of a weight after 20 steps of about 1e-3 each. The sums are in another order, so that the last
# digits differ; Adam divides by a gradient's size, which makes more of them where a gradient is nearly 0.
WITHIN = {"float64": 1e-12, "float32": 2e-6}
WAYS = {
    "as measured": {},
    "one vector, nested, missing responses": {"adam": "vector", "nested": True, "missing": True},
}


@pytest.fixture(scope="module")
def loops():
    spec = importlib.util.spec_from_file_location("bench_loops", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module", params=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture(scope="module", params=["hsm", "what_where", "klindt"])
def trained(request, dtype):
    """What the loops are given, and the weights and other variables that neurofit's loop has in the end."""
    from neurofit.models.building import Shapes, build
    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.program import Program

    draw = np.random.default_rng(0)
    images = draw.standard_normal((IMAGES, 31, 31, 1)).astype(dtype)
    responses = draw.poisson(1.0, (IMAGES, NEURONS)).astype(dtype)
    shapes, seeds = (
        Shapes({"image": images.shape[1:]}, {"neurons": NEURONS}),
        SimpleNamespace(init=1, noise=2),
    )
    model = build(getattr(nf.models.architectures, request.param), shapes, {"filters": 8}, seeds, dtype)
    start = [
        [np.array(one.numpy()) for one in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    orders = np.stack([draw.permutation(IMAGES) for _ in range(4)]).astype(np.int32)
    program = Program(
        model,
        nf.models.Training(batch_size=BATCH, learning_rate=RATE),
        Arrays({"image": images}, responses, None),
    )
    state, _, _ = program.epochs(program.start(), orders, RATE)
    program.install(state.weights, state.other)
    return SimpleNamespace(
        name=request.param,
        given=(*start, images, responses),
        orders=orders,
        weights=[one.numpy() for one in model.trainable_variables],
        other=[one.numpy() for one in model.non_trainable_variables],
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_hand_written_loop_has_neurofits_weights_after_twenty_steps(loops, trained, dtype, way):
    loop = loops.Loop(trained.name, *trained.given, loops.Parts(**WAYS[way]))
    loop.run(trained.orders, RATE)
    found = [*loop.weights(), *(one.numpy() for one in loop._other)]
    expected = [*trained.weights, *trained.other]
    assert [one.shape for one in found] == [one.shape for one in expected]
    for one, other, start in zip(found, expected, trained.given[0] + trained.given[1]):
        assert np.abs(other - start).max() > 1e-3, "it was trained"
        assert np.abs(one - other).max() <= WITHIN[dtype]


@pytest.mark.slow
def test_without_penalties_a_hand_written_loop_ends_elsewhere(loops, trained):
    loop = loops.Loop(trained.name, *trained.given, loops.Parts(penalties=False))
    loop.run(trained.orders, RATE)
    apart = max(np.abs(one - other).max() for one, other in zip(loop.weights(), trained.weights))
    assert (apart > 1e-3) == (trained.name != "hsm"), "the HSM has none"


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True], ids=["plain", "xla"])
def test_the_loop_knows_the_size_of_each_batch_and_it_changes_no_bit(jit):
    from neurofit.models.building import Shapes, build
    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.program import Program

    class WithoutSizes(Program):
        def _gathered(self, rows, one):
            seen.add(rows.shape[0])
            unknown = tf.gather(rows, tf.where(rows >= 0)[:, 0])  # all of them
            assert unknown.shape[0] is None
            return super()._gathered(unknown, one)

    import tensorflow as tf

    seen: set[int] = set()
    draw = np.random.default_rng(0)
    images = draw.standard_normal((40, 31, 31, 1)).astype(np.float32)
    data = Arrays({"image": images}, draw.poisson(1.0, (40, NEURONS)).astype(np.float32), None)
    orders = np.stack([draw.permutation(40) for _ in range(3)]).astype(np.int32)
    shapes, seeds = Shapes({"image": (31, 31, 1)}, {"neurons": NEURONS}), SimpleNamespace(init=1, noise=2)
    ends = []
    for kind in (Program, WithoutSizes):
        model = build(nf.models.architectures.what_where, shapes, {"filters": 4}, seeds)
        program = kind(model, nf.models.Training(batch_size=BATCH, jit=jit), data)
        state, cost, penalised = program.epochs(program.start(), orders, RATE)
        ends.append((state.weights, *state.moments, cost, penalised))
    assert seen == {16, 8}
    for one, other in zip(*ends):
        np.testing.assert_array_equal(one, other)
