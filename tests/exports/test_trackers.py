"""Exports to MLflow and Weights & Biases, where these are installed: read back, without network or trace at home."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

needs_mlflow = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("mlflow", "sqlalchemy", "alembic")),
    reason="mlflow-skinny, sqlalchemy and alembic are not installed",
)
needs_wandb = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
each = pytest.mark.parametrize(
    "kind", [pytest.param("mlflow", marks=needs_mlflow), pytest.param("wandb", marks=needs_wandb)]
)
# The command, with every address that this process connects to on stderr
WATCHED = """
import sys
def seen(event, arguments):
    if event == "socket.connect" and not isinstance(arguments[1], (str, bytes)):
        print("connects to", arguments[1], file=sys.stderr)
    if event == "socket.getaddrinfo":
        print("looks up", arguments[0], file=sys.stderr)
sys.addaudithook(seen)
from neurofit.cli import main
sys.exit(main())
"""
READ_MLFLOW = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}/mlflow.db")
found = {}
for one in client.search_experiments(filter_string="name != 'Default'"):
    for run in client.search_runs([one.experiment_id]):
        about = client.get_run(run.info.run_id)
        curves = {name: [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, name)]
                  for name in about.data.metrics}
        found[run.info.run_name] = [one.name, one.artifact_location, run.info.status, dict(about.data.params),
                                    dict(about.data.metrics), dict(about.data.tags), curves,
                                    run.info.start_time, run.info.end_time]
print(json.dumps(found))
"""


@pytest.fixture
def proxy():
    """A server that stands for the way to any network, and the connections that reached it."""
    server, reached = socket.create_server(("127.0.0.1", 0)), []

    def listen() -> None:
        while True:
            try:
                connection, address = server.accept()
            except OSError:
                return
            reached.append(address)
            connection.close()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", reached
    server.close()


@each
def test_nothing_reaches_a_network_or_the_users_home(mixed, kind, proxy, own_home, tmp_path):
    address, reached = proxy
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
    asked = {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40, "WANDB_RUN_ID": "mine"}
    asked |= {"MLFLOW_TRACKING_URI": "http://192.0.2.1:5000"}
    environment = {**os.environ, **dict.fromkeys(names, address), **asked}
    before = set(own_home.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "export", "exp3:0,1", "--to", kind, "-o", str(tmp_path / "out")],
        cwd=mixed.root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Saved {tmp_path / 'out'}: 4 tasks.\n"
    lines = [line for line in done.stderr.splitlines() if line.startswith(("connects to", "looks up"))]
    assert [line for line in lines if "127.0.0.1" not in line and "localhost" not in line] == []
    assert not reached
    kept = {path for path in set(own_home.rglob("*")) - before if "neurofit" not in path.parts}
    assert {path for path in kept if path.name != ".cache"} == set()
    assert not [one for one in (tmp_path / "out").rglob("*") if one.name.startswith(".")]
    assert not list(mixed.root.rglob("mlruns")) + list(mixed.root.rglob("wandb"))


