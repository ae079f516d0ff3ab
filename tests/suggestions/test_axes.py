"""The arguments of a search as axes over its trials, as Optuna's plots know them, and how much each matters."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

import neurofit as nf
from neurofit.experiments.experiment import Run
from neurofit.experiments.grid.search import Choices, Integers, Search, Uniform
from neurofit.suggestions.axes import axes
from neurofit.suggestions.point_searches import PointSearch, SearchedTrial
from neurofit.suggestions.suggesting import Request, suggest
from neurofit.suggestions.trial import KnownTrial

CONDITIONAL = {
    "optimizer": ["adam", "sgd"],
    "momentum": lambda optimizer: nf.uniform(0, 0.9) if optimizer == "sgd" else [0, None],
    "units": lambda optimizer: nf.integers(1, 4) if optimizer == "sgd" else nf.integers(3, 9),
}


def searching(**arguments) -> Search:
    return nf.search(
        arguments, trials=2, metric="validation/loss", direction="minimize", sampler="random"
    ).search


def trials(*values: dict) -> list[KnownTrial]:
    return [KnownTrial(number, "done", one, 0.0) for number, one in enumerate(values)]


def point(search: Search, known: list[KnownTrial]) -> PointSearch:
    numbers = {one.number: one.number + 3 for one in known}
    base = Run(0, "1" * 16, "f", {}, {}, trial=0, group="2" * 16)
    found = tuple(SearchedTrial(numbers[one.number], one, one.values) for one in known)
    return PointSearch(search, "", base, numbers, found)


def test_an_axis_has_the_range_of_the_script_and_the_values_by_trial():
    search = searching(x=nf.log_uniform(1e-3, 1), n=nf.integers(1, 8), kind=["a", "b"])
    x, n, kind = axes(search, {}, trials({"x": 0.1, "n": 2, "kind": "b"}, {"x": 0.2, "n": 3, "kind": "a"}))
    assert (x.range, x.values, x.is_log, x.is_list) == (
        Uniform(1e-3, 1, log=True),
        {0: 0.1, 1: 0.2},
        True,
        False,
    )
    assert (n.range, kind.range) == (Integers(1, 8), Choices(("a", "b")))
    assert kind.is_list and not kind.is_log


def test_values_outside_of_what_the_script_says_now_widen_the_axis():
    search = searching(x=nf.uniform(0, 1), n=nf.integers(1, 8), kind=["a", "b"], rate=nf.log_uniform(1, 2))
    values = {"x": 3.5, "n": 20, "kind": "c", "rate": 0.5}
    x, n, kind, rate = axes(search, {}, trials(values, {**values, "x": -1}))
    assert (x.range, n.range) == (Uniform(-1, 3.5), Integers(1, 20))
    assert kind.range == Choices(("a", "b", "c"))
    assert rate.range == Uniform(0.5, 2, log=True)


def test_an_argument_that_the_script_has_added_since_is_an_axis_of_the_later_trials():
    x, y = axes(
        searching(x=nf.uniform(0, 1), y=nf.uniform(0, 1)), {}, trials({"x": 0.5}, {"x": 0.5, "y": 1.0})
    )
    assert (x.values, y.values) == ({0: 0.5, 1: 0.5}, {1: 1.0})


def test_a_conditional_argument_has_an_axis_for_each_kind_and_one_range_for_all_trials():
    known = trials(
        {"optimizer": "sgd", "momentum": 0.5, "units": 2}, {"optimizer": "adam", "momentum": None, "units": 9}
    )
    found = {one.name: one for one in axes(searching(**CONDITIONAL), {}, known)}
    assert list(found) == ["optimizer", "momentum (numbers)", "momentum (list)", "units"]
    assert found["momentum (numbers)"].values == {0: 0.5} and found["momentum (list)"].values == {1: None}
    assert found["units"].range == Integers(1, 9)


def test_a_function_that_fails_for_earlier_values_leaves_them_on_an_axis_of_their_own():
    def of(kind):
        return {"a": nf.log_uniform(1, 2)}[kind]

    found = axes(searching(kind=["a"], x=of), {}, trials({"kind": "a", "x": 1.5}, {"kind": "b", "x": -3.0}))
    assert {one.name: one.values for one in found[1:]} == {
        "x (numbers)": {1: -3.0},
        "x (numbers, logarithmic)": {0: 1.5},
    }


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8, unique=True))
def test_optuna_takes_all_trials_of_any_search_with_one_range_for_each_argument(numbers):
    optuna = pytest.importorskip("optuna")
    from neurofit.suggestions.optuna_trials import quiet, shown_trial

    search = searching(
        rate=nf.log_uniform(1e-5, 1),
        odd=[None, True, 1, [1, 2], {"a": 1}, "1"],
        **CONDITIONAL,
    )
    known = [
        KnownTrial(place, "done", suggest(Request(search, {}, number, "exp3", "group"), []), float(number))
        for place, number in enumerate(numbers)
    ]
    of = point(search, known)
    found = axes(search, {}, known)
    with quiet():
        study = optuna.create_study(direction="minimize")
        study.add_trials([shown_trial(one, found) for one in of.trials])
    assert [one.value for one in study.trials] == numbers
    for name in {name for one in study.trials for name in one.params}:
        assert len({str(one.distributions[name]) for one in study.trials if name in one.params}) == 1
    assert all(one.params["rate"] == trial.values["rate"] for one, trial in zip(study.trials, known))


def planted(number: int) -> dict:
    return {"strong": number * 0.618 % 1, "weak": number * 0.414 % 1, "none": number * 0.732 % 1}


def scored(number: int) -> KnownTrial:
    values = planted(number)
    return KnownTrial(number, "done", values, math.sin(3 * values["strong"]) + 0.1 * values["weak"])


THREE = {name: nf.uniform(0, 1) for name in ("strong", "weak", "none")}


def test_the_argument_that_matters_has_the_greatest_importance():
    pytest.importorskip("sklearn")
    pytest.importorskip("optuna")
    from neurofit.suggestions.importances import importances

    of = point(searching(**THREE), [scored(number) for number in range(60)])
    found = importances(of, axes(of.search, {}, [one.known for one in of.trials]))
    assert next(iter(found)) == "strong" and found["strong"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    assert importances(of, axes(of.search, {}, [one.known for one in of.trials])) == found, "no chance in it"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda known: known[:9], "need 10 finished trials; there are 9"),
        (lambda known: [replace(one, state="pruned") for one in known], "there are 0"),
        (lambda known: [replace(one, value=math.nan) for one in known], "there are 0"),
        (lambda known: [replace(one, value=1.0) for one in known], "differ"),
        (lambda known: [replace(one, values=planted(0)) for one in known], "differ"),
    ],
)
def test_importances_say_why_there_are_none(change, message):
    pytest.importorskip("sklearn")
    pytest.importorskip("optuna")
    from neurofit.suggestions.importances import NoImportances, importances

    of = point(searching(**THREE), change([scored(number) for number in range(12)]))
    with pytest.raises(NoImportances, match=message):
        importances(of, axes(of.search, {}, [one.known for one in of.trials]))


def test_importances_name_the_library_that_is_missing(monkeypatch):
    from neurofit.suggestions.importances import NoImportances, importances

    monkeypatch.setitem(sys.modules, "sklearn", None)
    of = point(searching(**THREE), [scored(number) for number in range(12)])
    with pytest.raises(NoImportances, match="need scikit-learn"):
        importances(of, axes(of.search, {}, [one.known for one in of.trials]))


def test_the_best_trial_has_the_best_finite_value_and_of_equals_comes_first():
    known = [
        KnownTrial(0, "done", planted(0), math.nan),
        KnownTrial(1, "done", planted(1), 2.0),
        KnownTrial(2, "pruned", planted(2)),
        KnownTrial(3, "done", planted(3), 1.0),
        KnownTrial(4, "done", planted(4), 1.0),
        KnownTrial(5, "failed", planted(5)),
        KnownTrial(6, "open", planted(6)),
        KnownTrial(7, "done", planted(7), -math.inf),
    ]
    of = point(searching(**THREE), known)
    assert [one.number for one in of.best_first()] == [3, 4, 1]
    assert of.counts() == {"finished": 3, "pruned": 1, "failed": 3, "open": 1, "new": 0}
    highest = replace(of, search=replace(of.search, direction="maximize"))
    assert [one.number for one in highest.best_first()] == [1, 3, 4]
    assert [one.number for one in of.that_meet(lambda arguments: arguments["weak"] > 0.4).best_first()] == [
        4,
        1,
    ]
