"""Submit a plan: reserve its tasks, write the submission, ask the queue, note each answer.

If the process dies at any point, no task is queued twice or lost.
"""

from __future__ import annotations

import contextlib
import datetime
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from neurofit.backends import notify
from neurofit.backends.base import Backend, Queued, Resources, Submission
from neurofit.backends.runner import Runner
from neurofit.errors import Interrupted, NeurofitError, QueueError, StoreError, SubmissionError
from neurofit.experiments import snapshot
from neurofit.experiments.experiment import Experiment
from neurofit.files import explain_os_errors
from neurofit.orchestrate import notices, provenance, signals, stages
from neurofit.orchestrate.plan import Plan, make
from neurofit.status.needs import look
from neurofit.status.queues import line_of
from neurofit.store import storage
from neurofit.store.layout import ExperimentFiles, SubmissionFiles, code_store
from neurofit.store.lock import locked
from neurofit.store.records import STEP_ARGUMENTS, Need, QueueLine, ResourcesRecord, SubmissionRecord
from neurofit.store.registry import register
from neurofit.store.submissions import note_queue, write_submission
from neurofit.study import Study

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
STAMP = "%Y%m%d-%H%M%S"
STAMP_LENGTH = 15
WAITING = (
    "Waiting for the queue's answer, to record the jobs that it accepts. Press Ctrl-C again to stop at once."
)


@dataclass
class Submitted:
    """What was queued."""

    name: str
    tasks: int
    jobs: int
    ids: list[str]
    after: tuple[str, ...]  # ids of the jobs that its own jobs wait for in the queue
    files: SubmissionFiles
    plan: Plan  # as it was when its tasks were queued
    signal: int | None = None  # a signal that arrived meanwhile and ends the command


def submit(
    plan: Plan,
    runner: Runner,
    say: Callable[[str], None] = lambda text: None,
    needed: stages.Needed | None = None,
) -> Submitted | None:
    """Queue the tasks of a plan that no other command has queued in the meantime; None if none is left.

    Parameters
    ----------
    say : callable
        Called with a message if a first Ctrl-C does not end the command at once.
    needed : Needed or None
        What the experiment needs, if it is loaded already.

    Raises
    ------
    Interrupted
        A signal arrived before everything was queued.
    NeurofitError
        A task would not find its data: then nothing is queued.
    """
    plan.check_data()  # before the lock: it may take a while
    files = ExperimentFiles(plan.study, plan.experiment.name)
    needed = needed or stages.order(plan.study, plan.experiment)
    storage.mark(plan.study)
    with locked(files.lock):
        plan = make(plan.study, plan.experiment, plan.options)
        if not plan.tasks:
            return None
        runner = plan.throttled(runner)
        needs = stages.needs_of(plan.study, needed.of(plan.experiment.name))
        left = stages.must_wait([look(plan.study, need) for need in needs], runner)
        register(files.registry, plan.status.registry, plan.registered())
        jobs = plan.jobs_of(runner.backend)
        after = stages.dependencies(left, runner)
        record = submission_record(plan, runner, needs)
        submission = write_submission(files, submission_name(files, runner.name), record, jobs)
        gate = stages.gate(submission) if left else None
        asked = Submission(
            submission.folder,
            plan.experiment.name,
            len(jobs),
            plan.study.root,
            gate,
            after,
            notices.at_end(submission, record),
        )
        ids, signal = queue(runner.backend, asked, submission, say)
    return Submitted(submission.name, len(plan.tasks), len(jobs), ids, after, submission, plan, signal)


def preview(plan: Plan, runner: Runner, after: tuple[str, ...] = ()) -> str:
    """What `submit` passes to the queue, as text; empty if no task will be queued."""
    runner = plan.throttled(runner)
    jobs = plan.jobs_of(runner.backend)
    if not jobs:
        return ""
    folder = ExperimentFiles(plan.study, plan.experiment.name).submission("SUBMISSION").folder
    asked = Submission(folder, plan.experiment.name, len(jobs), plan.study.root, after=after)
    return runner.backend.preview(asked)


def queue(
    backend: Backend,
    submission: Submission,
    files: SubmissionFiles,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[list[str], int | None]:
    """Ask the queue, and note each answer before the next call.

    If the queue accepted nothing, the submission is removed. If it is unknown what the queue accepted, because
    it gave no answer or this process was killed, the submission stays, and the next command looks it up.

    A signal that would end this process is held back until the queue's answer is noted.

    Returns
    -------
    tuple of list of str, int or None
        The ids, and the signal that arrived.
    """
    taken: list[Queued] = []
    try:
        with signals.kept(lambda: say(WAITING)) as came:
            for answer in backend.submit(submission):
                taken.append(answer)
                note_queue(files, line_of(answer))
                if came and _jobs(taken) < submission.jobs:
                    break
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, signals.Signalled) else signals.ENDING[0]
        so_far = _so_far(submission, taken, "`neurofit status` checks whether the queue has more")
        raise Interrupted(f"Interrupted. {so_far}", number) from error
    except Exception as error:
        is_known = isinstance(error, SubmissionError) or not isinstance(error, (QueueError, StoreError))
        if taken and is_known:
            with contextlib.suppress(NeurofitError):  # else the next command looks in the queue
                note_queue(files, QueueLine(complete=True))
        elif not taken and (is_known or isinstance(error, StoreError)):
            shutil.rmtree(files.folder, ignore_errors=True)
        if taken and isinstance(error, NeurofitError):
            unknown = "`neurofit status` checks whether the queue has more"
            raise type(error)(
                f"{error}\n{_so_far(submission, taken, '' if is_known else unknown)}"
            ) from error
        raise
    if came and _jobs(taken) < submission.jobs:
        note_queue(files, QueueLine(complete=True))
        raise Interrupted(f"Interrupted. {_so_far(submission, taken)}", came[0])
    return [answer.id for answer in taken], came[0] if came else None


