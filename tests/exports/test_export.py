"""`neurofit export`: which tasks, into which folder, and what it refuses. TensorBoard reads what it wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from conftest import Workbench

from neurofit.errors import UsageError
from neurofit.exports import place
from neurofit.exports.records import read_tasks
from neurofit.tables.query import parse_query

pytest.importorskip("tensorboard", reason="tensorboard is not installed")
TO = ("--to", "tensorboard-hparams")
# TensorBoard's own readers, which use TensorFlow's files unless there is this module
READ = """
import json, sys, types
sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups
logs = plugin_event_multiplexer.EventMultiplexer()
logs.AddRunsFromDirectory(sys.argv[1])
logs.Reload()
provider = data_provider.MultiplexerDataProvider(logs, sys.argv[1])
ours = context.RequestContext(), backend_context.Context(base_plugin.TBContext(data_provider=provider)), ""
about = get_experiment.Handler(*ours, api_pb2.GetExperimentRequest()).run()
wanted = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=100, allowed_statuses=[0, 1, 2, 3])
groups = list_session_groups.Handler(*ours, wanted).run()
found = {"hparams": {one.name: api_pb2.DataType.Name(one.type) for one in about.hparam_infos},
         "metrics": [one.name.tag for one in about.metric_infos], "tasks": {}, "tags": {}}
for group in groups.session_groups:
    (session,) = group.sessions
    values = {name: getattr(one, one.WhichOneof("kind")) for name, one in group.hparams.items()}
    scores = {one.name.tag: one.value for one in session.metric_values}
    found["tasks"][group.name] = [values, scores, api_pb2.Status.Name(session.status), session.name]
    found["tags"][group.name] = {
        tag: [[event.step, event.tensor_proto.float_val[0]] for event in logs.Tensors(session.name, tag)]
        for tag in logs.Runs()[session.name]["tensors"] if tag.startswith("history/")
    }
    found.setdefault("text", {})[group.name] = {
        tag: logs.Tensors(session.name, tag)[0].tensor_proto.string_val[0].decode()
        for tag in logs.Runs()[session.name]["tensors"] if tag in ("neurofit.facts", "neurofit.error")
    }
