"""`neurofit search export`: what Optuna reads of it, and what it refuses."""

from __future__ import annotations

import json
import sqlite3

import pytest

pytest.importorskip("optuna")
SEARCH = """
import neurofit as nf

def fit(task, *, x, units, kind="a"):
    if x > 0.9:
        raise ValueError("x is too large")
    for step in (1, 2, 3):
        task.log(step, **{"validation/loss": x + 1 / step})
    if x > 0.7:
        task.record(pruned_at=3)
    return {"validation/loss": float("nan") if 0.6 < x < 0.7 else x + task.repetition}

experiment = nf.Experiment(
    fit,
    nf.grid(kind=["a", "b"]) * nf.search(
        x=nf.uniform(0, 1), units=nf.integers(8, 256, log=True), trials=12, metric="validation/loss",
        direction="minimize", sampler="qmc",
    ),
    repetitions=2,
)
"""
READ = """
import json, optuna, sqlite3, sys
optuna.logging.set_verbosity(optuna.logging.ERROR)
connect = {"creator": lambda: sqlite3.connect(sys.argv[1])}
storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=connect)
found = {}
for name in optuna.get_all_study_names(storage):
    study = optuna.load_study(study_name=name, storage=storage)
    found[name] = {
        "direction": study.direction.name, "metric": study.metric_names, "best": study.best_trial.number,
        "attributes": study.user_attrs,
        "trials": [
            {"number": one.number, "state": one.state.name, "value": one.value, "params": one.params,
             "steps": {str(step): value for step, value in one.intermediate_values.items()},
             "ranges": {key: str(range) for key, range in one.distributions.items()}, "user": one.user_attrs,
             "seconds": one.duration.total_seconds() if one.duration is not None else None}
            for one in study.trials
        ],
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory, make_bench):
    bench = make_bench(tmp_path_factory.mktemp("searched") / "study")
    bench.script("group/exp3", SEARCH)
    return bench


@pytest.fixture
def done(searched, processes):
    if not searched.study.training_data.joinpath("group").exists():
        searched.run("group/exp3")
    return searched


def test_optuna_reads_every_trial_under_its_number(done, reading, tmp_path):
    path = tmp_path / "odd ?#% name.db"
    answer = done.command("search", "export", "exp3", "--optuna", str(path))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == f"Saved {path}: 24 trials in 2 studies.\n" and "optuna-dashboard" in answer.stderr
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [path.name], (
        "nothing is left beside it"
    )
    found = json.loads(reading(READ, path))
    assert list(found) == ["group/exp3 kind=a", "group/exp3 kind=b"]
    rows = {(row["run"], row["repetition"]): row for row in done.outcomes("group/exp3")}
    for place, study in enumerate(found.values()):
        assert (study["direction"], study["metric"]) == ("MINIMIZE", ["validation/loss"])
        assert [one["number"] for one in study["trials"]] == list(range(12))
        values = {}
        for one in study["trials"]:
            first, second = (rows[12 * place + one["number"], repetition] for repetition in (0, 1))
            assert one["params"] == {name: first["params"][name] for name in ("x", "units")}
            assert one["user"]["run"] == first["run"]
            assert one["user"]["arguments"]["kind"] == "ab"[place]
            assert one["seconds"] >= 0 and one["user"]["started"] <= one["user"]["ended"]
            assert one["ranges"]["units"] == "IntDistribution(high=256, log=True, low=8, step=1)"
            x = one["params"]["x"]
            if x > 0.9 or 0.6 < x < 0.7:
                assert (one["state"], one["value"]) == ("FAIL", None)
            elif x > 0.7:
                assert (one["state"], one["value"]) == ("PRUNED", one["steps"]["3"])
            else:
                metrics = [row["metrics"]["validation/loss"] for row in (first, second)]
                assert (one["state"], one["user"]["values"]) == ("COMPLETE", metrics)
                values[one["number"]] = one["value"]
                assert one["value"] == pytest.approx(sum(metrics) / 2)
            if x <= 0.9:
                assert one["steps"] == pytest.approx({str(step): x + 1 / step for step in (1, 2, 3)})
        assert study["best"] == min(values, key=values.get)
        assert {one["state"] for one in study["trials"]} == {"COMPLETE", "PRUNED", "FAIL"}


def test_trials_that_have_not_started_are_placeholders(done, reading, tmp_path):
    done.script("later", SEARCH.replace("trials=12", "trials=6").replace('nf.grid(kind=["a", "b"]) * ', ""))
    done.run("later")
    registry = done.study.training_data / "later" / "runs.jsonl"
    lines = registry.read_text().splitlines()
    with open(registry, "a") as file:  # as a submit leaves it before its jobs start
        record = json.loads(lines[-1])
        for number in (6, 8):  # 7 is missing
            changed = {**record, "run": number, "trial": number, "id": f"{number:016x}"}
            file.write(json.dumps(changed, separators=(",", ":")) + "\n")
    path = tmp_path / "study.db"
    assert done.command("search", "export", "later", "--optuna", str(path)).returncode == 0
    (study,) = json.loads(reading(READ, path)).values()
    assert [one["state"] for one in study["trials"]][6:] == ["WAITING", "FAIL", "WAITING"]
    assert [one["user"].get("run") for one in study["trials"]][5:] == [5, 6, None, 8]


def test_an_earlier_export_is_replaced_when_asked_and_nothing_else_is(done, tmp_path):
    path = tmp_path / "study.db"
    words = ("search", "export", "exp3", "--optuna", str(path))
    assert done.command(*words).returncode == 0
    before = path.read_bytes()
    again = done.command(*words)
    assert again.returncode == 2 and "is an earlier export. Add --replace" in again.stderr
    assert path.read_bytes() == before
    replaced = json.loads(done.command(*words, "--replace", "--json").stdout)
    assert replaced["replaced"] and replaced["studies"] == {"group/exp3 kind=a": 12, "group/exp3 kind=b": 12}
    with sqlite3.connect(path) as file:  # somebody's own study in the same file
        file.execute("INSERT INTO studies (study_name) VALUES ('own')")
    file.close()
    own = path.read_bytes()
    refused = done.command(*words, "--replace")
    assert refused.returncode == 2 and "is not an export of a search" in refused.stderr
    path.write_text("notes")
    assert "is not an export of a search" in done.command(*words, "--replace").stderr
    assert path.read_text() == "notes" and own


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["exp3", "--optuna", "none/study.db"], "The folder none does not exist"),
        (["exp3", "--optuna", "jobs"], "jobs is a folder"),
        (["exp3", "--optuna", "training_data/study.db"], "is in training_data/"),
        (["exp3", "--optuna", "/proc/study.db"], "/proc/study.db"),
        (["exp3:1", "--optuna", "study.db"], "selects tasks"),
        (["grid", "--optuna", "study.db"], "grid has no search"),
        (["waiting", "--optuna", "study.db"], "has no trials yet"),
        (["exp9", "--optuna", "study.db"], "No experiment 'exp9'"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(done, words, message):
    done.script("grid", "experiment = nf.Experiment(lambda task: {'m': 1})")
    done.script("waiting", SEARCH)
    answer = done.command("search", "export", *words)
    assert answer.returncode in (1, 2), answer
    assert message in answer.stderr and "Traceback" not in answer.stderr
    assert not (done.root / "study.db").exists()


def test_without_optuna_the_extra_is_named(done, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['optuna'] = None\n")
    import os

    from conftest import REPOSITORY

    paths = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    answer = done.command(
        "search", "export", "exp3", "--optuna", "study.db", env={**os.environ, "PYTHONPATH": paths}
    )
    assert answer.returncode == 1 and "needs optuna, which is not installed" in answer.stderr, answer.stderr
