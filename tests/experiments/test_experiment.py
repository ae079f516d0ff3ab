from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

import neurofit as nf
from neurofit.errors import GridError
from neurofit.experiments.experiment import REQUIRED, Experiment, Run, Seeds, Task, call
from neurofit.experiments.grid.grid import grid
from neurofit.experiments.numbering import numbered


def hsm(task, *, filters=9, l2=0.1, activation="linear"):
    return {"filters": filters, "l2": l2}


def anything(task):
    return dict(task.params)


@dataclass
class Live:
    """As much of a live task as `call` looks at."""

    params: dict[str, Any] = field(default_factory=dict)


class Models:
    """A fit with everything that the protocol knows."""

    architectures = {"ln": None, "cnn": None}

    def __init__(self, **settings):
        self.declared = settings
        self.checked = []

    def __call__(self, task):
        return {"score": 1.0}

    def arguments(self):
        return {"architecture": "ln", "width": REQUIRED, "rate": 0.1}

    def settings(self):
        return self.declared

    def check(self, params):
        self.checked.append(dict(params))
        if params.get("architecture") == "cnn" and params["width"] > 8:
            raise GridError("a cnn is at most 8 wide.")

    def defaults(self, params):
        return {"rate": 0.1, "depth": (1, 2)}


# ---- what is checked


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Experiment(3), "fit must be a function, got 3"),
        (lambda: Experiment(Models), r"got the class Models\. Pass an instance, Models\("),
        (lambda: Experiment(lambda: {}), "has no parameters, expected the task"),
        (lambda: Experiment(hsm, {"filters": [1]}), "grid must be a Grid, got .* Write grid="),
        (lambda: Experiment(hsm, repetitions=0), "repetitions must be an integer of at least 1, got 0"),
        (lambda: Experiment(hsm, repetitions=True), "of at least 1, got True"),
        (lambda: Experiment(hsm, repetitions=2.0), "of at least 1, got 2.0"),
        (lambda: Experiment(hsm, split_by="folds"), "or .fold., got folds"),
        (lambda: Experiment(hsm, split_by="fold"), "at least 2 repetitions, got 1"),
        (lambda: Experiment(hsm, grid(filters=[1]).where(lambda filters: False)), "no points"),
        (
            lambda: Experiment(hsm, grid(filters=[1]) + grid(filter=[1])),
            "Run 1: the fit has no argument 'filter'. Did you mean 'filters'\\? Its arguments: filters, l2, "
            "activation",
        ),
        (lambda: Experiment(hsm, grid(filters=[1]).derive(x=lambda filters: 1)), "no argument 'x'"),
        (
            lambda: Experiment(lambda task, *, a: {}, grid()),
            r"Run 0: the required argument 'a'.*axis a=\[…\]",
        ),
        (
            lambda: Experiment(
                Models(), grid(width=[4, 16], architecture=["ln", "cnn"]).where(lambda width: width == 16)
            ),
            "Run 1: a cnn is at most 8 wide",
        ),
    ],
)
def test_what_cannot_be_is_an_error_when_the_experiment_is_made(make, message):
    with pytest.raises(GridError, match=message):
        make()


def test_a_fit_is_asked_once_per_set_of_names_and_architecture():
    fit = Models()
    Experiment(
        fit,
        grid(architecture=["ln", "cnn"], width=[1, 2, 3])
        + grid(width=[4], rate=[1, 2]).derive({"architecture": lambda: "ln"}),
    )
    assert fit.checked == [
        {"architecture": "ln", "width": 1},
        {"architecture": "cnn", "width": 1},
        {"width": 4, "rate": 1, "architecture": "ln"},
    ]


def test_the_public_names_are_these():
    assert nf.Experiment is Experiment
    assert nf.grid is grid


# ---- the fit


def test_the_parameters_of_a_function_after_the_task_are_its_arguments():
    experiment = Experiment(hsm, grid(filters=[4, 16]))
    assert experiment.arguments() == {"filters": 9, "l2": 0.1, "activation": "linear"}
    assert experiment.defaults({"filters": 4}) == {"l2": 0.1, "activation": "linear"}
    assert experiment.settings() == {"fit": "hsm"}
    assert experiment.architectures() == ["hsm"]
    assert not experiment.accepts_any


def test_a_function_of_only_a_task_accepts_anything():
    experiment = Experiment(anything, grid(x=[1], y=["a"]))
    assert experiment.accepts_any
    assert experiment.arguments() == {}


