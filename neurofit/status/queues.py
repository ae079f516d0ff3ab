"""What the queues say of submissions: one question per kind of queue, and an answer that failed changes
nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.backends import job_script, runner
from neurofit.backends.base import Backend, Ending, JobKey, Queued, QueueState, Submission
from neurofit.backends.commands import spans
from neurofit.errors import NeurofitError, QueueError
from neurofit.experiments.selector import naming
from neurofit.status.suggestions import runner_option, submit_again
from neurofit.store.journal import STALE_SECONDS, now_on
from neurofit.store.lock import held_elsewhere
from neurofit.store.records import SubmissionRecord
from neurofit.store.state import Job
from neurofit.store.submissions import Planned, QueueMemory, note_queue, read_queue
from neurofit.text import command


@dataclass
class JobsView:
    """What is known of one submission's jobs."""

    answered: bool = False
    live: dict[int, str] = field(default_factory=dict)  # job → phase
    unknown: set[int] = field(default_factory=set)  # the queue answered, and not about these
    hidden: set[int] = field(
        default_factory=set
    )  # of those, the ones that the queue does not show to this user
    reasons: dict[int, str] = field(default_factory=dict)  # why it waits
    causes: dict[int, str] = field(default_factory=dict)  # why it ended
    in_grace: set[int] = field(
        default_factory=set
    )  # the queue has not yet answered without them for long enough
    grace_until: float | None = None  # when the last of those counts as gone, if it stays missing
    problem: str | None = None  # why the queue could not be asked
    runner: str = ""

    def of(self, job: int) -> Job:
        if job in self.live:
            return Job.LIVE
        if job in self.unknown:
            return Job.UNKNOWN
        return Job.ABSENT if self.answered else Job.UNKNOWN


def backend_of(record: SubmissionRecord, runners: Path) -> Backend:
    """The backend that a submission was queued with: by its profile if that is still there, else with
    defaults.
    """
    try:
        found = runner.load(runners, record.runner)
        if found.kind == record.backend:
            return found.backend
    except NeurofitError:
        pass
    return runner.find_backend(record.backend, runners, None)()


def ask(parts: Iterable[Any], runners: Path) -> dict[str, JobsView]:
    """A view per part (see `experiment_status.SubmissionStatus`); parts of one kind of queue share one question."""
    views, kinds = {}, {}
    for part in parts:
        view = views[part.files.name] = JobsView(runner=part.record.runner)
        if not part.at_home:
            view.answered = True  # a copy of the study: what was queued belongs to the original
            continue
        kinds.setdefault(part.record.backend, []).append(part)
    for kind, group in kinds.items():
        try:
            _ask_one(backend_of(group[0].record, runners), group, views)
        except NeurofitError as error:
            for part in group:
                views[
                    part.files.name
                ].problem = f"{part.files.name}: the queue '{kind}' could not be asked: {error}"
    return views