print(json.dumps(found))
"""


def test_tensorboard_reads_arguments_metrics_curves_states_and_where_they_come_from(mixed, reading, tmp_path):
    done = mixed.command("export", "exp3", *TO, "-o", str(tmp_path / "logs"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Saved {tmp_path / 'logs'}: 10 tasks.\n" and "tensorboard --logdir" in done.stderr
    found = json.loads(reading(READ, tmp_path / "logs"))
    assert found["metrics"] == ["test/correlation", "test/mse"]
    kinds = {name: found["hparams"][name] for name in ("rate", "deep", "kind", "sizes", "neurofit.run")}
    assert kinds == {
        "rate": "DATA_TYPE_STRING",  # a number in some runs and text in another
        "deep": "DATA_TYPE_BOOL",
        "kind": "DATA_TYPE_STRING",
        "sizes": "DATA_TYPE_STRING",
        "neurofit.run": "DATA_TYPE_FLOAT64",
    }
    assert len(found["tasks"]) == 10
    values, scores, status, name = found["tasks"]["group/exp3:2/1"]
    (row,) = [one for one in mixed.outcomes("group/exp3") if (one["run"], one["repetition"]) == (2, 1)]
    own = {name: row[name] for name in ("experiment", "run", "repetition", "id", "code", "attempt", "state")}
    assert {f"neurofit.{name}": value for name, value in own.items()}.items() <= values.items()
    given = {"rate": "2", "kind": "plain", "sizes": "[1,2]", "deep": False}
    assert given.items() <= values.items()
    assert (scores, status) == ({"test/correlation": 2.25, "test/mse": 0.5}, "STATUS_SUCCESS")
    assert name == "group/exp3/run-2/rep-1"
    curves = found["tags"]["group/exp3:2/1"]
    assert curves["history/train/loss"] == [[1, 1.0], [2, 0.5], [3, pytest.approx(1 / 3)]]
    assert curves["history/late"] == [[4, 7.0]]
    assert '"best_epoch":2' in found["text"]["group/exp3:2/1"]["neurofit.facts"]
    values, scores, status, _ = found["tasks"]["group/exp3:1/0"]
    assert (values["neurofit.state"], scores, status) == ("failed", {}, "STATUS_FAILURE")
    assert len(found["tags"]["group/exp3:1/0"]) == 3  # its curves until it failed
    assert found["text"]["group/exp3:1/0"]["neurofit.error"].strip() == "ValueError: kind is bad"


def test_only_selected_tasks_are_exported_and_tensorflow_is_not_loaded(mixed, tmp_path):
    code = (
        "import sys; from neurofit.cli import main; status = main(); "
        "assert 'tensorflow' not in sys.modules and not status, status"
    )
    words = [
        "exp3:0-3",
        "--where",
        "rate > 1",
        "--state",
        "done",
        *TO,
        "-o",
        str(tmp_path / "logs"),
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, "export", *words], cwd=mixed.root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["tasks"], answer["not_run"], answer["replaced"]) == (2, 0, False)
    assert sorted(one.name for one in (tmp_path / "logs").rglob("rep-*")) == ["rep-0", "rep-1"]
    assert json.loads((tmp_path / "logs" / place.MARK).read_text())["experiments"] == ["group/exp3"]


def test_a_second_export_doubles_nothing_and_an_earlier_one_is_replaced_whole(mixed, tmp_path):
    target = tmp_path / "logs"
    words = ("export", "exp3", *TO, "-o", str(target))
    assert mixed.command(*words).returncode == 0
    before = sorted(target.rglob("*"))
    again = mixed.command(*words)
    assert again.returncode == 2 and "holds an export of 10 tasks for tensorboard-hparams" in again.stderr
    assert "Add --replace" in again.stderr and sorted(target.rglob("*")) == before
    (target / "group" / "exp3" / "run-9").mkdir()
    third = mixed.command("export", "exp3:0", *TO, "-o", str(target), "--replace", "--json")
    assert json.loads(third.stdout)["replaced"] is True
    assert [one.name for one in (target / "group" / "exp3").iterdir()] == ["run-0"]
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


@pytest.fixture(scope="module")
def ended(tmp_path_factory, processes):
    """A study with one task that is done, which tests only read."""
    bench = Workbench(tmp_path_factory.mktemp("ended") / "study")
    bench.script(
        "group/exp3", "def fit(task, *, x=1):\n    return {'m': x}\nexperiment = nf.Experiment(fit)\n"
    )
    bench.run("group/exp3")
    return bench


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("exp3", "-o", "jobs"), "is a folder with other files"),
        (("exp3", "-o", "jobs", "--replace"), "is a folder with other files"),
        (("exp3", "-o", "jobs/group/exp3.py"), "is a file"),
        (("exp3", "-o", "nowhere/logs"), "does not exist"),
        (("exp3", "-o", "training_data/logs"), "is in training_data/"),
        (("exp3", "-o", "."), "contains this study"),
        (("exp4", "-o", "logs"), "exp4"),
        (("exp3:0", "--state", "failed", "-o", "logs"), "nothing to export"),
        (("exp3", "--where", "speed > 1", "-o", "logs"), "speed"),
        ((), "Missing argument"),
    ],
)
def test_what_cannot_be_exported_is_an_error_and_leaves_nothing(ended, words, message):
    before = sorted(ended.root.rglob("*"))
    done = ended.command("export", *words, *TO)
    assert done.returncode in (1, 2) and message in done.stderr and "Traceback" not in done.stderr
    assert {one for one in ended.root.rglob("*") if ".cache" not in str(one)} == set(before)


def test_a_failed_write_leaves_no_folder(tmp_path):
    def write():
        with place.written(tmp_path / "out", {}) as folder:
            (folder / "half").write_text("")
            raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_tasks_that_run_have_what_they_logged_and_tasks_that_wait_are_left_out(bench, tmp_path):
    bench.script(
        "slow",
        """
        import time
        def fit(task, *, x=1):
            task.log(0.5, loss=1.0)
            task.log(0.75, loss=0.5, other=float("nan"))
            while not (task.study / "go").exists():
                time.sleep(0.02)
            return {"m": x}
        experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2, 3]))
        """,
    )
    bench.submit("slow", bench.runner(text="backend: local\nworkers: 1\n"))
    try:
        bench.wait("slow", until=lambda counts: counts["running"] == 1)
        deadline = 200
        while deadline and not any("0.75" in path.read_text() for path in bench.root.rglob("history.csv")):
            deadline -= 1
            bench.wait("slow", until=lambda counts: True)
        status = bench.status("slow")
        (task,), left = read_tasks(parse_query(bench.study, "slow"), status)
    finally:
        (bench.root / "go").touch()
        bench.wait("slow")
    assert (task.state, task.metrics, left) == ("running", {}, 2)
    assert task.curves["history/loss"] == [(0, 1.0), (1, 0.5)]
    assert [step for step, _ in task.curves["history/other"]] == [1]  # places among all steps
    assert task.started and task.ended is None


def test_a_damaged_history_is_reported_and_the_task_exported_without_it(mixed):
    status = mixed.status("group/exp3")
    history = next(mixed.root.rglob("rep-00/attempt-01/history.csv"))
    history.write_text("step,loss\n1,abc\n")
    tasks, _ = read_tasks(parse_query(mixed.study, "exp3"), status)
    assert len(tasks) == 10 and sum(not one.curves for one in tasks) == 1
    assert any("damaged row" in one and "without its curves" in one for one in status.problems)


def test_a_folder_that_an_export_did_not_write_is_never_replaced(tmp_path, bench):
    target = tmp_path / "mine"
    target.mkdir()
    place.check(target, bench.study, replace=False)  # an empty one is taken
    (target / "thesis.tex").write_text("")
    for replace in (True, False):
        with pytest.raises(UsageError, match="with other files"):
            place.check(target, bench.study, replace=replace)
    (target / place.MARK).write_text("torn {")
    with pytest.raises(UsageError, match="with other files"):
        place.check(target, bench.study, replace=True)
    link = tmp_path / "link"
    shutil.rmtree(target)
    link.symlink_to(target)
    with place.written(link, {"tasks": 0}) as folder:
        (folder / "a").write_text("")
    assert link.is_symlink() and (target / "a").exists()