def _jobs(taken: list[Queued]) -> int:
    return sum(answer.last - answer.first + 1 for answer in taken)


def _so_far(submission: Submission, taken: list[Queued], rest: str = "") -> str:
    """How many jobs the queue accepted, and what is known about the others."""
    number, jobs = _jobs(taken), submission.jobs
    ids = f" ({taken[0].id}{f' to {taken[-1].id}' if len(taken) > 1 else ''})" if taken else ""
    others = "the other is" if jobs - number == 1 else "the others are"
    verb = "was" if number == 1 else "were"
    known = f"{others} not queued, and the same command queues {'it' if jobs - number == 1 else 'them'}"
    return f"{number} of {jobs} jobs {verb} queued as {submission.token}{ids}; {rest or known}."


def submission_name(files: ExperimentFiles, runner: str) -> str:
    """A name that sorts after all existing ones, even if the clocks of submit hosts differ.

    The caller holds the experiment's lock.
    """
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime(STAMP)
    last = max((found for earlier in files.submissions() if (found := _stamped(earlier.name))), default=None)
    if last is not None and stamp <= last.strftime(STAMP):
        stamp = (last + datetime.timedelta(seconds=1)).strftime(STAMP)
    return f"{stamp}-{runner}-{''.join(secrets.choice(ALPHABET) for _ in range(4))}"


def _stamped(name: str) -> datetime.datetime | None:
    """The time in a submission's name; None if there is none."""
    try:
        return datetime.datetime.strptime(name[:STAMP_LENGTH], STAMP)
    except ValueError:
        return None


def submission_record(plan: Plan, runner: Runner, needs: list[Need]) -> SubmissionRecord:
    """The record of a submission, without its name and number of jobs."""
    return base_record(
        plan.study,
        plan.experiment,
        plan.code_hash,
        plan.repetitions,
        fresh=plan.options.rerun,
        keep_going=plan.options.keep_going,
        whole_grid=not plan.is_trial,
        runner=runner.name,
        backend=runner.kind,
        resources=runner.backend.resources,
        task_minutes=runner.backend.task_minutes,
        tasks_per_gpu=runner.backend.tasks_per_gpu,
        tasks_at_a_time=runner.backend.tasks_at_a_time(),
        gpu_memory_gb=runner.backend.gpu_memory_gb,
        notify=list(notify.command_of(runner.backend, plan.study)),
        needs=needs,
    )


def _steps(experiment: Experiment) -> dict[str, int | float]:
    """The defaults of arguments that say how many steps a task makes."""
    defaults = experiment.arguments()
    numbers = {name: defaults[name] for name in STEP_ARGUMENTS if name in defaults}
    return {name: number for name, number in numbers.items() if type(number) in (int, float)}


def base_record(
    study: Study,
    experiment: Experiment,
    code_hash: str,
    repetitions: int,
    *,
    resources: Resources,
    recorded: SubmissionRecord | None = None,
    **queued: Any,
) -> SubmissionRecord:
    """The record of a submission; the code is in the store when this returns.

    Parameters
    ----------
    recorded : SubmissionRecord, optional
        A submission whose code, which is in the store, this one runs too.
    queued : Any
        Further fields of SubmissionRecord: which runner, and what is asked of it.
    """
    code = _recorded_code(recorded) if recorded is not None else _present_code(study, experiment)
    return SubmissionRecord(
        experiment=experiment.name,
        study=str(study.root),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        repetitions=repetitions,
        split_by=experiment.split_by,
        code_hash=code_hash,
        resources=ResourcesRecord(**asdict(resources)),
        steps=_steps(experiment),
        **{**provenance.record(study.root), **code},
        **queued,
    )


def _recorded_code(recorded: SubmissionRecord) -> dict[str, Any]:
    """Fields of a submission that runs the code of an earlier one."""
    return {name: getattr(recorded, name) for name in ("script", "code", "commit", "dirty")}


def _present_code(study: Study, experiment: Experiment) -> dict[str, str]:
    """Fields of a submission that runs the code that the study has now, which is copied into the store."""
    collected = snapshot.collect(study, experiment.script, experiment.files)
    with explain_os_errors(code_store(study), "keep a copy of the code"):
        code = snapshot.take(collected, code_store(study))
    script = experiment.script.resolve().relative_to(study.root.resolve()).as_posix()
    return {"script": script, "code": code.name}
