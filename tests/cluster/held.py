"""Submissions of real studies whose tasks wait for a file, for the contract of a backend."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from neurofit.backends.base import Backend, Resources, Submission
from neurofit.orchestrate.plan import SubmitOptions, load, make, registered
from neurofit.orchestrate.submit import base_record
from neurofit.store.layout import ExperimentFiles
from neurofit.store.registry import register
from neurofit.store.submissions import write_submission

WAITING = """
    import time
    from pathlib import Path
    def fit(task, *, job=0):
        while not Path({flag!r}).exists():
            if task.should_stop():
                task.stop()
            time.sleep(0.05)
        return {{"x": 1}}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(job=list(range({jobs}))))
"""


class Held:
    """What the contract's tests ask for: `submission`, `release`, `wait`, `did_run`."""

    def __init__(
        self, tmp_path: Path, workbench: type, backend: Backend, kind: str, seconds: float = 60.0
    ) -> None:
        self.tmp_path, self.workbench, self.backend, self.kind, self.seconds = (
            tmp_path,
            workbench,
            backend,
            kind,
            seconds,
        )
        self.flag = tmp_path / "go"
        self.made: list[tuple[Submission, object]] = []

    def submission(self, jobs: int, name: str = "study") -> Submission:
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
            runner=self.kind,
            backend=self.kind,
            resources=Resources(),
        )
        # accounting remembers those of earlier tests
        token = f"20260101-000000-{self.kind}-{secrets.token_hex(4)}"
        written = write_submission(files, token, record, plan.jobs(None))
        submission = Submission(written.folder, "wait", jobs, bench.study.root)
        self.made.append((submission, bench))
        return submission

    def release(self) -> None:
        self.flag.touch()

    def wait(self) -> None:
        deadline = time.monotonic() + self.seconds
        for submission, _ in self.made:
            while self.backend.poll(self.backend.find([submission])):
                assert time.monotonic() < deadline, f"still queued after {self.seconds} s"
                time.sleep(0.2)

    def did_run(self, submission: Submission) -> bool:
        bench = next(bench for made, bench in self.made if made.folder == submission.folder)
        return bench.counts("wait")["done"] == submission.jobs
