"""Run one task in the foreground: the same files and the same worker, without a queue."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neurofit.backends.base import Resources
from neurofit.backends.local.backend import append_event
from neurofit.errors import UsageError
from neurofit.experiments.experiment import Experiment, Run
from neurofit.experiments.fits import FitAdapter
from neurofit.experiments.selector import Range, Selection
from neurofit.experiments.snapshot import code_hash
from neurofit.files import read_json
from neurofit.orchestrate import stages
from neurofit.orchestrate.plan import registered, runs_of
from neurofit.orchestrate.searches import with_suggested
from neurofit.orchestrate.submit import base_record, submission_name
from neurofit.orchestrate.trials import entry, tried_before
from neurofit.process import Process
from neurofit.status.experiment_status import read_status
from neurofit.status.live import Pace, look
from neurofit.store import storage
from neurofit.store.layout import AttemptFiles, ExperimentFiles, SubmissionFiles
from neurofit.store.lock import locked
from neurofit.store.records import Claim, QueueLine, RegisteredRun, SubmissionRecord
from neurofit.store.registry import Registry, register
from neurofit.store.state import ACTIVE, State
from neurofit.store.submissions import HERE, Planned, note_queue, write_submission
from neurofit.structure import read_record
from neurofit.study import Study
from neurofit.text import clock, command, roughly
from neurofit.worker.assignment import Assignment
from neurofit.worker.job import Worker
from neurofit.worker.supervisor import Signals

PROFILE = "profile.pstats"


@dataclass(frozen=True)
class Point:
    """The task to run."""

    run: Run
    repetition: int
    on_grid: bool

    def planned(self, last_attempt: int) -> Planned:
        return Planned(self.run.registered_number, self.repetition, last_attempt)


def point(
    experiment: Experiment,
    registry: Registry,
    changes: Mapping[str, Any],
    number: int | None,
    repetition: int,
    files: ExperimentFiles,
) -> Point:
    """The task of a run with some arguments changed; off the grid if the grid has no such run.

    Parameters
    ----------
    number : int or None
        The run. None: the first.

    Raises
    ------
    UsageError
        There is no such run, or the repetition is a fold that the data do not have.
    """
    if experiment.split_by == "fold" and repetition >= experiment.repetitions:
        raise UsageError(
            f"{experiment.name} has no repetition {repetition}: each is a fold of the data (split_by='fold'), 0 to "
            f"{experiment.repetitions - 1}. Set repetitions in the script for other folds, which make other runs."
        )
    runs = runs_of(experiment, registry)
    base = runs[0] if number is None else next((run for run in runs if run.number == number), None)
    if base is None and number is not None and not changes:
        selection = Selection(experiment.name, (Range(number, number),))
        for earlier in tried_before(experiment, selection, runs, registry):
            return Point(earlier, repetition, False)
    if base is None:
        raise UsageError(
            f"{experiment.name} has no run {number}; `{command('show', experiment.name)}` lists the runs."
        )
    if changes and number is not None:  # without a number, a script's own arguments make a run of their own
        base = with_suggested(experiment, files, base)
    wanted = experiment.varied(base, changes) if changes else base
    on_grid = next((run for run in runs if run.id == wanted.id), None)
    if base.id == wanted.id:
        on_grid = base
    if on_grid is not None:
        return Point(on_grid, repetition, True)
    return off_grid(wanted, repetition, runs, registry)


def off_grid(wanted: Run, repetition: int, runs: list[Run], registry: Registry) -> Point:
    """A task off the grid, with the number that its run already has or the next free one."""
    known = [run.number for run in registry.runs.values() if run.id == wanted.id]
    free = max([run.registered_number for run in runs] + list(registry.runs)) + 1
    return Point(replace(wanted, number=known[0] if known else free), repetition, False)


def run(
    study: Study,
    experiment: Experiment,
    wanted: Point,
    *,
    debug: bool = False,
    rerun: bool = False,
    live: bool = False,
    scratch: bool = False,
    profile: bool = False,
    recorded: SubmissionRecord | None = None,
) -> tuple[AttemptFiles, dict[str, Any]]:
    """Run the task in the foreground. Returns the attempt's files and its outcome.

    If the task is done, this is a scratch attempt, stored separately from those that count, unless `rerun`.
    With `scratch`, it is one whatever the state of the task, and runs in this process; with `profile` too, the fit
    is profiled into its folder; its run is registered only if it was submitted before. With `recorded`, the experiment
    was loaded from that submission's copy of the code. With `live`, stderr is a terminal and shows how far the task is.

    Raises
    ------
    UsageError
        The task is queued or running, or what the experiment needs is not done.
    """
    files = ExperimentFiles(study, experiment.name)
    if recorded is None:
        stages.must_be_done(study, experiment)
    storage.mark(study)
    with locked(files.lock):
        status = read_status(study, experiment.name)
        before = status.of((wanted.run.registered_number, wanted.repetition))
        if before.state in ACTIVE and not scratch:
            name = f"{experiment.name}:{wanted.run.number}/{wanted.repetition}"
            raise UsageError(
                f"{name} is {before.state} in {before.submission}. "
                f"`{command('logs', name)}` shows its output; `{command('cancel', name)}` cancels it."
            )
        runs = runs_of(experiment, status.registry)
        registry = registered(runs, status.registry)
        if not wanted.on_grid:
            wanted = off_grid(
                wanted.run, wanted.repetition, runs, status.registry
            )  # others may have taken its number
            registry.append(entry(wanted.run, on_grid=False))
        if not scratch:
            register(files.registry, status.registry, _without_repeats(registry))
        is_done = before.state is State.DONE
        apart = scratch or (is_done and not rerun)
        record = base_record(
            study,
            experiment,
            recorded.code_hash
            if recorded
            else code_hash(study.root, experiment.script, experiment.adapter.code),
            experiment.repetitions,
            fresh=is_done or scratch,
            whole_grid=False,
            scratch=apart,
            runner=HERE,
            backend="local",
            resources=Resources(),
            recorded=recorded,
        )
        name = submission_name(files, HERE)
        submission = write_submission(files, name, record, [[wanted.planned(0 if apart else before.newest)]])
        here = Process.here()
        note_queue(submission, QueueLine(id=str(here.pid), first=0, last=0, process=here.record()))
    wrapped = _wrapped(experiment, debug, scratch, profile)
    try:
        own = {run.number: run for run in registry} if scratch else None
        assignment = Assignment.read(submission.folder, own)
        code = study.root if recorded is None else assignment.code
        return _work(code, assignment, wrapped, wanted, wrapped is not experiment, live)
    finally:
        append_event(submission.folder, ended=0)  # this process, which is its queue, may live on


def _work(
    code: Path, assignment: Assignment, experiment: Experiment, wanted: Point, in_process: bool, live: bool
) -> tuple[AttemptFiles, dict[str, Any]]:
    signals = Signals()
    if not in_process:
        signals.listen()
    try:
        assignment.load(experiment, code)
        line = _status_line(experiment, wanted) if live and not in_process else None
        Worker(assignment, signals, echo=True, in_process=in_process, status_line=line).do_job(0)
    finally:
        signals.close()
    files = assignment.task_files(wanted.run.registered_number, wanted.repetition)
    attempt = next((one for one in reversed(files.attempts()) if _is_of(one, assignment.submission)), None)
    if attempt is None and signals.stop:
        raise KeyboardInterrupt
    if attempt is None:
        name = f"{experiment.name}:{wanted.run.number}/{wanted.repetition}"
        shown = command("status", name)
        raise UsageError(f"Another worker has just started {name}. `{shown}` shows its status.")
    return attempt, read_json(attempt.outcome)


def _status_line(experiment: Experiment, wanted: Point) -> Callable[[AttemptFiles], str]:
    """Makes the line that says how far an attempt is: 'exp3:17/3  0:42, about 2 min left  epoch 12/200  …'."""
    key = wanted.run.registered_number, wanted.repetition
    arguments = {**experiment.defaults(wanted.run.arguments), **wanted.run.arguments}
    pace = Pace()

    def line(attempt: AttemptFiles) -> str:
        task = look(key, attempt, arguments)
        left = pace.left_seconds([task], running=1, queued=0, now=time.monotonic())
        about = f", about {roughly(left)} left" if left is not None else ""
        said = f"  {task.said}" if task.step is not None else ""  # what it prints is on the terminal
        return f"{experiment.name}:{key[0]}/{key[1]}  {clock(task.seconds)}{about}{said}"

    return line


def _is_of(attempt: AttemptFiles, submission: SubmissionFiles) -> bool:
    return read_record(attempt.claim, Claim).submission == submission.name


def _wrapped(experiment: Experiment, debug: bool, scratch: bool, profile: bool) -> Experiment:
    """The experiment with a fit that runs in this process, or itself if the fit has one of its own."""
    fit = experiment.fit
    if scratch:
        fit = Profiled(fit) if profile else Interruptible(fit)
    if debug:
        fit = Debugged(fit)
    if fit is experiment.fit:
        return experiment
    return replace(experiment, fit=fit).at(experiment.name, experiment.script)


class Interruptible:
    """A fit in this process, which Ctrl-C ends at once."""

    def __init__(self, fit: Callable[..., Any]) -> None:
        self._fit = fit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fit, name)

    def arguments(self) -> dict[str, Any]:
        return FitAdapter(self._fit).arguments()

    def __call__(self, task: Any) -> Any:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return FitAdapter(self._fit).call(task)


class Profiled(Interruptible):
    """A fit whose calls of functions are counted and timed, into a file in the folder of its attempt."""

    def __call__(self, task: Any) -> Any:
        import cProfile

        profile = cProfile.Profile()
        try:
            return profile.runcall(super().__call__, task)
        finally:
            profile.dump_stats(task.attempt.folder / PROFILE)


class Debugged(Interruptible):
    """A fit that opens the debugger at the point where it raises."""

    def __call__(self, task: Any) -> Any:
        import pdb  # 40 ms, which other tasks need not pay

        try:
            return super().__call__(task)
        except Exception as error:
            print("".join(traceback.format_exception_only(error)), end="", file=sys.stderr, flush=True)
            pdb.post_mortem(error.__traceback__)
            raise


def _without_repeats(runs: list[RegisteredRun]) -> list[RegisteredRun]:
    return list({run.number: run for run in runs}.values())
