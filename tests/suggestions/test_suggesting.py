"""What is suggested: the same for the same knowledge, inside the ranges, and without libraries that are not needed."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

import neurofit as nf
from neurofit.errors import GridError, MissingExtra, install
from neurofit.experiments.grid.params import canonical
from neurofit.experiments.grid.search import SAMPLERS, UNCONDITIONAL, Search
from neurofit.suggestions.suggesting import SPREAD_TRIALS, Request, inside, seed_of, suggest
from neurofit.suggestions.trial import KnownTrial

HERE = ("tpe", "random", "qmc", "cmaes")  # samplers that any range suits and that need no torch
VALUES = st.sampled_from([None, True, False, 0, 1, 1.5, "adam", "", [1, 2], {"a": [1]}, {"b": None}, [], {}])


def searching(sampler: str = "tpe", **arguments) -> Search:
    arguments = arguments or {
        "rate": nf.log_uniform(1e-5, 1e-1),
        "units": nf.integers(8, 256, log=True),
        "optimizer": ["adam", "sgd", None],
    }
    return nf.search(arguments, trials=2, metric="score", sampler=sampler).search


def conditional(sampler: str = "tpe") -> Search:
    return searching(
        sampler,
        depth=nf.integers(1, 4),
        units=lambda depth: nf.integers(4 * depth, 64 * depth),
        optimizer=["adam", "sgd"],
        momentum=lambda optimizer: nf.uniform(0, 0.9) if optimizer == "sgd" else [0, None],
        decay=lambda architecture, depth: (
            nf.log_uniform(1e-6, 1) if architecture == "cnn" else ["none", depth]
        ),
    )


POINT = {"architecture": "cnn"}


def asked(search: Search, number: int, known=(), point=POINT, group: str = "group") -> dict:
    return suggest(Request(search, point, number, "exp3", group), list(known))


def history(
    search: Search, trials: int, states=("done", "done", "pruned", "failed", "open")
) -> list[KnownTrial]:
    """Trials with random arguments."""
    drawn = replace(search, sampler="random")
    cycle = itertools.cycle(states)
    return [
        KnownTrial(
            number,
            state := next(cycle),
            asked(drawn, number),
            math.sin(number) if state == "done" else None,
            {1: 0.1 * number, 2: math.nan} if state == "pruned" else {},
        )
        for number in range(trials)
    ]


@pytest.mark.parametrize("search", [searching, conditional])
@pytest.mark.parametrize("sampler", HERE)
def test_the_same_knowledge_in_any_order_suggests_the_same(search, sampler):
    if sampler in UNCONDITIONAL and search is conditional:
        pytest.skip("refused")
    search = search(sampler)
    known = history(search, 30)
    first = asked(search, 30, known)
    assert asked(search, 30, known[::-1]) == first == asked(search, 30, known[7:] + known[:7])
    assert asked(search, 31, known) != first
    assert asked(search, 30, known, group="another") != first


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_what_has_been_learnt_changes_what_is_suggested(sampler):
    search = searching(sampler)
    known = history(search, 40, ("done",))
    reverse = [replace(one, value=-one.value) for one in known]
    assert asked(search, 40, known) != asked(search, 40, reverse)


@pytest.mark.process
def test_another_process_suggests_the_same_from_the_recorded_numbers():
    """With another hash seed: no order of a set or of a dict gets into a suggestion."""
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]; from test_suggesting import *\n"
        "known = [one for one in history(conditional(), 60) if one.number in json.loads(sys.argv[3])]\n"
        "print(canonical(asked(conditional(), 60, known)))"
    )
    numbers = [n for n in range(60) if n % 3]
    folders = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(nf.__file__))]
    answers = [
        subprocess.run(
            [sys.executable, "-c", script, *folders, json.dumps(numbers)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    here = asked(conditional(), 60, [one for one in history(conditional(), 60) if one.number in numbers])
    assert answers == [canonical(here)] * 2


@st.composite
def searches(draw) -> Search:
    def numbers():
        if draw(st.booleans()):
            log = draw(st.booleans())
            low = draw(st.integers(1 if log else -50, 100))
            return nf.integers(low, low + draw(st.integers(1, 500)), log=log)
        low = draw(st.floats(1e-6, 100))
        high = low * draw(st.floats(1.001, 1e4))
        return nf.log_uniform(low, high) if draw(st.booleans()) else nf.uniform(-low, high)

    def values():
        return draw(st.lists(VALUES, min_size=1, max_size=4))

    arguments = {
        f"a{n}": numbers() if draw(st.booleans()) else values() for n in range(draw(st.integers(1, 3)))
    }
    sampler = draw(st.sampled_from(HERE))
    if sampler not in UNCONDITIONAL and draw(st.booleans()):
        one, other = draw(st.permutations([numbers(), values(), numbers()]))[:2]
        arguments["conditional"] = lambda a0: one if canonical(a0) < "4" else other
    return searching(sampler, **arguments)


@settings(max_examples=60, deadline=None)
@given(searches(), st.sampled_from(["maximize", "minimize"]), st.integers(0, 40))
def test_every_suggestion_lies_in_its_range(search, direction, number):
    search = replace(search, direction=direction)
    found = asked(search, number, history(search, number))
    assert list(found) == list(search.names)
    assert search.ranges(found, POINT) is not None
    assert json.loads(json.dumps(found)) == found


@settings(max_examples=100, deadline=None)
@given(searches(), st.floats(0, 1))
def test_the_share_of_a_value_is_where_it_came_from(search, share):
    for one in search.arguments:
        range = one.given({"a0": 0})
        if hasattr(range, "share"):
            assert range.at(range.share(range.at(share))) == pytest.approx(range.at(share))
            assert 0 <= range.share(range.at(share)) <= 1


def test_first_trials_are_spread_evenly_together():
    search = searching("qmc", x=nf.uniform(0, 1), y=nf.uniform(0, 1))
    for name in "xy":
        values = sorted(asked(search, number)[name] for number in range(8))
        assert [int(8 * value) for value in values] == list(range(8))  # one in each eighth


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "gp"])
def test_samplers_go_on_spreading_until_there_is_something_to_learn_from(sampler):
    search = searching(sampler)
    spread = replace(search, sampler="qmc")
    failed = history(search, 40, ("failed", "open", "failed"))
    assert asked(search, 40, failed) == asked(spread, 40)
    assert asked(search, SPREAD_TRIALS - 1, history(search, SPREAD_TRIALS - 1, ("done",))) == asked(
        spread, SPREAD_TRIALS - 1
    )


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_trials_outside_an_edited_search_are_not_told(sampler):
    before, after = searching(sampler, x=nf.uniform(0, 10)), searching(sampler, x=nf.uniform(0, 5))
    known = history(before, 40, ("done",))
    within = inside(after, POINT, known)
    assert within == [one for one in known if one.values["x"] <= 5] and 0 < len(within) < 40
    assert asked(after, 40, known) == asked(after, 40, within)
    assert inside(searching(sampler, y=nf.uniform(0, 10)), POINT, known) == []


def test_a_function_that_was_edited_and_fails_for_old_values_leaves_them_outside():
    before = searching(x=[1, 2], y=lambda x: nf.uniform(0, x))
    after = searching(x=[1, 2], y=lambda x: nf.uniform(0, {1: 1}[x]))
    known = history(before, 20, ("done",))
    assert {one.values["x"] for one in inside(after, POINT, known)} == {1}


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_failed_trials_and_those_without_a_number_teach_nothing_bad(sampler):
    search = searching(sampler)
    known = history(search, 30, ("done",))
    without = [replace(one, value=math.nan) if one.number % 2 else one for one in known]
    failed = [replace(one, value=None, state="failed") if one.number % 2 else one for one in known]
    none = [replace(one, value=None) if one.number % 2 else one for one in known]
    assert asked(search, 30, without) == asked(search, 30, failed) == asked(search, 30, none)
    infinite = [replace(one, value=math.inf) if one.number == 3 else one for one in known]
    assert search.ranges(asked(search, 30, infinite), POINT)


def test_what_was_suggested_for_the_trial_itself_does_not_count():
    search = searching()
    known = history(search, 30)
    assert asked(search, 12, known) == asked(search, 12, [one for one in known if one.number != 12])


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_learning_finds_a_peak_that_spreading_does_not(sampler):
    def best(sampler: str) -> float:
        search = searching(sampler, x=nf.uniform(-1, 1), y=nf.log_uniform(1e-4, 1))
        known: list[KnownTrial] = []
        for number in range(60):
            values = asked(search, number, known)
            value = -((values["x"] - 0.3) ** 2) - (math.log10(values["y"]) + 2.5) ** 2
            known.append(KnownTrial(number, "done", values, value))
        return max(one.value for one in known)

    assert best(sampler) > max(best("qmc"), best("random"), -0.003)


def test_a_grid_tries_every_combination_once_in_an_order_of_its_own():
    search = searching("grid", a=nf.integers(1, 4), b=["x", {"y": 1}, None])
    order = [canonical(asked(search, number)) for number in range(12)]
    every = [canonical({"a": a, "b": b}) for a in range(1, 5) for b in ("x", {"y": 1}, None)]
    assert sorted(order) == sorted(every) and order != every
    assert order != [canonical(asked(search, number, group="another")) for number in range(12)]
    with pytest.raises(GridError, match="12 combinations has none for trial 12"):
        asked(search, 12)


def test_a_grid_may_be_too_large_to_write_down():
    search = searching("grid", a=nf.integers(0, 2**52), b=nf.integers(0, 2**52))
    assert len({canonical(asked(search, number)) for number in range(50)}) == 50


def test_random_trials_and_seeds_differ_with_each_of_their_names():
    seeds = [
        seed_of("a", "b", 1),
        seed_of("a", "b", 2),
        seed_of("a", "c", 1),
        seed_of("c", "b", 1),
        seed_of("a", "b"),
    ]
    assert len(set(seeds)) == 5 and all(0 <= seed < 2**32 for seed in seeds)
    assert seed_of("exp3", "8c1f", 7) == 3984440246  # recorded suggestions are made again years later


@pytest.mark.parametrize("sampler", UNCONDITIONAL)
def test_samplers_without_conditional_arguments_refuse_them(sampler):
    with pytest.raises(GridError, match=f"'y' depends on other arguments, which the sampler '{sampler}'"):
        searching(sampler, x=[1, 2], y=lambda x: [x])


def test_a_grid_refuses_what_has_no_end():
    with pytest.raises(
        GridError, match=r"x=uniform\(0, 1\) has no end of values, and the sampler 'grid' tries"
    ):
        searching("grid", x=nf.uniform(0, 1))
    with pytest.raises(GridError, match=r"3 trials, but the grid has 2 combinations\. Write trials=2\."):
        nf.search(x=[1, 2], trials=3, metric="m", sampler="grid")
    with pytest.raises(GridError, match=r"1 combination\. Write trials=1"):
        nf.search(x=[1], trials=2, metric="m", sampler="grid")
    with pytest.raises(GridError, match="3 trials, but the grid has 2 combinations"):
        nf.search(x=[1, 2], trials=2, metric="m", sampler="grid").with_trials(3)


@pytest.mark.parametrize(("sampler", "library"), [("tpe", "optuna"), ("cmaes", "cmaes"), ("gp", "optuna")])
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(sampler, library, monkeypatch):
    search = searching(sampler)
    known = history(search, 30)
    monkeypatch.setitem(sys.modules, library, None)
    for name in [name for name in sys.modules if name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=f"'{sampler}' needs {library}, which is not installed") as error:
        asked(search, 30, known)
    assert install("search") in str(error.value)
    assert search.ranges(asked(search, 3, known), POINT)  # the first ones need no library


def test_the_gaussian_process_names_torch(monkeypatch):
    search = searching("gp")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="'gp' needs torch, which is not installed: pip install torch"):
        asked(search, 30, history(search, 30))


@pytest.mark.process
@pytest.mark.parametrize("sampler", ["random", "qmc", "grid"])
def test_samplers_that_do_not_learn_import_no_optuna(sampler):
    script = (
        "import sys, neurofit as nf; from neurofit.suggestions.suggesting import *\n"
        f"search = nf.search(x=[1, 2], trials=2, metric='m', sampler={sampler!r}).search\n"
        "suggest(Request(search, {}, 1, 'exp3', 'group'), [])\n"
        "print([one for one in ('optuna', 'torch', 'cmaes') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_optuna_says_nothing(capfd, recwarn):
    search = conditional()
    asked(search, 30, history(search, 30))
    assert capfd.readouterr() == ("", "") and not recwarn.list


def test_every_sampler_is_one_of_those_that_a_search_may_name():
    from neurofit.suggestions import suggesting

    assert {*suggesting._LEARNING, *suggesting._NOT_LEARNING} == set(SAMPLERS)


@pytest.mark.slow
@pytest.mark.process
def test_a_gaussian_process_answers_from_a_process_of_its_own():
    if importlib.util.find_spec("torch") is None:
        pytest.skip("the sampler 'gp' needs PyTorch, which is no dependency of the tests")
    arguments = {"x": nf.uniform(0, 1), "n": nf.integers(1, 9), "kind": ["a", {"b": 1}]}
    search = nf.search(arguments, trials=20, metric="score", sampler="gp").search
    assert search is not None
    known: list[KnownTrial] = []
    for number in range(12):
        values = suggest(Request(search, {}, number, "exp", "group"), known)
        assert search.ranges(values, {}) is not None
        score = -((values["x"] - 0.3) ** 2) - abs(values["n"] - 4) / 20 - 0.2 * (values["kind"] != "a")
        known.append(KnownTrial(number, "done", values, score))
    last = Request(search, {}, 12, "exp", "group")
    assert suggest(last, known) == suggest(last, known[::-1])
    assert "torch" not in sys.modules