def test_the_fits_own_answers_come_first():
    experiment = Experiment(Models(data="v1"), grid(width=[1]))
    assert experiment.architectures() == ["ln", "cnn"]
    assert experiment.settings() == {"data": "v1"}
    assert experiment.arguments() == {"architecture": "ln", "width": REQUIRED, "rate": 0.1}
    assert experiment.defaults({"width": 1}) == {"rate": 0.1, "depth": [1, 2]}


def test_a_default_that_json_cannot_carry_is_recorded_as_its_repr():
    assert Experiment(lambda task, *, loss=max: {}).defaults({}) == {"loss": "<built-in function max>"}


def test_settings_that_json_cannot_carry_are_an_error():
    with pytest.raises(GridError, match="the fit's settings has the value"):
        Experiment(Models(loss=max), grid(width=[1]))


def test_a_fit_is_called_with_the_arguments_that_it_declares():
    task = Live({"filters": 16, "other": 1})
    assert call(hsm, task) == {"filters": 16, "l2": 0.1}
    assert call(anything, task) == {"filters": 16, "other": 1}
    assert call(lambda task, **rest: rest, task) == {"filters": 16, "other": 1}
    assert call(functools.partial(hsm, l2=3), task) == {"filters": 16, "l2": 3}
    assert call(Models(), task) == {"score": 1.0}


# ---- runs


def test_runs_are_numbered_as_the_grid_wishes():
    runs = Experiment(
        hsm, grid(filters=[4]) + grid(start=7, filters=[9]).derive(l2=lambda filters: filters / 10)
    ).runs()
    assert [run.number for run in runs] == [0, 7]
    assert runs[1].params == {"filters": 9}
    assert runs[1].arguments == {"filters": 9, "l2": 0.9}
    assert runs[1].architecture == "hsm"
    assert {Task(runs[0], 3): "can be a key"}[Task(runs[0], 3)]


def only_id(fit, made=None, **options) -> str:
    return Experiment(fit, made or grid(width=[1]), **options).runs()[0].id


def test_an_id_covers_arguments_settings_architecture_and_split():
    ids = [
        only_id(Models(data="a")),
        only_id(Models(data="b")),
        only_id(Models(data="a"), grid(width=[2])),
        only_id(Models(data="a"), grid(width=[1], rate=[0.1])),
        only_id(Models(data="a"), grid(width=[1]).derive(rate=lambda: 0.5, in_id=True)),
        only_id(Models(data="a"), grid(width=[1], architecture=["cnn"])),
        only_id(Models(data="a"), split_by="repetition"),
        only_id(Models(data="a"), split_by="fold", repetitions=5),
        only_id(Models(data="a"), split_by="fold", repetitions=10),
    ]
    assert len(set(ids)) == len(ids)


def test_an_id_ignores_spelling_computed_values_repetitions_and_the_rest_of_the_grid():
    plain = only_id(Models(data="a"))
    assert only_id(Models(data="a"), grid(width=[1.0, 2])) == plain
    assert only_id(Models(data="a"), grid(width=[1]).derive(rate=lambda: 0.5)) == plain
    assert only_id(Models(data="a"), repetitions=50) == plain
    assert only_id(Models(data="a"), grid(start=9, width=[1])) == plain
    assert only_id(Models(data="a"), split_by="repetition", repetitions=5) == only_id(
        Models(data="a"), split_by="repetition"
    )


def test_a_varied_run_computes_again_and_is_on_the_grid_where_the_grid_has_it():
    experiment = Experiment(hsm, grid(filters=[4, 16]).derive(l2=lambda filters: filters * 10))
    first, second = experiment.runs()
    assert experiment.varied(first, {"filters": 16}) == second
    assert experiment.varied(first, {}) == first
    off = experiment.varied(first, {"filters": 5, "activation": "softplus"})
    assert (off.number, off.params, off.derived) == (
        None,
        {"filters": 5, "activation": "softplus"},
        {"l2": 50},
    )
    given_l2 = experiment.varied(first, {"l2": 3})
    assert (given_l2.number, given_l2.params, given_l2.derived) == (None, {"filters": 4, "l2": 3}, {})


def test_a_varied_run_is_checked():
    experiment = Experiment(Models(), grid(width=[4, 16]))
    with pytest.raises(
        GridError, match=r"These arguments: the fit has no argument 'widht'\. Did you mean 'width'"
    ):
        experiment.varied(experiment.runs()[0], {"widht": 3})
    with pytest.raises(GridError, match="a cnn is at most 8 wide"):
        experiment.varied(experiment.runs()[1], {"architecture": "cnn"})
    with pytest.raises(GridError, match="argument 'width' has the value nan"):
        experiment.varied(experiment.runs()[0], {"width": float("nan")})


