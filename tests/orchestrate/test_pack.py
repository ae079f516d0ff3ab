"""Packed experiments: every reader answers as before, and whatever is started later goes on from them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import neurofit
from neurofit import packed
from neurofit.cli import application
from neurofit.exports.records import read_tasks
from neurofit.orchestrate import pack
from neurofit.orchestrate.clean import remove, survey
from neurofit.store import inputs
from neurofit.store.layout import ExperimentFiles
from neurofit.tables import loading
from neurofit.tables.query import parse_query

pytestmark = pytest.mark.process

STUDIED = """
    import numpy as np
    class Linear:
        views = ("weights",)
        def __call__(self, task):
            print("gain", task.params["gain"], "seed", task.seed)
            for step in range(4):
                task.log(step, **{"loss": task.params["gain"] / (step + 1), "train/mse": 1 / (step + 1)})
            (task.folder / "model").mkdir()
            np.save(task.folder / "model" / "weights.npy", np.full((8, 8), task.params["gain"] + task.seed))
            (task.folder / "latest").symlink_to("model/weights.npy")
            (task.folder / "recipe.json").write_text('{"layers": ["dense"]}')
            (task.folder / "neurons.csv").write_text(
                "recording,number,correlation\\n" + "".join(f"a,{n},{n / 10}\\n" for n in range(5)))
            numbers = np.arange(20.0).reshape(4, 5) + task.seed
            np.savez(task.folder / "predictions.npz", predictions=numbers, responses=numbers + 1,
                     mask=np.ones((4, 5), bool), part=np.array(["validation", "test", "test", "test"]),
                     image_id=np.arange(4), recording=np.array(["a"] * 5), number=np.arange(5))
            if task.params["gain"] == 3 and task.repetition == 1:
                raise ValueError("too much gain")
            return {"test/correlation": 0.1 * task.params["gain"] + 0.01 * task.repetition}
        def arguments(self):
            return {"gain": 1}
        def load(self, folder):
            return np.load(folder / "model" / "weights.npy").sum(), (folder / "outcome.json").exists()
        def predict(self, folder, data, study):
            return np.load(folder / "latest") * data
        def view(self, folder, name, neurons):
            return [{"kind": "maps", "maps": np.load(folder / "latest").tolist()}]
        def ensemble(self, folders):
            return sum(np.load(folder / "predictions.npz")["predictions"] for folder in folders).tolist()
    experiment = nf.Experiment(Linear(), grid=nf.grid(gain=[1, 2, 3]), repetitions=2)
"""
COMMANDS = [
    ["results", "linear", "--json"],
    ["results", "linear", "--by", "run"],
    ["status", "linear", "--json"],
    ["logs", "linear", "--json"],
    ["logs", "linear:2/1"],
    ["failures", "linear", "--json"],
    ["choose", "linear:0/0", "--json"],
    ["submit", "linear", "--retry", "--dry-run", "--json"],
    ["plot", "linear", "--what", "curves", "--json"],
    ["plot", "linear:0", "--what", "neurons", "--json"],
    ["plot", "linear:0/0", "--what", "scatter", "--json"],
]


@pytest.fixture
def linear(bench):
    bench.script("linear", STUDIED)
    assert bench.run("linear") == {"done": 5, "failed": 1}
    return bench


class _Text(io.StringIO):
    encoding = "utf-8"


def said(bench, *words: str) -> tuple[int, str, str]:
    """A command in this process: its exit code, and what it prints."""
    out, err = _Text(), _Text()
    before = os.getcwd()
    os.chdir(bench.root)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = application.run(application.group, "neurofit", [*words])
    finally:
        os.chdir(before)
    return code, out.getvalue(), err.getvalue()


def answers(bench) -> dict[str, object]:
    """What every reader says."""
    found: dict[str, object] = {}
    for words in COMMANDS:
        where = ["-o", str(bench.root / "plot.png")] if words[0] == "plot" else []
        found[" ".join(words)] = said(bench, *words, *where)
    study, status = bench.root, bench.status("linear")
    found["load"] = neurofit.load("linear:1/1", study=study)
    found["predict"] = loading.predict("linear:1/1", 2.0, study=study).tolist()
    found["view"] = loading.view("linear:1/1", "weights", study=study)
    found["ensemble"] = neurofit.ensemble("linear:1", study=study)
    found["neurons"] = neurofit.neurons("linear", study=study).to_csv()
    found["exports"] = read_tasks(parse_query(bench.study, "linear"), status)
    folder = neurofit.folder("linear:0/1", study=study)
    found["folder"] = (
        folder.name,
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        },
    )
    return found


def test_every_reader_answers_as_before(linear):
    before = answers(linear)
    done = linear.command("pack", "linear", "--yes")
    assert done.returncode == 0 and done.stdout.startswith("linear: 3 runs were packed; files and folders ")
    runs = ExperimentFiles(linear.study, "linear").folder / "runs"
    assert {path.name for path in runs.rglob("*") if path.is_file() and not path.is_symlink()} == {
        "claim.json",
        "outcome.json",
        "packed.zip",
    }
    assert answers(linear) == before
    done = linear.command("unpack", "linear", "--yes")
    assert done.returncode == 0 and "linear: 3 runs were unpacked" in done.stdout
    assert not list(runs.rglob("packed.zip"))
    assert answers(linear) == before


def test_reports_show_packed_tasks(linear):
    pytest.importorskip("jinja2")
    pages = []
    for number in range(2):
        target = linear.root / f"report-{number}.html"
        done = linear.command("report", "linear", "-o", str(target))
        assert done.returncode == 0, done.stderr
        pages.append(target.read_text())
        linear.command("pack", "linear", "--yes")
    assert all("dense" in page and "too much gain" in page for page in pages)
    assert [page.count("<svg") for page in pages] == [pages[0].count("<svg")] * 2


# --- what is refused

HELD = """
    import time
    def fit(task, *, x=1):
        while x == 1 and (task.study / "hold").exists():
            time.sleep(0.02)
        return {"x": x}
    experiment = nf.Experiment(fit, grid=nf.grid(x=[0, 1, 2]), repetitions=2)
