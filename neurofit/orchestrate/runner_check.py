"""Check a runner with one small job, the canary: `neurofit runners check`.

The canary is an experiment in a study of its own, `training_data/.check/NAME/`. It is planned, queued, run and
recorded like any other task, and leaves nothing among the study's results; the folder is removed at the end.
The facts in its outcome are compared with this host and with what the runner asks for, which gives findings.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import neurofit
from neurofit.backends import notify
from neurofit.backends.base import Finding
from neurofit.backends.runner import Runner
from neurofit.errors import EXTRAS, NeurofitError, StoreError, SubmissionError, install, is_installed
from neurofit.orchestrate import cancel, failures
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.submit import Submitted, submission_name, submit
from neurofit.status import logs
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import Outcome
from neurofit.store.state import ACTIVE, FAILED_OR_LOST, State
from neurofit.structure import read_record
from neurofit.study import Study
from neurofit.worker.canary import HEAVY_GB, clock_seconds, entries

FOLDER = ".check"
NAME, TASK = "canary", (0, 0)
END_SECONDS = 30.0  # that a queue takes to end a job that was cancelled
LOG_LINES = 12
SCRIPT = '''\
"""What a job sees: neurofit runners check."""
import neurofit as nf
from neurofit.worker.canary import look

experiment = nf.Experiment(fit=look, grid=nf.grid(job_memory_gb=[%r], notify=[%r]))
'''


@dataclass
class Canary:
    """The result of the check's job."""

    state: str  # of its task, or "refused"
    seconds: float  # waited
    reason: str | None = None  # why it waits, or how it ended
    problem: str | None = None  # why the queue could not be asked
    facts: dict[str, Any] = field(default_factory=dict)
    here: dict[str, Any] = field(default_factory=dict)  # the clock and so on, of this host
    log: str = ""  # the end of its output, if it failed
    left: Path | None = None  # the folder, if it could not be removed

    @property
    def is_waiting(self) -> bool:
        return self.state in (str(state) for state in ACTIVE)


def send(
    study: Study, runner: Runner, wait_seconds: float, say: Callable[[str], None] = lambda text: None
) -> Canary:
    """Submit the canary, wait for it, and remove it.

    Parameters
    ----------
    wait_seconds : float
        How long to wait for it.
    say : callable
        Called with what it waits for, whenever that changes.

    Raises
    ------
    QueueError
        The queue gave no answer to the submission.
    StoreError
        Its folder cannot be written.
    """
    words = notify.command_of(runner.backend, study)
    runner = replace(runner, backend=replace(runner.backend, notify=()))  # nobody waits for the canary
    own = _prepare(study, runner, words[0] if words else "")
    begun = time.monotonic()
    found = Canary("refused", 0.0)
    try:
        submitted = submit(make(own, load(own, NAME), SubmitOptions()), runner)
        assert submitted is not None, "the canary is a new task of a new study"
        found = _wait(own, submitted, begun + wait_seconds, say)
        found.here = {"clock_seconds": clock_seconds(own.root)}
    except SubmissionError as error:
        found.reason = str(error)
    finally:
        found.seconds = round(time.monotonic() - begun, 1)
        found.left = _clean_up(own)
    return found


def _prepare(study: Study, runner: Runner, told: str) -> Study:
    """Make a study inside the study, with the same runners."""
    folder = study.training_data / FOLDER
    name = submission_name(ExperimentFiles(study, FOLDER), runner.name)
    own = Study(folder / name)
    try:
        own.jobs.mkdir(parents=True)
        text = SCRIPT % (runner.backend.resources.memory_gb, told)
        (own.jobs / f"{NAME}.py").write_text(text, encoding="utf-8")
        own.runners.symlink_to(study.runners)  # which only this host reads
    except OSError as error:
        raise StoreError(
            f"{error.filename or own.root}: {error.strerror}. The check has to write there."
        ) from error
    return own


def _look(own: Study) -> ExperimentStatus:
    return read_status(own, NAME, cache=own.root / ".cache")


def _wait(own: Study, submitted: Submitted, deadline: float, say: Callable[[str], None]) -> Canary:
    reported, pause = None, 0.1
    while True:
        found = _look(own)
        task = found.of(TASK)
        result = Canary(
            str(task.state), 0.0, _reason(found, submitted.name), "; ".join(found.unanswered) or None
        )
        if task.state not in ACTIVE:
            return _ended(found, result)
        if result.reason != reported:
            reported = result.reason
            say(f"{result.state}: {reported}" if reported else result.state)
        if time.monotonic() >= deadline:
            return _with_log(found, result)
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(2.0, pause * 1.3)


