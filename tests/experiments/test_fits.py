"""A user's fit becomes an object with known types, whatever optional attributes it has."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import pytest

from neurofit.errors import GridError
from neurofit.experiments.fits import REQUIRED, FitAdapter


def plain(task, *, lr=0.1, n):
    return {"lr": lr, "n": n}


def anything(task, **rest):
    return rest


class Whole:
    architectures = ("dog", "gabor")
    views = ("filters",)

    def __init__(self):
        self.seen = []

    def arguments(self):
        return {"n": 3}

    def check(self, params):
        self.seen.append(params)

    def settings(self):
        return {"loss": "poisson"}

    def defaults(self, params):
        return {"n": 3, "m": 4}

    def prepare(self, study):
        self.seen.append(study)

    def load(self, folder):
        return folder

    def view(self, folder, name, neurons):
        return [{"kind": name}]

    def ensemble(self, folders):
        return folders

    def together(self, tasks):
        return [{"n": 1} for _ in tasks]

    def __call__(self, task):
        return task.params


def test_a_function_answers_for_every_optional_attribute():
    fit = FitAdapter(plain)
    assert fit.name == "plain" and fit.architectures() == ["plain"] and fit.settings() == {"fit": "plain"}
    assert fit.arguments() == {"lr": 0.1, "n": REQUIRED} and not fit.accepts_any
    assert fit.defaults({"n": 1}) == {"lr": 0.1}
    assert (fit.together, fit.load, fit.view, fit.views, fit.ensemble) == (None, None, None, (), None)
    fit.check({"n": 1})
    fit.prepare("study")
    assert fit.call(SimpleNamespace(params={"n": 2, "other": 3})) == {"lr": 0.1, "n": 2}


def test_a_fit_with_all_attributes_is_asked_for_each():
    fit = FitAdapter(Whole())
    fit.check({"n": 1})
    fit.prepare("study")
    assert fit.fit.seen == [{"n": 1}, "study"]
    assert fit.arguments() == {"n": 3} and fit.defaults({"n": 1}) == {"m": 4} and not fit.accepts_any
    assert fit.architectures() == ["dog", "gabor"] and fit.settings() == {"loss": "poisson"}
    assert fit.load("f") == "f" and fit.ensemble(["f"]) == ["f"] and fit.together([1, 2]) == [{"n": 1}] * 2
    assert fit.views == ("filters",) and fit.view("f", "filters", None) == [{"kind": "filters"}]
    assert fit.call(SimpleNamespace(params={"n": 2})) == {"n": 2}


def test_a_function_with_any_argument_gets_all_of_them():
    assert FitAdapter(anything).accepts_any
    assert FitAdapter(anything).call(SimpleNamespace(params={"a": 1})) == {"a": 1}
    assert FitAdapter(lambda task: {}).accepts_any


def test_a_partial_function_has_the_name_of_its_function():
    assert FitAdapter(functools.partial(plain, n=1)).name == "plain"


@pytest.mark.parametrize("fit", [3, Whole, lambda: {}])
def test_what_cannot_be_called_with_a_task_is_an_error(fit):
    with pytest.raises(GridError):
        FitAdapter(fit)