"""


def test_a_run_with_a_task_that_is_running_is_left_as_it_is_and_the_others_are_packed(bench):
    (bench.root / "hold").touch()
    bench.script("held", HELD)
    bench.submit("held", bench.runner(text="backend: local\nworkers: 4\n"))
    bench.wait("held", until=lambda counts: counts["running"] >= 1 and counts["done"] == 4)
    done = bench.command("pack", "held", "--yes", "--json")
    (report,) = json.loads(done.stdout)["experiments"]
    assert done.returncode == 0 and [one["run"] for one in report["runs"]] == [0, 2]
    assert report["refused"] == [{"run": 1, "why": "is running", "repetition": 0, "is_error": False}]
    done = bench.command("pack", "held", "--yes")
    assert "held:1 was left as it is: held:1/0 is running." in done.stderr
    (bench.root / "hold").unlink()
    assert bench.wait("held") == {"done": 6}
    assert bench.command("pack", "held", "--yes").stdout.startswith("held: 1 run was packed")


def test_queued_stopped_and_lost_tasks_are_refused_and_new_ones_are_not(bench, monkeypatch):
    from neurofit.status.experiment_status import TaskStatus
    from neurofit.store.state import State

    bench.script("held", HELD)
    bench.run("held")
    status = bench.status("held")
    states = {(0, 0): State.QUEUED, (1, 1): State.STOPPED, (2, 0): State.LOST}
    status.tasks.update({key: TaskStatus(state) for key, state in states.items()})
    refused = pack._unsettled(status)
    assert sorted(refused) == [0, 1, 2] and "worker may only be slow" in refused[2].why
    status.tasks.update({key: TaskStatus(State.NEW) for key in states})
    assert not pack._unsettled(status)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["pack", "linear:0/1", "--yes"], 2, "select whole runs, such as linear:17"),
        (["pack", "linear:9", "--yes"], 2, "Nothing in linear matches"),
        (["pack", "lineal", "--yes"], 1, "No experiment 'lineal'"),
        (["pack"], 2, "Missing argument"),
        (["unpack", "linear", "--yes"], 0, ""),
        (["pack", "linear"], 0, "neurofit pack linear --yes"),
        (["pack", "linear", "--dry-run"], 0, ""),
    ],
)
def test_what_changes_nothing(linear, words, code, said):
    runs = ExperimentFiles(linear.study, "linear").folder / "runs"
    before = sorted((path, path.lstat().st_mtime_ns) for path in runs.rglob("*"))
    done = linear.command(*words)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr
    assert sorted((path, path.lstat().st_mtime_ns) for path in runs.rglob("*")) == before


def test_a_dry_run_says_what_packing_does(linear):
    said = linear.command("pack", "linear:0-1", "--dry-run").stdout
    assert said.startswith("linear: 2 runs can be packed; files and folders ")
    done = linear.command("pack", "linear:0-1", "--yes").stdout
    assert done.split("folders ")[1].split(",")[0] == said.split("folders ")[1].split(",")[0]
    assert linear.command("pack", "linear:0-1", "--yes").stdout == "linear: there is nothing to pack.\n"


def test_a_damaged_archive_is_named_and_the_other_runs_are_packed(linear):
    linear.command("pack", "linear:1", "--yes")
    (archive,) = ExperimentFiles(linear.study, "linear").folder.glob("runs/001-*/packed.zip")
    data = bytearray(archive.read_bytes())
    data[-100] ^= 1
    archive.write_bytes(bytes(data))
    (archive.parent / "rep-00/attempt-01/new.txt").write_text("new")
    done = linear.command("pack", "linear", "--yes")
    assert done.returncode == 1 and "linear: 2 runs were packed" in done.stdout
    assert f"linear:1 was left as it is: {archive}: damaged" in done.stderr
    assert archive.read_bytes() == bytes(data) and (archive.parent / "rep-00/attempt-01/new.txt").exists()
    for words in (
        ["logs", "linear:1"],
        ["failures", "linear"],
        ["results", "linear"],
        ["unpack", "linear:1", "-y"],
    ):
        done = linear.command(*words)
        assert "Traceback" not in done.stderr and done.returncode in (0, 1, 3), (words, done)
    assert f"linear:1 cannot be unpacked completely: {archive}: damaged" in done.stderr
    assert linear.command("results", "linear").returncode == 0


def test_unpack_says_how_much_it_restored_and_what_it_left(linear):
    linear.command("pack", "linear", "--yes")
    (run,) = ExperimentFiles(linear.study, "linear").folder.glob("runs/001-*")
    names = {path.name: path.read_bytes() for path in (run / "rep-00/attempt-01").iterdir() if path.is_file()}
    with packed.archive_at(run / "packed.zip") as archive:
        number = sum(not one.is_folder for one in archive.below("rep-00/attempt-01"))
    shutil.rmtree(run / "rep-00/attempt-01")
    before = set(run.rglob("*"))

    done = linear.command("unpack", "linear:1", "--dry-run", "--json")
    (report,) = json.loads(done.stdout)["experiments"]
    ((one,), (refused,)) = report["runs"], report["refused"]
    assert done.returncode == 0 and not refused["is_error"]
    done = linear.command("unpack", "linear:1", "--dry-run")
    left = f"{number} files of attempts whose folders are gone (rep-00/attempt-01)"
    assert f"linear:1 cannot be unpacked completely: {left} would stay in {run}/packed.zip. To" in done.stderr
    assert "delete" not in done.stderr and set(run.rglob("*")) == before

    done = linear.command("unpack", "linear:1", "--yes")
    after = set(run.rglob("*"))
    assert done.returncode == 1 and "linear: 1 run was unpacked" in done.stdout
    assert (one["files_before"], one["files_after"]) == (len(before), len(after))
    restored = sum(path.is_file() for path in after - before)
    said = f"linear:1 cannot be unpacked completely: {restored} files were restored. {left} stay in {run}/packed.zip. "
    assert said in done.stderr and "left as it is" not in done.stderr
    assert "put the folders back from a backup and repeat the command" in done.stderr

    done = linear.command("unpack", "linear:1", "--yes")
    assert done.returncode == 1 and f"No file was restored. {left} stay in" in done.stderr
    assert "unpacked" not in done.stdout and (run / "packed.zip").exists()

    (run / "rep-00/attempt-01").mkdir(parents=True)
    for name, content in names.items():
        (run / "rep-00/attempt-01" / name).write_bytes(content)
    done = linear.command("unpack", "linear:1", "--yes")
    assert done.returncode == 0 and not (run / "packed.zip").exists(), done
    assert (run / "rep-00/attempt-01/history.csv").exists()


def test_no_result_needs_an_archive_that_unpack_kept(linear):
    """Its message says so."""
    linear.command("pack", "linear", "--yes")
    (run,) = ExperimentFiles(linear.study, "linear").folder.glob("runs/001-*")
    shutil.rmtree(run / "rep-00/attempt-01")
    linear.command("unpack", "linear:1", "--yes")
    before = set((run / "rep-01").rglob("*"))
    loaded = neurofit.load("linear:1/1", study=linear.root)
    (run / "packed.zip").unlink()
    assert set((run / "rep-01").rglob("*")) == before
    assert neurofit.load("linear:1/1", study=linear.root) == loaded


# --- what comes later


def archived(bench, name: str) -> set[str]:
    found: set[str] = set()
    for path in ExperimentFiles(bench.study, name).folder.glob("runs/*/packed.zip"):
        with packed.archive_at(path) as archive:
            found |= {f"{path.parent.name[:3]}/{name}" for name in archive.members}
    return found


def test_repetitions_reruns_and_retries_go_on_after_packing_and_are_packed_too(linear):
    linear.command("pack", "linear", "--yes")
    assert linear.run("linear", repetitions=3) == {"done": 8, "failed": 1}
    linear.submit("linear", retry=True)
    assert linear.wait("linear") == {"done": 8, "failed": 1}
    linear.submit("linear", rerun=True)
    linear.wait("linear")
    before = archived(linear, "linear")
    done = linear.command("pack", "linear", "--yes")
    assert done.returncode == 0 and "3 runs were packed" in done.stdout, done
    after = archived(linear, "linear")
    assert before < after
    assert {f"000/rep-0{number}/attempt-01/history.csv" for number in range(3)} <= after
    assert {"002/rep-01/attempt-02/history.csv", "000/rep-00/attempt-02/history.csv"} <= after
    rows = {(row["run"], row["repetition"]): row["attempt"] for row in linear.outcomes("linear")}
    assert rows[0, 0] == 2 and rows[2, 1] == 3
    assert neurofit.load("linear:0/2", study=linear.root)[1]
    remove(linear.study, survey(linear.study, attempts=True).waste)
    done = linear.command("unpack", "linear", "--yes")
    assert done.returncode == 0, done
    folder = ExperimentFiles(linear.study, "linear").folder
    attempts = {
        path.parent.relative_to(folder).as_posix()
        for path in folder.glob("runs/*/rep-*/attempt-*/claim.json")
    }
    with_files = {
        path.parent.relative_to(folder).as_posix() for path in folder.glob("runs/*/rep-*/*/history.csv")
    }
    assert attempts == with_files and len(attempts) == 9


RESUMED = """
    def fit(task):
        first = 0
        for folder in task.checkpoints[:1]:
            first = int((folder / "step").read_text())
            task.keep("events")
            task.resume(folder)
        task.keep("events")
        for step in range(first, 6):
            task.log(step, value=step)
            with open(task.folder / "events", "a") as file:
                file.write(f"{step}\\n")
            if step == 3:
                with task.save_checkpoint(step + 1) as folder:
                    (folder / "step").write_text(str(step + 1))
            if step == 4 and not (task.study / "fixed").exists():
                raise ValueError("not yet")
        return {"last": step}
    experiment = nf.Experiment(fit)