def _reason(status: ExperimentStatus, submission: str) -> str | None:
    view = status.queues.get(submission)
    if view is None or not view.answered:
        return None
    if view.in_grace:
        return "the queue no longer has the job, which has written no outcome yet"
    if status.of(TASK).state is State.QUEUED and "running" in view.live.values():
        return "its job has started, but not the task yet (setup lines, waiting for a GPU, imports)"
    return status.of(TASK).cause


def _ended(status: ExperimentStatus, result: Canary) -> Canary:
    run = status.registry.runs[TASK[0]]
    if result.state == str(State.DONE):
        attempt = status.files.task(run.number, run.id, TASK[1]).attempt(status.of(TASK).attempt)
        result.facts = read_record(attempt.outcome, Outcome).facts or {}
        return result
    if status.of(TASK).state in FAILED_OR_LOST:
        result.reason = failures.cause(status, TASK)
    return _with_log(status, result)


def _with_log(status: ExperimentStatus, result: Canary) -> Canary:
    printed = [logs.tail(log.path, LOG_LINES) for log in logs.task_logs(status, TASK).logs]
    result.log = b"".join(printed).decode(errors="replace").strip()
    return result


def _clean_up(own: Study) -> Path | None:
    """Cancel the job and remove the folder. Returns the folder if it has to stay, because the queue may still
    have the job.
    """
    deadline = time.monotonic() + END_SECONDS
    with contextlib.suppress(NeurofitError, OSError):
        found = _look(own)
        cancel.cancel(own, cancel.ending(found, [TASK]))
        while found.unanswered or any(view.live for view in found.queues.values()):
            if time.monotonic() > deadline:
                return own.root
            time.sleep(0.2)
            found = _look(own)
        for _ in range(20):  # the last of its processes may be writing its last line
            shutil.rmtree(own.root, ignore_errors=True)
            if not own.root.exists():
                break
            time.sleep(0.1)
        with contextlib.suppress(OSError):
            own.root.parent.rmdir()  # not if another check is under way
    return own.root if own.root.exists() else None


CLOCK_SECONDS = 60.0  # by which clocks may differ


def findings(canary: Canary, runner: Runner, study: Study) -> list[Finding]:
    """The findings; the advice also explains what is fine but differs from this host."""
    if canary.state == "refused":
        return [Finding(False, "the queue takes a job", canary.reason or "")]
    if canary.problem and not canary.facts:
        return [Finding(False, "the queue can be asked", canary.problem, answered=False)]
    if canary.is_waiting:
        return [Finding(False, f"a job is done within {canary.seconds:.0f} s", _waiting(canary))]
    if not canary.facts:
        return [Finding(False, "a job is done", _state_of(canary, canary.reason or "the cause is unknown"))]
    facts = canary.facts
    return [
        Finding(True, f"a job was done on {facts['host']}, {canary.seconds:.1f} s after its submission"),
        *_programs(facts, runner),
        *_libraries(facts),
        *_granted(facts, runner),
        *_gpus(facts, runner),
        *_files(canary, study),
        *_notify(facts, runner),
    ]


def _waiting(canary: Canary) -> str:
    words = canary.reason or ("it is running" if canary.state == "running" else "the queue gives no reason")
    return _state_of(canary, words)


def _state_of(canary: Canary, words: str) -> str:
    return f"it is {canary.state}: {words}" + (f"\n{canary.log}" if canary.log else "")


def _programs(facts: dict[str, Any], runner: Runner) -> Iterator[Finding]:
    same = facts["python"] == sys.executable and facts["python_version"] == platform.python_version()
    what = f"Python {facts['python_version']}, {facts['python']}"
    other = f"here it is {platform.python_version()}, {sys.executable}"
    yield Finding(True, f"{what}, as here" if same else what, "" if same else other)
    version = facts["neurofit"]
    advice = f"here it is {neurofit.__version__}; install the same for {facts['python']}"
    same = version == neurofit.__version__
    yield Finding(same, f"neurofit {version} in {facts['neurofit_folder']}", "" if same else advice)


