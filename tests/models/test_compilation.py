"""What XLA has compiled for one task is used by the next: no bit of a result changes, and nothing can fail a task."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("tasks_in_turn.py")

RUNS = [  # each is another program; most have the names, shapes and inputs of the first
    {},
    {"l2": 0.02},
    {"layers": 2},
    {"batch_size": 128},  # one batch, which is not full
    {"function": "tanh"},
    {"dropout": 0.5},
    {"rate_factors": {"core*": 0.5}},
    {"rate_factors": {"core*": 0.25}},  # the same program as the last one, which is given the factors
    {"unit_rates": "train"},
    {"loss": "gaussian"},
    {"weight_decay": 0.1, "optimizer": "adamw"},
    {"weight_decay": 0.2, "optimizer": "adamw"},
    {"holes": True},
]
GROUPS = [{"together": 2}, {"together": 2, "l2": 0.02}, {"together": 3}]


def trained(folder: Path, tasks: list[dict], harm: str | None) -> tuple[list[dict[str, np.ndarray]], str]:
    folder.mkdir()
    words = [sys.executable, str(PROGRAM), str(folder), json.dumps(tasks), *([harm] if harm else [])]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=900)
    assert done.returncode == 0, done.stderr[-5000:]
    left = [folder / f"{number}.npz" for number in range(len(tasks))]
    return [dict(np.load(path)) for path in left if path.exists()], done.stderr


def assert_equal(found: list[dict], expected: list[dict]) -> None:
    assert expected
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.keys() == other.keys()
        for name in one.keys() - {"found"}:
            np.testing.assert_array_equal(one[name], other[name], err_msg=f"{number} {name}")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The tasks of some runs, each compiled anew."""
    known = {}

    def train(tasks: list[dict]) -> list[dict[str, np.ndarray]]:
        missing = [task for task in tasks if json.dumps(task) not in known]
        made, _ = trained(tmp_path_factory.mktemp("alone") / "tasks", missing, None)
        assert not any(one["found"].any() for one in made)
        known.update(zip(map(json.dumps, missing), made))
        return [known[json.dumps(task)] for task in tasks]

    return train


def in_turns(runs: list[dict], step: int = 1) -> list[dict]:
    """Two tasks of each run: first those of one repetition, then those of the next."""
    return [{**run, "repetition": place * step} for place in range(2) for run in runs]


def test_different_programs_are_never_taken_for_each_other_and_equal_ones_are_found(tmp_path, alone):
    tasks = in_turns(RUNS)
    found, _ = trained(tmp_path / "tasks", tasks, "none")
    same = {"rate_factors": {"core*": 0.25}}
    assert [one["found"].tolist() for one in found] == [[run == same] for run in RUNS] + [[True]] * len(RUNS)
    number = len(RUNS)  # what these compiled themselves is compared below
    assert_equal(found[number:], alone(tasks[number:]))


def test_tensorflow_itself_tells_programs_apart_that_differ_in_a_constant_alone(tmp_path, alone):
    runs = [{}, {"l2": 0.02}, {"function": "tanh"}, {"unit_rates": "train"}]
    tasks = in_turns(runs)
    found, _ = trained(tmp_path / "tasks", tasks, "one key")
    assert sum(one["found"].all() for one in found) == len(tasks) - 1
    assert_equal(found[1:], alone(tasks[1:]))


def test_groups_find_what_earlier_groups_have_compiled(tmp_path, alone):
    tasks = in_turns(GROUPS, step=6)
    found, _ = trained(tmp_path / "tasks", tasks, "none")
    assert [one["found"].tolist() for one in found] == [[False]] * 3 + [[True]] * 3
    assert_equal(found[3:], alone(tasks[3:]))


@pytest.mark.parametrize(
    ("harm", "finds"),
    [
        ("emptied", [False, True, False]),  # the third one knows that they cannot be used
        ("halved", [False, True, False]),
        ("nonsense", [False, True, False]),
        ("flipped", [False, False, False]),
        ("other version", [False, False, True]),
        ("no memory", [False, False, False]),
    ],
)
def test_whatever_is_found_the_task_trains(harm, finds, tmp_path, alone):
    tasks = [{"repetition": number} for number in range(3)]
    found, _ = trained(tmp_path / "tasks", tasks, harm)
    assert [one["found"].tolist() for one in found] == [[one] for one in finds]
    assert_equal(found, alone(tasks))


def test_what_crashes_a_process_is_tried_once(tmp_path, alone):
    tasks = [{"repetition": number} for number in range(4)]
    found, _ = trained(tmp_path / "tasks", tasks, "crash")
    assert [one["found"].tolist() for one in found] == [[False], [False], [False]]
    assert_equal(found, alone([tasks[0], *tasks[2:]]))


def test_a_group_trains_whatever_it_finds(tmp_path, alone):
    tasks = [{"together": 2, "repetition": place} for place in (0, 6)]
    found, _ = trained(tmp_path / "tasks", tasks, "halved")
    assert [one["found"].tolist() for one in found] == [[False], [True]]
    assert_equal(found, alone(tasks))