def _ask_one(backend: Backend, parts: list[Any], views: dict[str, JobsView]) -> None:
    queued = {}
    for part in parts:
        being_submitted = held_elsewhere(
            part.lock
        )  # asked before the calls: the one lets go after noting the others
        memory = read_queue(part.files)
        try:
            calls = calls_of(backend, part, memory)
        except QueueError as error:
            if not being_submitted:
                name = part.files.name
                views[name].problem = f"{name}: whether the queue has its jobs is not known: {error}"
            continue
        if not calls and being_submitted:
            continue
        foreign = [call for call in calls if not backend.can_ask(call)]
        if foreign:
            if not all(_is_over(part, task) for tasks in part.jobs for task in tasks):
                views[part.files.name].problem = _elsewhere(part, foreign[0])
            continue
        queued[part.files.name] = (part, memory, calls)
    everything = [call for _, _, calls in queued.values() for call in calls]
    live = _without_ended(backend.poll(everything) if everything else {}, queued)
    missing, unexplained = {}, []
    for name, (part, memory, calls) in queued.items():
        missing[name] = _missing(part, {job for token, job in live if token == name})
        unknown = missing[name] - memory.ended.keys()
        unexplained += [call for call in calls if not unknown.isdisjoint(range(call.first, call.last + 1))]
    ended, silence = _endings(backend, unexplained)
    for name, (part, memory, calls) in queued.items():
        view = views[name]
        view.answered = True
        states = {job: state for (token, job), state in live.items() if token == name}
        view.unknown = {job for job, state in states.items() if state.phase == "unknown"}
        view.hidden = {job for job, state in states.items() if state.phase == "hidden"}
        view.live = {job: state.phase for job, state in states.items() if job not in view.unknown}
        view.live.update(dict.fromkeys(view.hidden, "pending"))
        view.reasons = {job: states[job].reason for job in view.live if states[job].reason}
        ends = {job: ending for (token, job), ending in ended.items() if token == name}
        view.causes = {job: ending.cause for job, ending in ends.items() if ending.cause}
        view.causes.update({job: memory.ended[job] for job in missing[name] & memory.ended.keys()})
        view.problem = _problem(name, states, ends)
        if silence and missing[name] - view.causes.keys():
            view.problem = f"{name}: why its jobs ended could not be asked: {silence}"
        never_queued = _never_queued(part, memory, calls)
        in_grace = _in_grace(backend, memory, missing[name] - never_queued)
        open_yet = {job for job in in_grace if job in ends and not ends[job].final}
        _note_news(backend, part, memory, missing[name] - never_queued, view, open_yet)
        view.in_grace = in_grace.keys() - view.causes.keys()
        view.grace_until = max((in_grace[job] for job in view.in_grace), default=None)


def _without_ended(
    live: Mapping[JobKey, QueueState], queued: Mapping[str, tuple[Any, QueueMemory, list[Queued]]]
) -> dict[JobKey, QueueState]:
    """Without hidden jobs of which it is known that they are over: their tasks are, or their script or
    somebody who may see them has said so.
    """
    hidden = {key for key, state in live.items() if state.phase == "hidden"}
    if not hidden:
        return dict(live)
    over = {(name, job) for name, (_, memory, _) in queued.items() for job in memory.ended}
    for name, (part, _, _) in queued.items():
        over.update(
            (name, job) for job, tasks in enumerate(part.jobs) if all(_is_over(part, task) for task in tasks)
        )
    over.update(job_script.endings(call for _, _, calls in queued.values() for call in calls))
    return {key: state for key, state in live.items() if key not in hidden or key not in over}


def _problem(name: str, states: Mapping[int, QueueState], ended: Mapping[int, Ending]) -> str | None:
    """What could not be asked about some jobs of a submission."""
    unknown = dict.fromkeys(state.reason for state in states.values() if state.phase == "unknown")
    endings = dict.fromkeys(ending.problem for ending in ended.values() if ending.problem)
    said = [f"about some of its jobs, the queue could not be asked: {one}" for one in unknown]
    said += [f"why some of its jobs ended could not be asked: {one}" for one in endings]
    return f"{name}: {'; '.join(said)}" if said else None


def _never_queued(part: Any, memory: QueueMemory, calls: list[Queued]) -> set[int]:
    """Jobs that no call has, where it is known that there were no more calls: the queue refused them."""
    if not memory.complete:
        return set()
    return set(range(part.record.jobs)).difference(*(range(call.first, call.last + 1) for call in calls))


def _elsewhere(part: Any, call: Queued) -> str:
    """That only another host can be asked; where it has been silent for long, what to do if it is gone."""
    name, host = part.files.name, str((call.process or {}).get("host") or part.record.host)
    said = f"{name}: it runs on {host}, which this host cannot ask; states there are as last seen."
    silence = silent_seconds(part)
    if silence is None or silence < STALE_SECONDS:
        return said
    waiting = [task.key for tasks in part.jobs for task in tasks if not _is_over(part, task)]
    name = part.record.experiment
    cancel = command("cancel", naming(name, waiting))
    again = submit_again(name, waiting, backend=runner_option(part.record.runner), retry=True)
    return (
        f"{said} Its workers were last heard of {silence / 60:,.0f} minutes ago. If {host} is gone (a "
        "machine that was "
        f"shut down, a container that has another name now), `{cancel}` frees its tasks, and `{again}` goes "
        "on with "
        "them from their last checkpoints."
    )