def _libraries(facts: dict[str, Any]) -> Iterator[Finding]:
    for name, library in facts["imports"].items():
        extra = EXTRAS.get(name)
        if extra and library.get("missing") and not is_installed(name):
            yield Finding(True, f"{name} is not installed, as here", f"`{install(extra)}` installs it")
        elif "error" in library:
            yield Finding(False, f"{name} can be imported", library["error"])
        elif "version" in library:
            yield Finding(True, f"{name} {library['version']}")
        else:
            yield Finding(
                True,
                f"{name} was not tried",
                f"it needs {HEAVY_GB:g} GB of memory, more than resources.memory_gb",
            )


def _granted(facts: dict[str, Any], runner: Runner) -> Iterator[Finding]:
    wanted = runner.backend.resources
    enough = facts["cpus"] >= wanted.cpus
    yield Finding(
        enough, f"{facts['cpus']} core(s)", "" if enough else f"resources.cpus asks for {wanted.cpus}"
    )
    memory = facts["memory_gb"]
    enough = memory is None or wanted.memory_gb is None or memory >= 0.95 * wanted.memory_gb
    what = "no memory limit" if memory is None else f"{memory:g} GB of memory"
    yield Finding(enough, what, "" if enough else f"resources.memory_gb asks for {wanted.memory_gb:g}")


def _gpus(facts: dict[str, Any], runner: Runner) -> Iterator[Finding]:
    wanted = runner.backend.resources.gpus
    given, names = facts["cuda_visible_devices"], facts["gpus"]
    visible = (
        len(names)
        if given is None
        else len([one for one in given.split(",") if one.strip() not in ("", "-1")])
    )
    there = f"CUDA_VISIBLE_DEVICES={given or ''}" if given is not None else "CUDA_VISIBLE_DEVICES is not set"
    there += f"; on the node: {', '.join(names)}" if names else "; no NVIDIA GPU on the node"
    if wanted is None and not names and given is None:
        return
    fits = wanted is None or visible == wanted
    yield Finding(
        fits, f"{visible} GPU(s) given ({there})", "" if fits else f"resources.gpus asks for {wanted}"
    )
    if runner.backend.tasks_per_gpu not in (1, "auto"):
        share = facts.get("gpu_memory_gb")
        what = (
            "a task has no limit of GPU memory"
            if share is None
            else f"a task gets {share:g} GB of GPU memory"
        )
        advice = "nvidia-smi does not say how much this GPU has; set gpu_memory_gb" if share is None else ""
        yield Finding(share is not None, what, advice)
    seen = facts["imports"].get("tensorflow", {}).get("gpus")
    if wanted and seen is not None:
        few = "its CUDA libraries are missing: `pip install 'tensorflow[and-cuda]'`, or a module of your site in setup"
        yield Finding(seen >= wanted, f"TensorFlow sees {seen} GPU(s)", "" if seen >= wanted else few)


def _files(canary: Canary, study: Study) -> Iterator[Finding]:
    facts = canary.facts
    seen = facts["study_seen"]
    yield Finding(
        seen, f"the study is seen, at {facts['study']}", "" if seen else "its jobs/ folder is missing there"
    )
    yield Finding(
        facts["writable"], "training_data/ can be written", "" if facts["writable"] else "check who owns it"
    )
    there, here = facts["data"], entries(study.data)
    if there == here:
        yield Finding(
            True, "there is no data/, as here" if here is None else f"data/ is seen ({here} entries)"
        )
    else:
        advice = (
            f"{_counted(there)} there, {_counted(here)} here. Is it a link to a folder that nodes cannot see?"
        )
        yield Finding(False, "data/ is as here", advice)
    clocks = facts["clock_seconds"], canary.here.get("clock_seconds")
    if None not in clocks:
        ahead = clocks[0] - clocks[1]
        fine = abs(ahead) <= CLOCK_SECONDS
        yield Finding(
            fine,
            f"its clock differs from this host's by {ahead:+.1f} s",
            "" if fine else "the times in logs will differ from this host's",
        )


def _notify(facts: dict[str, Any], runner: Runner) -> Iterator[Finding]:
    """Whether a node has the notify command, which the job that ends last runs."""
    if "notify" not in facts or runner.backend.runs_here():
        return
    if facts["notify"]:
        yield Finding(True, f"its node has the notify command, {facts['notify']}")
    else:
        advice = "the job that ends last cannot run it: write its whole path, or load it in setup"
        yield Finding(False, "its node has the notify command", advice)


def _counted(entries: int | None) -> str:
    return "it cannot be read" if entries is None else f"{entries} entries"