def test_a_place_is_given_to_a_copy(tmp_path):
    experiment = Experiment(hsm)
    placed = experiment.at("group/exp3", tmp_path / "exp3.py", hint="slow")
    assert (placed.name, placed.path, placed.hint) == ("group/exp3", tmp_path / "exp3.py", "slow")
    assert experiment.name == ""
    assert placed.runs() == experiment.runs()


# ---- seeds


@given(st.integers(0, 10_000))
def test_streams_are_independent_and_only_the_split_is_shared(seed):
    seeds, following = Seeds(seed), Seeds(seed + 1)
    assert all(0 <= value < 2**31 for value in seeds.record().values())
    assert len(set(seeds.record().values())) == 4
    assert seeds.split == following.split == Seeds(seed, "fold").split
    assert Seeds(seed, "repetition").split != Seeds(seed + 1, "repetition").split
    assert (seeds.init, seeds.shuffle, seeds.noise) != (following.init, following.shuffle, following.noise)


def test_seeds_never_change_between_versions():
    assert Seeds(3).record() == {
        "init": 753919882,
        "shuffle": 912619295,
        "noise": 1054623597,
        "split": 2128025905,
    }


# ---- numbers for ever


def run(number: int, identifier: str) -> Run:
    return Run(number, identifier, "hsm", {}, {})


def numbers_of(runs: list[Run]) -> list[tuple[int, str]]:
    return [(one.number, one.id) for one in runs]


def test_without_a_registry_runs_are_numbered_as_wished():
    assert numbers_of(numbered([run(0, "a"), run(7, "b")], [])) == [(0, "a"), (7, "b")]


def test_what_is_registered_keeps_its_number_and_new_runs_take_free_ones():
    registered = [(0, "a"), (1, "b"), (2, "c")]
    edited = [run(0, "x"), run(1, "a"), run(2, "c"), run(3, "y"), run(4, "z")]
    assert numbers_of(numbered(edited, registered)) == [(5, "x"), (0, "a"), (2, "c"), (3, "y"), (4, "z")]


def test_two_runs_of_one_id_keep_their_two_numbers():
    registered = [(1, "a"), (113, "a")]
    assert numbers_of(numbered([run(1, "a"), run(113, "a")], registered)) == registered
    assert numbers_of(numbered([run(113, "a")], registered)) == [(113, "a")]
    assert numbers_of(numbered([run(5, "a"), run(6, "a"), run(7, "a")], registered)) == [
        (1, "a"),
        (113, "a"),
        (7, "a"),
    ]


grids = st.lists(st.sampled_from("abcdefgh"), max_size=8, unique=True)


def wish(identifiers: list[str], first: int = 0) -> list[Run]:
    return [run(first + place, identifier) for place, identifier in enumerate(identifiers)]


@given(st.lists(st.tuples(grids, grids), min_size=1, max_size=5))
def test_editing_a_grid_never_relabels_a_run(edits):
    registry: list[tuple[int, str]] = []
    for first, second in edits:  # two blocks, which may share runs
        result = numbers_of(numbered(wish(first) + wish(second, 100), registry))
        assert [identifier for _, identifier in result] == first + second
        assert len({number for number, _ in result}) == len(result)
        owner = dict(registry)
        assert all(owner.get(number, identifier) == identifier for number, identifier in result)
        for identifier in set(first + second):
            before = [number for number, known in registry if known == identifier]
            now = {number for number, known in result if known == identifier}
            assert (
                now <= set(before) or set(before) <= now
            )  # a new number only when the old ones are all taken
        registry += [pair for pair in result if pair not in registry]


@given(grids, grids)
def test_a_new_run_gets_its_wish_when_that_is_free(old, new):
    registry = numbers_of(wish(old))
    for wished, given_number in zip(wish(new), numbered(wish(new), registry)):
        if wished.id not in old:
            is_free = wished.number >= len(old)
            assert (given_number.number == wished.number) == is_free
            assert given_number.number >= max(wished.number, len(old))


def test_many_new_runs_before_many_old_ones_are_numbered_at_once():
    many = 20_000
    wished = [run(number, f"new{number}") for number in range(many)]
    registered = [(number, f"old{number}") for number in range(many)]
    assert [one.number for one in numbered(wished, registered)] == list(range(many, 2 * many))


def test_numbering_changes_nothing_but_the_number():
    wished = replace(run(0, "a"), params={"x": 1}, derived={"y": 2})
    assert numbered([wished], [(4, "a")]) == [replace(wished, number=4)]
    assert numbered([wished], [(4, "a")])[0].params == {"x": 1}