"""


def test_a_retry_goes_on_from_a_checkpoint_whose_attempt_was_packed(bench):
    bench.script("resumed", RESUMED)
    assert bench.run("resumed") == {"failed": 1}
    assert bench.command("pack", "resumed", "--yes").returncode == 0
    (bench.root / "fixed").touch()
    bench.submit("resumed", retry=True)
    assert bench.wait("resumed") == {"done": 1}
    (folder,) = ExperimentFiles(bench.study, "resumed").folder.glob("runs/*/rep-00")
    steps = [str(step) for step in range(6)]
    assert (folder / "attempt-02/events").read_text().split() == steps
    assert [line.split(",")[0] for line in (folder / "attempt-02/history.csv").read_text().split()][
        1:
    ] == steps
    assert not (folder / "attempt-01/history.csv").exists()


LATER = """
    import numpy as np
    def fit(task):
        (path,) = (task.study / "training_data/linear/runs").glob("001-*/rep-00/attempt-01")
        name = (path / "model" / "weights.npy").relative_to(task.study)
        return {"sum": float(np.load(task.uses(name)).sum())}
    experiment = nf.Experiment(fit)
"""


def test_a_later_stage_reads_a_packed_file_that_it_declares(linear):
    linear.script("later", LATER)
    assert linear.run("later") == {"done": 1}
    (attempt,) = ExperimentFiles(linear.study, "linear").folder.glob("runs/001-*/rep-00/attempt-01")
    digests = inputs.digest(attempt), inputs.digest(attempt / "model" / "weights.npy")
    linear.command("pack", "linear", "--yes")
    assert (inputs.digest(attempt), inputs.digest(attempt / "model" / "weights.npy")) == digests
    linear.submit("later", rerun=True)
    linear.wait("later")
    (row,) = linear.outcomes("later")
    assert row["attempt"] == 2 and row["metrics"]["sum"] == 64 * 2
    assert list(row["facts"]["inputs"].values()) == [digests[1]]
    status = json.loads(linear.command("status", "later", "--json").stdout)
    (experiment,) = status["experiments"]
    assert experiment["done_other_data"] == 0


# --- interruptions


def test_a_command_that_is_killed_is_finished_by_the_next_one(linear):
    before = answers(linear)
    generator = random.Random(5)
    for number in range(8):
        words = [sys.executable, "-m", "neurofit", "pack" if number % 2 else "unpack", "linear", "--yes"]
        process = subprocess.Popen(
            words, cwd=linear.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(generator.uniform(0.3, 0.9))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert neurofit.ensemble("linear:1", study=linear.root) == before["ensemble"]
    done = linear.command("pack", "linear", "--yes")
    assert done.returncode == 0, done.stderr
    assert answers(linear) == before


def test_a_reader_finds_every_file_while_others_pack_and_unpack(linear):
    (attempt,) = ExperimentFiles(linear.study, "linear").folder.glob("runs/001-*/rep-00/attempt-01")
    history = (attempt / "history.csv").read_bytes()
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                pack.pack(linear.study, "linear", [1])
                pack.unpack(linear.study, "linear", [1])
        finally:
            os._exit(1)
    try:
        for _ in range(2000):
            assert packed.read(attempt / "history.csv") == history
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


SMALL = """
set -e
mount -t tmpfs -o size=%(size)s none %(place)s
cp -a %(source)s/. %(place)s/
%(then)s
cd %(study)s
set +e
%(python)s -m neurofit pack linear --yes
echo "code $?"
find %(place)s -name history.csv | wc -l
%(after)s
"""


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("dd if=/dev/zero of=%(place)s/full bs=4k 2>/dev/null || true", "The disk or your quota is full"),
        ("mount -o remount,ro %(place)s", "cannot be written"),
    ],
)
def test_a_full_or_read_only_disk_is_named_and_nothing_is_lost(linear, tmp_path, then, said):
    done = pack_on_a_small_disk(linear, tmp_path, then)
    assert "code 1" in done.stdout and said in done.stderr and "Traceback" not in done.stderr, done
    assert done.stdout.split()[-1] == "6", done.stdout


def test_files_that_cannot_be_deleted_are_named_as_packed(linear, tmp_path):
    one = "%(place)s/linear/runs/001-*/rep-00/attempt-01/history.csv"  # a file that something is mounted on stays
    again = "umount $one; %(python)s -m neurofit pack linear --yes; find %(place)s -name history.csv | wc -l"
    done = pack_on_a_small_disk(linear, tmp_path, f"one=$(echo {one}); mount --bind $one $one", again)
    first, _, second = done.stdout.partition("code 1\n")
    assert "linear: 2 runs were packed" in first and "left as it is" not in done.stderr
    said = "linear:1 was packed, but files that are in the archive stay in their folders too: "
    assert said in done.stderr and "Device or resource busy" in done.stderr
    assert "The next `neurofit pack` deletes the rest." in done.stderr
    there, packed_now, left = second.splitlines()
    assert int(there) >= 1 and packed_now.startswith("linear: 1 run was packed") and left == "0"


def pack_on_a_small_disk(
    linear, tmp_path: Path, then: str, after: str = ""
) -> subprocess.CompletedProcess[str]:
    if os.getuid() != 0 or not all(map(shutil.which, ("unshare", "mount"))):
        pytest.skip("only root mounts a disk that is full")
    source = tmp_path / "source"
    shutil.move(linear.study.training_data, source)
    linear.study.training_data.mkdir()
    words = {
        "size": "4m",
        "place": linear.study.training_data,
        "source": source,
        "study": linear.root,
        "python": sys.executable,
    }
    script = SMALL % {**words, "then": then % words, "after": after % words}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=120
    )
    if "code" not in done.stdout:
        pytest.skip(f"this host does not let one mount: {done.stderr.strip()[-200:]}")
    return done


def test_the_lock_is_given_up_now_and_then(linear, monkeypatch):
    monkeypatch.setattr(pack, "HELD_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(pack, "BATCH", 1)
    held: list[int] = []
    real = pack.locked

    def counted(path: Path):
        held.append(1)
        return real(path)

    monkeypatch.setattr(pack, "locked", counted)
    monkeypatch.setattr(pack, "_GIVEN_UP_SECONDS", 0.0)
    seen: list[int] = []
    report = pack.pack(linear.study, "linear", [0, 1, 2], advance=seen.append)
    assert len(report.runs) == 3 and seen == [1, 2, 3] and len(held) == 3