@needs_mlflow
def test_mlflow_reads_arguments_metrics_curves_states_and_tags(mixed, reading, tmp_path):
    target = tmp_path / "store"
    done = mixed.command("export", "exp3", "--to", "mlflow", "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert "mlflow ui --backend-store-uri sqlite:///" in done.stderr and "INFO" not in done.stderr
    found = json.loads(reading(READ_MLFLOW, target))
    assert len(found) == 10
    experiment, place, status, params, metrics, tags, curves, start, end = found["group/exp3:2/1"]
    assert (experiment, status) == (
        "group/exp3",
        "FINISHED",
    ) and place == f"file://{target}/artifacts/group/exp3"
    assert {"rate": "2", "kind": "plain", "sizes": "[1,2]", "deep": "false"}.items() <= params.items()
    assert (metrics["test/correlation"], metrics["test/mse"]) == (2.25, 0.5)
    assert curves["history/train/loss"] == [[1, 1.0], [2, 0.5], [3, pytest.approx(1 / 3)]]
    (row,) = [one for one in mixed.outcomes("group/exp3") if (one["run"], one["repetition"]) == (2, 1)]
    own = ("experiment", "run", "repetition", "id", "code", "state", "attempt")
    assert {f"neurofit.{name}": str(row[name]) for name in own}.items() <= tags.items()
    assert tags["neurofit.fact.best_epoch"] == "2" and 0 <= end - start < 60_000
    _, _, status, _, metrics, tags, _, _, _ = found["group/exp3:1/0"]
    assert status == "FAILED" and set(metrics) == {
        "history/train/loss",
        "history/test/correlation",
        "history/late",
    }
    assert tags["neurofit.error"] == "ValueError: kind is bad"
    again = mixed.command("export", "exp3", "--to", "mlflow", "-o", str(target))
    assert again.returncode == 2 and len(json.loads(reading(READ_MLFLOW, target))) == 10
    odd = tmp_path / "what?"
    refused = mixed.command("export", "exp3", "--to", "mlflow", "-o", str(odd))
    assert refused.returncode == 2 and "whose path has ?" in refused.stderr
    assert sorted(one.name for one in tmp_path.iterdir() if "what" in one.name) == []


@needs_mlflow
def test_names_that_mlflow_refuses_stay_apart():
    from neurofit.exports.mlflow_store import _named

    found = _named({"a?b": 1, "a*b": 2, "test/mse": 3, "../x": 4, "a//b": 5, "é": 6, "": 7})
    assert found == {"a_b": 1, "a_b_2": 2, "test/mse": 3, "x": 4, "a/b": 5, "_": 6, "__2": 7}


def records(path: Path):
    """What an offline run of W&B holds: a log of protocol buffers in blocks, as LevelDB writes it."""
    from wandb.proto import wandb_internal_pb2

    data, at, held = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        held += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(held)
            held = b""


@needs_wandb
def test_weights_and_biases_has_arguments_metrics_curves_and_states(mixed, tmp_path):
    target = tmp_path / "runs"
    assert mixed.command("export", "exp3", "--to", "wandb", "-o", str(target)).returncode == 0
    files = sorted(target.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 10 == len(list((target / "wandb").iterdir()))
    found = {}
    for file in files:
        run, steps, summary, code = None, [], {}, None
        for one in records(file):
            kind = one.WhichOneof("record_type")
            if kind == "run" and run is None:
                run = one.run
            elif kind == "history":
                items = {
                    ".".join(item.nested_key) or item.key: json.loads(item.value_json)
                    for item in one.history.item
                }
                steps.append(
                    {
                        name: value
                        for name, value in items.items()
                        if not name.startswith("_") or name == "_step"
                    }
                )
            elif kind == "summary":
                summary |= {item.key or item.nested_key[0]: item.value_json for item in one.summary.update}
            elif kind == "exit":
                code = one.exit.exit_code
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert run.run_id in file.name
        found[run.display_name] = run, config, steps, summary, code
    run, config, steps, summary, code = found["group/exp3:2/1"]
    assert (run.project, run.run_group, list(run.tags)) == (
        "group-exp3",
        "group/exp3:2",
        ["group/exp3", "done"],
    )
    assert {"rate": 2, "kind": "plain", "sizes": [1, 2], "deep": False}.items() <= config.items()
    (row,) = [one for one in mixed.outcomes("group/exp3") if (one["run"], one["repetition"]) == (2, 1)]
    own = {name: str(row[name]) for name in ("experiment", "run", "repetition", "id", "code", "state")}
    assert own.items() <= config["neurofit"].items()
    losses = [(one["_step"], one["history/train/loss"]) for one in steps if "history/train/loss" in one]
    assert losses == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert json.loads(summary["test/correlation"]) == 2.25 and code == 0
    run, _, steps, summary, code = found["group/exp3:1/0"]
    assert code == 1 and "test/correlation" not in summary and run.notes == "ValueError: kind is bad"
    ids = {run.run_id for run, *_ in found.values()}
    other = tmp_path / "again"
    assert mixed.command("export", "exp3", "--to", "wandb", "-o", str(other)).returncode == 0
    assert {
        file.stem.removeprefix("run-") for file in other.rglob("*.wandb")
    } == ids  # the same runs for a server


@pytest.mark.parametrize("kind", ["mlflow", "wandb"])
def test_a_library_that_is_absent_is_named_and_nothing_is_written(mixed, kind, tmp_path):
    (mixed.root / kind).mkdir()  # as these libraries write it where they are used
    code = (
        "import importlib.util, sys; found = importlib.util.find_spec; "
        f"importlib.util.find_spec = lambda name, *more: None if name == {kind!r} else found(name, *more); "
        "from neurofit.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "export", "exp3", "--to", kind, "-o", str(tmp_path / "out")],
        cwd=mixed.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and f"An export to {kind} needs {kind}" in done.stderr
    assert "install" in done.stderr and "Traceback" not in done.stderr and not (tmp_path / "out").exists()
