"""Which trials are ended early: the same as Optuna's pruners end, the poor ones, and seldom the best."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import neurofit as nf
from neurofit.experiments.grid.search import Search
from neurofit.suggestions.pruning import Pruner
from neurofit.suggestions.trial import KnownTrial

STEPS = 27
VALUES = st.integers(-8, 8).map(float) | st.just(math.nan)  # few, so that there are equal ones


def searching(pruner: str | None, direction: str = "maximize") -> Search:
    return nf.search(
        x=nf.uniform(0, 1), trials=100, metric="score", pruner=pruner, direction=direction
    ).search


def ends(pruner, known, number, steps, direction="maximize", most_steps=None) -> bool:
    return Pruner(searching(pruner, direction), known, "group", most_steps=most_steps).should_prune(
        number, steps
    )


def done(number: int, *values: float) -> KnownTrial:
    return KnownTrial(number, "done", {}, values[-1], dict(enumerate(values, 1)))


# What Optuna decides. Its trials have their numbers: those that are not known are placeholders.


def optuna_ends(pruner, known, number, steps, direction) -> bool:
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    states = {
        "done": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
        "open": TrialState.RUNNING,
    }
    by_number = {one.number: one for one in known}
    before = dict(sorted(steps.items())[:-1])

    def told(place: int, rungs: dict[str, float]) -> optuna.trial.FrozenTrial:
        if place == number:
            return create_trial(state=TrialState.RUNNING, intermediate_values=dict(steps), system_attrs=rungs)
        one = by_number.get(place)
        if one is None:
            return create_trial(state=TrialState.FAIL)
        return create_trial(
            state=states[one.state],
            value=one.value,
            intermediate_values=dict(one.steps),
            system_attrs=rungs,
        )

    def study(rungs: dict[int, dict[str, float]]) -> optuna.Study:
        made = optuna.create_study(study_name="group", direction=direction, pruner=pruner)
        made.add_trials([told(place, rungs.get(place, {})) for place in range(max([number, *by_number]) + 1)])
        return made

    rungs = {}
    if isinstance(pruner, optuna.pruners.HyperbandPruner):
        first = study({})
        pruner._try_initialization(first)
        if not pruner._pruners:
            return False
        for trial in first.trials:
            history = before if trial.number == number else trial.intermediate_values
            rungs[trial.number] = _rungs(pruner._pruners[pruner._get_bracket_id(first, trial)], history)
    last = study(rungs)
    return bool(pruner.prune(last, last.trials[number]))


def _rungs(bracket, steps) -> dict[str, float]:
    """What Optuna's pruner notes for a trial that is asked about after every step, and goes on."""
    noted: dict[str, float] = {}
    for step, value in sorted(steps.items()):
        while not math.isnan(value) and step >= bracket._min_resource * 3 ** (
            bracket._min_early_stopping_rate + len(noted)
        ):
            noted[f"completed_rung_{len(noted)}"] = value
    return noted