def silent_seconds(part: Any) -> float | None:
    """Age of the newest sign of life of a submission's workers; None where there never was one."""
    newest = max(part.facts.touched.values(), default=None)
    return None if newest is None else max(0.0, now_on(part.files.folder) - newest)


def _endings(backend: Backend, unexplained: list[Queued]) -> tuple[Mapping[JobKey, Ending], str | None]:
    """What accounting knows, and where that is nothing, what the jobs' scripts left; or why accounting could
    not be asked. Jobs are gone all the same, where the queue said so.
    """
    left = job_script.endings(unexplained)
    try:
        accounted = backend.endings(unexplained) if unexplained else {}
    except QueueError as error:
        return left, str(error)
    said = {key: ending for key, ending in accounted.items() if ending.cause or key not in left}
    return {**left, **said}, None


def calls_of(backend: Backend, part: Any, memory: QueueMemory) -> list[Queued]:
    """What the queue took of a submission; calls that were never confirmed are looked up by its token."""
    calls = [Queued(part.files.folder, *call) for call in memory.calls]
    if memory.complete or sum(call.last - call.first + 1 for call in calls) >= part.record.jobs:
        return calls
    noted = {(call.id, call.first) for call in calls}
    found = [call for call in backend.find([submission_of(part)]) if (call.id, call.first) not in noted]
    if found and not held_elsewhere(part.lock):  # nobody else will
        with contextlib.suppress(NeurofitError):
            for call in found:
                note_queue(part.files, call.record())
    return calls + found


def submission_of(part: Any) -> Submission:
    return Submission(part.files.folder, part.record.experiment, part.record.jobs, Path(part.record.study))


def _missing(part: Any, live: set[int]) -> set[int]:
    """Jobs that the queue does not have, with a task of which the files do not say how it ended."""
    return {
        number
        for number, tasks in enumerate(part.jobs)
        if number not in live and not all(_is_over(part, task) for task in tasks)
    }


def _is_over(part: Any, task: Planned) -> bool:
    facts = part.facts.tasks.get(task.key)
    over = facts is not None and facts.attempt > task.last_attempt and facts.ended in ("done", "failed")
    return over or any(stop.covers(task.key) for stop in part.stops)


def _in_grace(backend: Backend, memory: QueueMemory, missing: set[int]) -> dict[int, float]:
    """Missing jobs of which that does not count yet → when it will."""
    now = time.time()
    until = {job: memory.absent.get(job, now) + backend.grace_seconds for job in missing}
    return {job: end for job, end in until.items() if now <= end} if backend.grace_seconds else {}


def _note_news(
    backend: Backend, part: Any, memory: QueueMemory, missing: set[int], view: JobsView, open_yet: set[int]
) -> None:
    """Note what this answer is the first to say: jobs that it lacks, jobs that are back, and why jobs ended,
    which a queue forgets.
    """
    known = memory.absent.keys() | memory.ended.keys()
    why = view.causes.keys() & missing - memory.ended.keys() - open_yet
    news = {
        "absent": spans(missing - memory.absent.keys()) if backend.grace_seconds else [],
        "back": spans(known & view.live.keys() - view.hidden),
        "ended": _by_cause({job: view.causes[job] for job in why}),
    }
    if any(news.values()):
        with contextlib.suppress(
            NeurofitError
        ):  # where it cannot be written, the next command that can notes it
            note_queue(part.files, {**{name: jobs for name, jobs in news.items() if jobs}, "t": time.time()})


def _by_cause(causes: Mapping[int, str]) -> dict[str, list[tuple[int, int]]]:
    jobs: dict[str, list[int]] = {}
    for job, cause in causes.items():
        jobs.setdefault(cause, []).append(job)
    return {cause: spans(numbers) for cause, numbers in jobs.items()}
