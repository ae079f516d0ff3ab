"""Hand a plan to a queue: reserve, write down, ask, note each answer. Whatever dies in between, nothing is queued
twice or lost.
"""

from __future__ import annotations

import datetime
import secrets
import shutil
from dataclasses import asdict, dataclass
from typing import Any

from neurofit.backends.base import Backend, Queued, Submission
from neurofit.backends.runner import Runner
from neurofit.errors import QueueError, SubmissionError
from neurofit.experiments.definition import Experiment
from neurofit.experiments.scripts import snapshot
from neurofit.experiments.store.layout import ExperimentFiles, SubmissionFiles, code_store
from neurofit.experiments.store.lock import locked
from neurofit.experiments.store.registry import register
from neurofit.experiments.store.submissions import note_queue, write_submission
from neurofit.files import told_apart
from neurofit.orchestrate import provenance
from neurofit.orchestrate.plan import Plan, make, registered
from neurofit.study import Study

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
STAMP = "%Y%m%d-%H%M%S"
STAMP_LENGTH = 15


@dataclass
class Submitted:
    """What was queued."""

    name: str
    tasks: int
    jobs: int
    ids: list[str]
    files: SubmissionFiles


def submit(plan: Plan, runner: Runner) -> Submitted | None:
    """Queue what the plan asks for, as far as nobody else has in the meantime; None where nothing is left."""
    files = ExperimentFiles(plan.study, plan.experiment.name)
    with locked(files.lock):
        plan = make(plan.study, plan.experiment, plan.wish)
        if not plan.tasks:
            return None
        register(files.registry, plan.standing.registry, registered(plan.runs, plan.standing.registry))
        jobs = plan.jobs(plan.wish.tasks_per_job or runner.backend.tasks_per_job)
        record = submission_record(plan, runner)
        submission = write_submission(files, submission_name(files, runner.name), record, jobs)
        ids = queue(
            runner.backend, Submission(submission.folder, plan.experiment.name, len(jobs), plan.study.root), submission
        )
    return Submitted(submission.name, len(plan.tasks), len(jobs), ids, submission)


def preview(plan: Plan, runner: Runner) -> str:
    """What `submit` would hand to the queue, as text; nothing where nothing is to be queued."""
    jobs = plan.jobs(plan.wish.tasks_per_job or runner.backend.tasks_per_job)
    if not jobs:
        return ""
    folder = ExperimentFiles(plan.study, plan.experiment.name).submission("SUBMISSION").folder
    return runner.backend.preview(Submission(folder, plan.experiment.name, len(jobs), plan.study.root))


def queue(backend: Backend, submission: Submission, files: SubmissionFiles) -> list[str]:
    """Ask the queue, noting each answer before the next question; a submission of which nothing was taken is taken
    back. Where it is not known what was taken, because the queue gave no answer or this process is ended, the
    submission stays, and the next command looks in the queue for it.
    """
    taken: list[Queued] = []
    try:
        for answer in backend.submit(submission):
            taken.append(answer)
            note_queue(files, answer.record())
    except Exception as error:
        if isinstance(error, QueueError) and not isinstance(error, SubmissionError):
            raise
        if taken:
            note_queue(files, {"complete": True})
        else:
            shutil.rmtree(files.folder, ignore_errors=True)
        raise
    return [answer.id for answer in taken]


def submission_name(files: ExperimentFiles, runner: str) -> str:
    """A name that sorts after those that exist, whatever the clocks of the submit hosts say; called under the lock."""
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime(STAMP)
    last = max((found for earlier in files.submissions() if (found := _stamped(earlier.name))), default=None)
    if last is not None and stamp <= last.strftime(STAMP):
        stamp = (last + datetime.timedelta(seconds=1)).strftime(STAMP)
    return f"{stamp}-{runner}-{''.join(secrets.choice(ALPHABET) for _ in range(4))}"


def _stamped(name: str) -> datetime.datetime | None:
    """When a submission was made, as its name says; None where that is no time at all."""
    try:
        return datetime.datetime.strptime(name[:STAMP_LENGTH], STAMP)
    except ValueError:
        return None


def submission_record(plan: Plan, runner: Runner) -> dict[str, Any]:
    """`submission.json`, but for its name and number of jobs."""
    return {
        **base_record(plan.study, plan.experiment, plan.code_hash, plan.repetitions, fresh=plan.wish.rerun),
        "whole_grid": True,
        "keep_going": plan.wish.keep_going,
        "runner": runner.name,
        "backend": runner.kind,
        "resources": asdict(runner.backend.resources),
        "task_minutes": runner.backend.task_minutes,
    }


def base_record(
    study: Study, experiment: Experiment, code_hash: str, repetitions: int, *, fresh: bool
) -> dict[str, Any]:
    """What every submission says of itself; the code is in the store once this returns."""
    collected = snapshot.collect(study, experiment.path)
    with told_apart(code_store(study), "keep a copy of the code"):
        code = snapshot.take(collected, code_store(study))
    return {
        "format": 1,
        "experiment": experiment.name,
        "study": str(study.root),
        "script": experiment.path.resolve().relative_to(study.root.resolve()).as_posix(),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "repetitions": repetitions,
        "split_by": experiment.split_by,
        "fresh": fresh,
        "code": code.name,
        "code_hash": code_hash,
        **provenance.record(study.root),
    }
