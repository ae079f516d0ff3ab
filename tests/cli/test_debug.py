"""`neurofit debug`: a task again, in an attempt that never counts."""

from __future__ import annotations

import json
import os
import pty
import shutil

import pytest

FIT = """
import os, random
import neurofit as nf

def slow(x):
    return sum(range(1000 * x))

def fit(task, *, x=1):
    slow(x)
    if x == 3 and not (task.study / "mended").exists():
        raise ValueError(f"x={x} is too much")
    return {"score": x + random.random(), "threads": int(os.environ.get("OMP_NUM_THREADS", 0))}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2, 3]), repetitions=2)
"""
READS = """
import neurofit as nf
def fit(task):
    task.uses(task.study / "data" / "values.txt")
    return {"m": float((task.study / "data" / "values.txt").read_text())}
experiment = nf.Experiment(fit)
"""


def state(study) -> dict[str, bytes]:
    folder = study.root / "training_data"
    kept = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".scratch", ".code"}.intersection(path.parts)
    }
    said = [study(*words, code=None).stdout for words in (["status", "tries"], ["results", "tries"])]
    return {**kept, "said": "\n".join(said).encode()}


def test_a_task_again_in_the_environment_of_its_job_changes_nothing(study):
    study.script("tries", FIT)
    study("submit", "tries:0,2/0", code=None)
    before = state(study)

    answer = study("debug", "tries:0/0", "--profile", env={"OMP_NUM_THREADS": "2", "TF_TOKEN_x": "secret"})
    assert "The metrics equal those of attempt 1, which counts." in answer.stdout  # threads too
    assert "OMP_NUM_THREADS=1" in answer.stderr and answer.stderr.count("tries:0/0") == 1
    assert "slow" in answer.stdout and "secret" not in answer.stderr
    assert len(list(study.root.glob("training_data/tries/.scratch/*/attempt-01/profile.pstats"))) == 1
    found = json.loads(study("debug", "tries:1/1", "--json").stdout)
    assert found["state"] == "done" and found["counts"] is None  # never ran, and stays new

    own, theirs = pty.openpty()
    os.write(own, b"p x + 39\nq\n")
    answer = study("debug", "tries:2", "--pdb", code=3, stdin=theirs)
    os.close(own)
    os.close(theirs)
    assert "42" in answer.stdout

    (study.root / "mended").touch()
    assert "tries:2/0: done" in study("debug", "tries:2").stdout  # failed, and stays failed
    study.script("tries", FIT.replace("x + random", "x + 1 + random"))
    answer = study("debug", "tries:0")
    assert "differ from those of attempt 1" in answer.stdout and "ran other code" in answer.stderr
    study.script("tries", FIT)
    assert state(study) == before


def test_a_run_that_was_never_submitted_is_not_registered(study):
    study.script("tries", FIT)
    assert "done" in study("debug", "tries:1/1").stdout
    assert study("status").stdout == "No experiment has been submitted yet.\n"
    assert not (study.root / "training_data" / "tries" / "runs.jsonl").exists()
    study.script("tries", FIT.replace("[1, 2, 3]", "[5, 6]"))
    study("submit", "tries", code=None)
    registry = (study.root / "training_data" / "tries" / "runs.jsonl").read_text()
    study.script("tries", FIT.replace("[1, 2, 3]", "[5, 6, 7]"))
    assert "tries:2/1: done" in study("debug", "tries:2/1").stdout
    assert (study.root / "training_data" / "tries" / "runs.jsonl").read_text() == registry


def test_the_code_that_was_recorded_runs_whatever_the_script_has_become(study):
    (study.root / "jobs" / "helper.py").write_text("OFFSET = 1\n")
    helped = FIT.replace("import os, random", "import os, random, helper").replace(
        "x + ", "x + helper.OFFSET + "
    )
    study.script("tries", helped)
    study("submit", "tries:0/0")
    (study.root / "jobs" / "helper.py").write_text("OFFSET = 22\n")
    assert "differ from those of attempt 1" in study("debug", "tries:0").stdout
    for script in (helped, "def fit(:", helped.replace("[1, 2, 3]", "[8, 9]")):
        study.script("tries", script)
        answer = study("debug", "tries:0/0", "--recorded-code")
        assert "The metrics equal those of attempt 1, which counts." in answer.stdout
        assert "Code of attempt 1, as submitted in " in answer.stderr and "other code" not in answer.stderr
    (study.root / "jobs" / "tries.py").unlink()
    before = state(study)
    assert "The metrics equal" in study("debug", "tries:0/0", "--recorded-code").stdout
    found = json.loads(study("debug", "tries:0/0", "--recorded-code", "--json").stdout)
    assert found["code"] == found["counts"]["code"] and found["scratch"] is True
    assert state(study) == before
    assert "tries:1/0 has no attempt" in study("debug", "tries:1/0", "--recorded-code", code=2).stderr
    assert "no experiment" in study("debug", "others:1/0", "--recorded-code", code=None).stderr.lower()
    shutil.rmtree(study.root / "training_data" / ".code")
    said = study("debug", "tries:0/0", "--recorded-code", code=2).stderr
    assert "was removed" in said and "Leave out --recorded-code" in " ".join(said.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tries"], "names no task"),
        (["tries:0-1"], "selects several tasks"),
        (["tries:9"], "no run 9"),
        (["tries:0/7"], "tries has no repetition 7: its runs have repetitions 0 to 1"),
        (["tries:0", "--pdb"], "--pdb needs a terminal"),
    ],
)
def test_what_is_not_one_task_is_refused_in_words(study, words, said):
    study.script("tries", FIT)
    answer = study("debug", *words, code=2)
    assert said in answer.stderr and "Traceback" not in answer.stderr


def test_data_that_have_changed_since_are_named(study):
    study.script("reads", READS)
    (study.root / "data").mkdir(exist_ok=True)
    (study.root / "data" / "values.txt").write_text("1")
    study("submit", "reads", code=None)
    (study.root / "data" / "values.txt").write_text("2")
    answer = study("debug", "reads:0/0")
    assert "The metrics differ from those of attempt 1" in answer.stdout
    assert "Attempt 1, which counts, read other data: data/values.txt changed since." in answer.stderr
