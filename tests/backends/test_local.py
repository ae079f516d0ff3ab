"""The local pool: the contract, and what only it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from contract import BackendContract

from neurofit.backends.base import Resources, Submission
from neurofit.backends.local import backend as local
from neurofit.backends.local.backend import LocalBackend, append_event
from neurofit.errors import SubmissionError
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.submit import queue
from neurofit.tables.rows import read_rows

WAITING = """
    import time
    from pathlib import Path
    def fit(task, *, job=0):
        while not Path({flag!r}).exists():
            if task.should_stop():
                task.stop()
            time.sleep(0.02)
        return {{"x": 1}}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(job=list(range({jobs}))))
"""


class Held:
    """Submissions of real studies, whose tasks wait for a file."""

    def __init__(self, tmp_path: Path, workbench) -> None:
        self.tmp_path, self.workbench = tmp_path, workbench
        self.flag = tmp_path / "go"
        self.benches = {}
        self.backend = LocalBackend(workers=2)

    def submission(self, jobs: int, name: str = "study") -> Submission:
        from neurofit.orchestrate.plan import registered
        from neurofit.orchestrate.submit import base_record
        from neurofit.store.layout import ExperimentFiles
        from neurofit.store.registry import register
        from neurofit.store.submissions import write_submission

        bench = self.workbench(self.tmp_path / name)
        bench.script("wait", WAITING.format(flag=str(self.flag), jobs=jobs))
        plan = make(bench.study, load(bench.study, "wait"), SubmitOptions())
        files = ExperimentFiles(bench.study, "wait")
        files.folder.mkdir(parents=True, exist_ok=True)
        register(files.registry, plan.status.registry, registered(plan.runs, plan.status.registry))
        record = base_record(
            bench.study,
            plan.experiment,
            plan.code_hash,
            1,
            fresh=False,
            runner="local",
            backend="local",
            resources=Resources(),
        )
        written = write_submission(files, "20260101-000000-local-test", record, plan.jobs(None))
        submission = Submission(written.folder, "wait", jobs, bench.study.root)
        self.benches[submission] = bench
        return submission

    def release(self) -> None:
        self.flag.touch()

    def wait(self) -> None:
        deadline = time.monotonic() + 20
        for submission in self.benches:
            while time.monotonic() < deadline and self.backend.poll(self.backend.find([submission])):
                time.sleep(0.02)

    def did_run(self, submission: Submission) -> bool:
        return self.benches[submission].counts("wait")["done"] == submission.jobs


class TestLocal(BackendContract):
    @pytest.fixture
    def backend(self, held):
        return held.backend

    @pytest.fixture
    def held(self, tmp_path, bench):
        held = Held(tmp_path, type(bench))
        yield held
        held.release()
        held.wait()


def test_a_setup_line_runs_before_and_a_launcher_prefixes_the_command(bench):
    bench.script(
        "env",
        """
        import os
        def fit(task):
            return {"set": int(os.environ["FROM_SETUP"]), "launched": int(os.environ["FROM_LAUNCHER"])}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    text = "backend: local\nworkers: 1\nsetup: ['export FROM_SETUP=3']\nlauncher: env FROM_LAUNCHER=4\n"
    bench.submit("env", bench.runner(text=text))
    assert bench.wait("env") == {"done": 1}
    assert bench.outcomes("env")[0]["metrics"] == {"set": 3, "launched": 4}


def test_a_bad_setup_line_is_reported_with_the_pools_log(bench):
    bench.script("env", "def fit(task):\n    return {'x': 1}\nexperiment = nf.Experiment(fit=fit)\n")
    submitted = bench.submit("env", bench.runner(text="backend: local\nsetup: ['exit 3']\n"))
    assert bench.wait("env") == {"failed": 1}
    assert "fork server ended" in bench.outcomes("env")[0]["error"]["message"]
    assert "ended with status 3" in (submitted.files.logs / "pool.log").read_text()


def test_tasks_keep_to_their_cores_and_see_the_gpus_of_their_slot(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    assert LocalBackend(workers=4, resources=Resources(gpus=2)).slots() == [
        {"CUDA_VISIBLE_DEVICES": "0,1"},
        {"CUDA_VISIBLE_DEVICES": "2,3"},
    ]
    assert LocalBackend(workers=2, resources=Resources(gpus=0)).slots() == [{"CUDA_VISIBLE_DEVICES": ""}] * 2
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in LocalBackend(workers=5).slots()] == [
        "0",
        "1",
        "2",
        "3",
        "0",
    ]
    with pytest.raises(SubmissionError, match=r"resources.gpus is 8, but this machine has 4 GPU\(s\)"):
        LocalBackend(resources=Resources(gpus=8)).slots()