@st.composite
def histories(draw) -> tuple[list[KnownTrial], int, dict[int, float], str]:
    known = []
    stride = draw(st.sampled_from([1, 2, 9]))
    numbers = draw(st.lists(st.integers(0, 60), min_size=0, max_size=25, unique=True))
    length = draw(st.integers(1, STEPS - 1))

    def steps(longest: int) -> dict[int, float]:
        values = draw(st.lists(VALUES, min_size=1, max_size=max(longest // stride, 1)))
        return {stride * place: value for place, value in enumerate(values)}

    for number in numbers:
        state = draw(st.sampled_from(["done", "done", "pruned", "failed", "open"]))
        known.append(KnownTrial(number, state, {}, 1.0 if state == "done" else None, steps(STEPS - 1)))
    number = draw(st.integers(0, 60).filter(lambda one: one not in numbers))
    return known, number, steps(length), draw(st.sampled_from(["maximize", "minimize"]))


@pytest.mark.filterwarnings("ignore:All-NaN")  # of Optuna
@settings(max_examples=60, deadline=None)
@given(histories())
def test_the_median_rule_decides_as_optuna(history):
    from optuna.pruners import MedianPruner

    known, number, steps, direction = history
    expected = optuna_ends(MedianPruner(n_startup_trials=5), known, number, steps, direction)
    assert ends("median", known, number, steps, direction) == expected


@settings(max_examples=60, deadline=None)
@given(histories(), st.sampled_from([10, 27, 54]))
def test_hyperband_decides_as_optuna(history, most):
    from optuna.pruners import HyperbandPruner

    known, number, steps, direction = history
    if max(steps) >= most:
        steps = {0: steps[0]}
    pruner = HyperbandPruner(min_resource=max(most // 27, 1), max_resource=most, reduction_factor=3)
    expected = optuna_ends(pruner, known, number, steps, direction)
    assert ends("hyperband", known, number, steps, direction, most_steps=most) == expected


@settings(max_examples=60, deadline=None)
@given(histories())
def test_hyperband_finds_the_number_of_steps_as_optuna(history):
    from optuna.pruners import HyperbandPruner

    known, number, steps, direction = history
    expected = optuna_ends(HyperbandPruner(), known, number, steps, direction)
    assert ends("hyperband", known, number, steps, direction) == expected


def test_one_trial_after_the_other_is_ended_where_optuna_ends_it():
    """Optuna with one worker, asked at every step: its own notes of rungs, not ours."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name, pruner in (
        ("median", optuna.pruners.MedianPruner(n_startup_trials=5)),
        ("hyperband", optuna.pruners.HyperbandPruner(1, STEPS, 3)),
    ):
        study = optuna.create_study(study_name="group", direction="maximize", pruner=pruner)
        curves = planted(60, seed=0)[1]
        known: list[KnownTrial] = []
        ended = 0
        for number, curve in enumerate(curves):
            trial, steps = study.ask(), {}
            ours = Pruner(searching(name), known, "group", most_steps=STEPS)
            for step, value in enumerate(curve):  # from 0, as Optuna counts
                trial.report(value, step)
                steps[step] = value
                stops = trial.should_prune()
                assert ours.should_prune(number, steps) == stops
                if stops:
                    break
            state = "pruned" if stops else "done"
            study.tell(trial, None if stops else value, optuna.trial.TrialState.PRUNED if stops else None)
            known.append(KnownTrial(number, state, {}, None if stops else value, steps))
            ended += stops
        assert 30 <= ended < 60


# A planted problem: curves whose early values predict the end


def planted(trials: int, seed: int, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """How good each trial is, shape (trials,), and its values at every step, (trials, STEPS)."""
    draw = np.random.default_rng(seed)
    quality = draw.random(trials)
    rise = 1 - np.exp(-np.arange(1, STEPS + 1) / 5)
    return quality, quality[:, None] * rise + noise * draw.standard_normal((trials, STEPS))


def run(pruner: str, seed: int, stride: int = 1) -> tuple[np.ndarray, dict[int, KnownTrial]]:
    """The trials of a search of 100 with four workers that take turns at random."""
    quality, curves = planted(100, seed)
    draw = np.random.default_rng(1000 + seed)
    search = searching(pruner)
    waiting, running, ended = list(range(100)), {}, {}
    while waiting or running:
        while waiting and len(running) < 4:
            running[waiting.pop(0)] = {}
        number = int(draw.choice(list(running)))
        steps = running[number]
        steps[stride * (len(steps) + 1)] = float(curves[number, len(steps)])
        known = [
            *ended.values(),
            *(KnownTrial(one, "open", {}, None, dict(two)) for one, two in running.items()),
        ]
        if Pruner(search, known, f"group {seed}", most_steps=STEPS * stride).should_prune(number, steps):
            ended[number] = KnownTrial(number, "pruned", {}, None, running.pop(number))
        elif len(steps) == STEPS:
            ended[number] = KnownTrial(number, "done", {}, float(curves[number, -1]), running.pop(number))
    return quality, ended


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_half_of_the_trials_end_early_and_the_best_seldom(pruner):
    kept, shares = 0, []
    for seed in range(20):
        quality, trials = run(pruner, seed)
        best = int(np.argmax(quality))
        kept += trials[best].state == "done"
        early = [one for one in trials.values() if one.state == "pruned"]
        assert len(early) >= 50
        assert all(max(one.steps) < STEPS for one in early)
        shares.append(sum(len(one.steps) for one in trials.values()) / (100 * STEPS))
        finished = [number for number, one in trials.items() if one.state == "done"]
        assert quality[best] - max(quality[finished]) < 0.05
    assert kept >= 18
    assert np.median(shares) < 0.45


def test_steps_may_be_any_numbers():
    """100, 200, … are the same as 1, 2, …"""
    few, many = run("hyperband", 3), run("hyperband", 3, stride=100)
    assert [(n, one.state) for n, one in few[1].items()] == [(n, one.state) for n, one in many[1].items()]


def test_the_median_rule_never_ends_the_best_so_far_and_waits_for_five():
    known = [done(number, 0.1 * number, 0.2 * number) for number in range(4)]
    assert not ends("median", known, 9, {1: -5.0})
    known.append(done(4, 0.4, 0.8))
    assert ends("median", known, 9, {1: 0.1})
    assert not ends("median", known, 9, {1: 0.1}, direction="minimize")
    assert ends("median", known, 9, {1: 0.3}, direction="minimize")
    assert not ends("median", known, 9, {1: 0.2})
    assert not ends("median", known, 9, {1: 0.5, 2: 0.1})  # its best so far is above
    assert not ends("median", known, 9, {3: -1.0})  # a step that no other has logged


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_what_is_not_a_number_is_worst(pruner, direction):
    known = [done(number, 0.5, 0.5) for number in range(40)]
    ended = [ends(pruner, known, n, {1: math.nan, 2: math.nan}, direction, 2) for n in range(40, 60)]
    assert not any(ended)  # a fit ends at 2: there is nothing to save
    ended = [ends(pruner, known, n, {1: math.nan}, direction, 27) for n in range(40, 100)]
    assert all(ended) if pruner == "median" else sum(ended) > 20  # those whose bracket looks at step 1


def test_hyperband_ends_none_until_it_knows_how_long_a_fit_is():
    running = [KnownTrial(number, "open", {}, None, {1: 1.0, 2: 1.0}) for number in range(40)]
    worst = {1: 0.0}
    assert not any(ends("hyperband", running, number, worst) for number in range(40, 100))
    known = [*running, done(40, *[1.0] * 26)]
    assert sum(ends("hyperband", known, number, worst) for number in range(41, 100)) > 20


def test_hyperband_decides_at_the_next_question_where_it_was_not_asked_at_a_rung():
    known = [done(number, *[1.0] * 27) for number in range(40)]
    pruner = Pruner(searching("hyperband"), known, "group", most_steps=27)
    steps = {1: 0.0, 2: 0.0}
    at_once = [pruner.should_prune(number, {1: 0.0}) for number in range(40, 100)]
    assert sum(at_once) > 20
    assert [pruner.should_prune(number, steps, asked=-1) for number in range(40, 100)] == at_once
    assert not any(pruner.should_prune(number, steps, asked=1) for number in range(40, 100))


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_what_is_known_of_the_trial_itself_and_the_order_do_not_count(pruner):
    curves = planted(60, 5)[1]
    known = [done(number, *curve) for number, curve in enumerate(curves)]
    steps = dict(enumerate(curves[7][:9], 1))
    without = [one for one in known if one.number != 7]
    running = [*without, KnownTrial(7, "open", {}, None, dict(list(steps.items())[:4]))]
    answers = {ends(pruner, one, 7, steps, most_steps=STEPS) for one in (without, running, running[::-1])}
    assert len(answers) == 1


def test_without_a_pruner_or_a_step_every_trial_goes_on():
    known = [done(number, 1.0, 1.0) for number in range(50)]
    assert not ends(None, known, 60, {1: -1.0})
    for pruner in ("median", "hyperband"):
        assert not any(ends(pruner, known, number, {}, most_steps=27) for number in range(50, 99))
        assert not ends(pruner, [], 0, {1: 0.0}, most_steps=27)


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_decision_is_quick(pruner):
    curves = np.random.default_rng(0).random((1000, 20))
    known = [done(number, *map(float, curve)) for number, curve in enumerate(curves)]
    started = time.process_time()
    ready = Pruner(searching(pruner), known, "group", most_steps=20)
    assert time.process_time() - started < 0.5
    started = time.process_time()
    for number in range(100):
        ready.should_prune(2000 + number, dict.fromkeys(range(1, 15), 0.5))
    assert (time.process_time() - started) / 100 < 0.005


@pytest.mark.process
def test_a_fit_imports_neither_optuna_nor_numpy_for_it():
    script = (
        "import sys; from neurofit.suggestions import pruning; "
        "print([one for one in ('optuna', 'numpy', 'scipy') if one in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