def test_a_task_sees_only_its_slots_gpus(bench, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    bench.script(
        "gpu",
        """
        import os, time
        def fit(task, *, a=0):
            time.sleep(0.1)
            return {"gpu": int(os.environ["CUDA_VISIBLE_DEVICES"]), "threads": int(os.environ["OMP_NUM_THREADS"])}
        experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3, 4]))
    """,
    )
    bench.submit("gpu", bench.runner(text="backend: local\nresources: {gpus: 1, cpus: 1}\nworkers: 2\n"))
    assert bench.wait("gpu") == {"done": 4}
    assert {record["metrics"]["gpu"] for record in bench.outcomes("gpu")} == {0, 1}
    assert {record["metrics"]["threads"] for record in bench.outcomes("gpu")} == {1}


def test_nothing_is_left_of_a_submission_that_was_refused(bench, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    bench.script("gpu", "def fit(task):\n    return {'x': 1}\nexperiment = nf.Experiment(fit=fit)\n")
    with pytest.raises(SubmissionError):
        bench.submit("gpu", bench.runner(text="backend: local\nresources: {gpus: 1}\n"))
    assert list((bench.study.training_data / "gpu" / "submissions").iterdir()) == []
    assert bench.counts("gpu") == {"new": 0} or not bench.counts("gpu")["queued"]


def test_queue_takes_back_only_what_nothing_was_taken_of(tmp_path):
    from neurofit.store.layout import SubmissionFiles

    class Refusing(LocalBackend):
        def submit(self, submission):
            raise SubmissionError("quota")
            yield

    folder = tmp_path / "s"
    folder.mkdir()
    with pytest.raises(SubmissionError, match="quota"):
        queue(Refusing(), Submission(folder, "e", 1, tmp_path), SubmissionFiles(folder))
    assert not folder.exists()


def test_setup_lines_read_nothing_of_what_the_pool_says(bench):
    bench.script("env", "def fit(task):\n    return {'x': 1}\nexperiment = nf.Experiment(fit=fit)\n")
    bench.submit("env", bench.runner(text="backend: local\nsetup: ['cat > /dev/null']\n"))
    assert bench.wait("env", seconds=15) == {"done": 1}


NAP = """
    import time
    def fit(task, *, n=0):
        for step in range(20):
            if task.should_stop():
                task.stop(step)
            time.sleep(0.1)
        return {"x": 1}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(n=list(range(6))))
"""


@pytest.mark.parametrize("generation", [1, 2], ids=["server", "worker"])
def test_a_stop_that_was_meant_for_one_process_does_not_end_the_queue(bench, generation):
    bench.script("nap", NAP)
    submitted = bench.submit("nap")
    bench.wait("nap", until=lambda counts: counts["running"] == 2)
    pids = [int(submitted.ids[0])]
    for _ in range(generation):
        pids = [
            int(word) for pid in pids for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    os.kill(pids[0], signal.SIGTERM)
    assert bench.wait("nap") == {"done": 6}
    attempts = [record["attempt"] for record in bench.outcomes("nap")]
    assert sum(attempts) == 6 + (generation == 2)


def test_a_stop_to_all_processes_of_a_pool_at_once_lets_tasks_end_in_order(bench):
    bench.script("nap", NAP)
    submitted = bench.submit("nap")
    bench.wait("nap", until=lambda counts: counts["running"] == 2)
    os.killpg(int(submitted.ids[0]), signal.SIGTERM)
    assert bench.wait("nap") == {"stopped": 2, "new": 4}


def test_a_pool_whose_script_never_loads_can_be_stopped(bench):
    bench.script(
        "stuck",
        """
        import sys, time
        if "worker" in sys.argv[0]:
            time.sleep(1000)
        def fit(task):
            return {"x": 1}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    submitted = bench.submit("stuck")
    assert bench.counts("stuck") == {"queued": 1}
    time.sleep(0.3)
    os.kill(int(submitted.ids[0]), signal.SIGTERM)
    assert bench.wait("stuck", seconds=5) == {"new": 1}


def test_a_pool_does_nothing_before_it_is_noted(tmp_path, bench):
    held = Held(tmp_path, type(bench))
    held.release()
    submission = held.submission(1)
    answers = held.backend.submit(submission)
    pool = next(answers)
    time.sleep(0.5)
    assert held.backend.poll([pool]) and not list((submission.folder / "journal").iterdir())
    answers.close()
    assert held.benches[submission].wait("wait", seconds=5) == {"new": 1}


def test_a_worker_that_keeps_ending_is_given_time_before_its_job_is_given_up(bench):
    bench.script("nap", NAP.replace("range(6)", "range(1)"))
    submitted = bench.submit("nap", bench.runner(text="backend: local\nworkers: 1\n"))
    journals, deadline = submitted.files.journals, time.monotonic() + 3
    away = journals.with_name("away")
    journals.rename(away)
    while time.monotonic() < deadline:
        assert bench.counts("nap")["failed"] == 0
        time.sleep(0.1)
    away.rename(journals)
    assert bench.wait("nap") == {"done": 1}


def test_a_task_whose_job_was_given_up_says_so_and_nothing_of_damage(bench):
    bench.script("nap", NAP.replace("range(6)", "range(1)"))
    submitted = bench.submit("nap", bench.runner(text="backend: local\nworkers: 1\n"))
    bench.wait("nap", until=lambda counts: counts["running"])
    os.kill(int(submitted.ids[0]), signal.SIGKILL)
    append_event(submitted.files.folder, ended=0, cause="its worker ended 11 times")
    bench.wait("nap")
    status = bench.status("nap")
    (record,) = read_rows(status)
    assert (record["state"], record["error"]["message"]) == ("failed", "its worker ended 11 times")
    assert status.problems == []


def test_a_task_in_the_foreground_is_running_at_once_for_others(bench, tmp_path, monkeypatch):
    flag = tmp_path / "go"
    bench.script("wait", WAITING.format(flag=str(flag), jobs=1))
    program = subprocess.Popen([sys.executable, "-m", "neurofit", "run", "wait"], cwd=bench.root)
    try:
        bench.wait("wait", until=lambda counts: counts["running"] or program.poll() is not None)
        monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=time.monotonic))  # nothing is waited for
        assert bench.counts("wait") == {"running": 1}
    finally:
        flag.touch()
        assert program.wait() == 0
