"""What the queues report about submissions. Each kind of queue is asked once; a query that fails changes
nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from neurofit.backends import job_script, runner
from neurofit.backends.base import Backend, Ending, JobKey, Queued, QueueState
from neurofit.errors import NeurofitError, QueueError
from neurofit.experiments.selector import naming
from neurofit.spans import spans
from neurofit.status.submission_status import SubmissionStatus, submit_again
from neurofit.store.evidence import newest_ends, were_interrupted
from neurofit.store.hosts import note_deaths
from neurofit.store.journal import STALE_SECONDS, UNMET_END, now_on
from neurofit.store.lock import held_elsewhere
from neurofit.store.records import HOST_NAME, HostDeathRecord, QueueLine, SubmissionRecord
from neurofit.store.state import Job
from neurofit.store.submissions import QueueMemory, note_queue, read_queue
from neurofit.study import Study
from neurofit.text import command


@dataclass
class JobsView:
    """What is known about one submission's jobs."""

    answered: bool = False
    live: dict[int, str] = field(default_factory=dict)  # job → phase
    unknown: set[int] = field(default_factory=set)  # the queue answered, but not about these jobs
    hidden: set[int] = field(default_factory=set)  # those of `live` that the queue hides from this user
    reasons: dict[int, str] = field(default_factory=dict)  # why a job waits
    causes: dict[int, str] = field(default_factory=dict)  # why a job ended
    in_grace: set[int] = field(default_factory=set)  # missing, but not for long enough to count as gone
    grace_until: float | None = None  # when the last of those counts as gone, in seconds since 1970
    problem: str | None = None  # why the queue could not be asked
    runner: str = ""

    def of(self, job: int) -> Job:
        if job in self.live:
            return Job.LIVE
        if job in self.unknown:
            return Job.UNKNOWN
        return Job.ABSENT if self.answered else Job.UNKNOWN


class Asked(NamedTuple):
    """A submission that its queue is asked about."""

    submission: SubmissionStatus
    memory: QueueMemory
    calls: list[Queued]


def backend_of(record: SubmissionRecord, runners: Path) -> Backend:
    """The backend of a submission: from its profile if that still exists, otherwise with default settings.

    Parameters
    ----------
    record : SubmissionRecord
        Of the submission.
    runners : Path
        Folder of the profiles.
    """
    try:
        found = runner.load(runners, record.runner)
        if found.kind == record.backend:
            return found.backend
    except NeurofitError:
        pass
    return runner.find_backend(record.backend, runners, None)()


def ask(
    submissions: Iterable[SubmissionStatus], study: Study, *, runners: Path | None = None, noting: bool = True
) -> dict[str, JobsView]:
    """What the queues report, by submission. Submissions to one kind of queue share one query.

    Parameters
    ----------
    submissions : iterable of SubmissionStatus
    study : Study
    runners : Path or None
        Folder of the profiles. None: the study's.
    noting : bool
        Whether what this answer is the first to report is written down for later commands.
    """
    views: dict[str, JobsView] = {}
    kinds: dict[str, list[SubmissionStatus]] = {}
    for submission in submissions:
        view = views[submission.name] = JobsView(runner=submission.record.runner)
        if submission.at_home:
            kinds.setdefault(submission.record.backend, []).append(submission)
        else:
            view.answered = True  # a copy of the study: its jobs belong to the original
    for kind, group in kinds.items():
        try:
            backend = backend_of(group[0].record, runners or study.runners)
            deaths = _ask_one(backend, group, views, noting)
            if deaths:
                note_deaths(study, deaths)
        except NeurofitError as error:
            for submission in group:
                name = submission.name
                views[name].problem = f"{name}: the queue '{kind}' could not be asked: {error}"
    return views


def _ask_one(
    backend: Backend, submissions: list[SubmissionStatus], views: dict[str, JobsView], noting: bool
) -> list[HostDeathRecord]:
    """Fill the views of submissions to one queue; return the deaths that this answer is the first to report."""
    asked = {
        submission.name: one
        for submission in submissions
        if (one := _to_ask(backend, submission, views[submission.name], noting))
    }
    calls = [call for one in asked.values() for call in one.calls]
    live = _without_ended(backend.poll(calls) if calls else {}, asked)
    missing: dict[str, set[int]] = {}
    unexplained = []
    for name, one in asked.items():
        missing[name] = _missing(one.submission, {job for token, job in live if token == name})
        unknown = missing[name] - one.memory.ended.keys() - unmet_jobs(one.submission)
        unexplained += [
            call for call in one.calls if not unknown.isdisjoint(range(call.first, call.last + 1))
        ]
    endings, silence = _endings(backend, unexplained)
    deaths = _repeated_deaths(backend, asked) if noting else []
    for name, one in asked.items():
        states = {job: state for (token, job), state in live.items() if token == name}
        ends = {job: ending for (token, job), ending in endings.items() if token == name}
        view = views[name]
        _fill(view, name, states, ends, one.memory, missing[name])
        if silence and missing[name] - view.causes.keys():
            view.problem = f"{name}: the queue could not be asked why its jobs ended: {silence}"
        gone = missing[name] - _never_queued(one)
        in_grace = _in_grace(backend, one.memory, gone - unmet_jobs(one.submission))
        may_change = {job for job in in_grace if job in ends and not ends[job].final}
        if noting:
            explained = _note_news(backend, one, gone, view, may_change)
            deaths += [
                _death(one, job, 0, host, view.causes[job])
                for job in explained
                if job in ends and (host := ends[job].host) and HOST_NAME.fullmatch(host)
            ]
        view.in_grace = in_grace.keys() - view.causes.keys()
        view.grace_until = max((in_grace[job] for job in view.in_grace), default=None)
    return deaths


def _death(one: Asked, job: int, start: int, host: str, cause: str) -> HostDeathRecord:
    record = one.submission.record
    return HostDeathRecord(
        host=host,
        cause=cause,
        backend=record.backend,
        experiment=record.experiment,
        submission=one.submission.name,
        job=job,
        start=start,
        t=round(time.time(), 3),
    )


def _repeated_deaths(backend: Backend, asked: Mapping[str, Asked]) -> list[HostDeathRecord]:
    """Starts of jobs that ended because of their hosts, and that the queue repeated.

    The queue is asked only about submissions with a job that was started again although its worker had not asked for
    that.
    """
    doubtful = [one for one in asked.values() if were_interrupted(one.submission.facts)]
    if not doubtful:
        return []
    try:
        found = backend.host_deaths([call for one in doubtful for call in one.calls])
    except QueueError:
        return []
    return [
        _death(asked[death.job[0]], death.job[1], death.start, death.host, death.cause)
        for death in found
        if HOST_NAME.fullmatch(death.host)
    ]


def _to_ask(backend: Backend, submission: SubmissionStatus, view: JobsView, noting: bool) -> Asked | None:
    """What the queue is asked about a submission; None, with the problem in its view, if it cannot be."""
    name = submission.name
    # checked before the calls are read: whoever holds the lock notes all calls before releasing it
    being_submitted = held_elsewhere(submission.lock)
    memory = read_queue(submission.files)
    try:
        calls = calls_of(backend, submission, memory, noting=noting)
    except QueueError as error:
        if not being_submitted:
            view.problem = f"{name}: cannot find out whether the queue has its jobs: {error}"
        return None
    if not calls and being_submitted:
        return None
    if foreign := [call for call in calls if not backend.can_ask(call)]:
        if not all(submission.is_over(task) for _, task in submission.planned()):
            view.problem = _elsewhere(submission, foreign[0])
        return None
    return Asked(submission, memory, calls)


def _fill(
    view: JobsView,
    name: str,
    states: Mapping[int, QueueState],
    ends: Mapping[int, Ending],
    memory: QueueMemory,
    missing: set[int],
) -> None:
    view.answered = True
    view.unknown = {job for job, state in states.items() if state.phase == "unknown"}
    view.hidden = {job for job, state in states.items() if state.phase == "hidden"}
    view.live = {job: state.phase for job, state in states.items() if job not in view.unknown}
    view.live.update(dict.fromkeys(view.hidden, "pending"))
    view.reasons = {job: states[job].reason for job in view.live if states[job].reason}
    view.causes = {job: ending.cause for job, ending in ends.items() if ending.cause}
    view.causes.update({job: memory.ended[job] for job in missing & memory.ended.keys()})
    view.problem = _problem(name, states, ends)


def _without_ended(live: Mapping[JobKey, QueueState], asked: Mapping[str, Asked]) -> dict[JobKey, QueueState]:
    """Drop hidden jobs that are known to be over: their tasks are, or their script reported its end, or a
    user who can see them noted it.
    """
    hidden = {key for key, state in live.items() if state.phase == "hidden"}
    if not hidden:
        return dict(live)
    over = {(name, job) for name, one in asked.items() for job in one.memory.ended}
    for name, one in asked.items():
        over.update(
            (name, job)
            for job, tasks in enumerate(one.submission.jobs)
            if all(one.submission.is_over(task) for task in tasks)
        )
    over.update(job_script.endings(call for one in asked.values() for call in one.calls))
    return {key: state for key, state in live.items() if key not in hidden or key not in over}


def _problem(name: str, states: Mapping[int, QueueState], ends: Mapping[int, Ending]) -> str | None:
    """What the queue could not be asked about some jobs of a submission."""
    unknown = dict.fromkeys(state.reason for state in states.values() if state.phase == "unknown")
    endings = dict.fromkeys(ending.problem for ending in ends.values() if ending.problem)
    problems = [f"the queue could not be asked about some of its jobs: {one}" for one in unknown]
    problems += [f"the queue could not be asked why some of its jobs ended: {one}" for one in endings]
    return f"{name}: {'; '.join(problems)}" if problems else None


def unmet_jobs(submission: SubmissionStatus) -> set[int]:
    """Jobs that ended before their first task because what they need will not get done, as they recorded."""
    return {job for job, end in newest_ends(submission.facts).items() if end == UNMET_END}


def _never_queued(one: Asked) -> set[int]:
    """Jobs that no call has, if it is known that there were no further calls: the queue refused them."""
    if not one.memory.complete:
        return set()
    taken = (range(call.first, call.last + 1) for call in one.calls)
    return set(range(one.submission.record.jobs)).difference(*taken)


def _elsewhere(submission: SubmissionStatus, call: Queued) -> str:
    """That another host has to be asked; if its workers have been silent for long, also what to do."""
    name, record = submission.name, submission.record
    host = str((call.process or {}).get("host") or record.host)
    problem = (
        f"{name}: it runs on {host}, which cannot be asked from this host. The states of its tasks are those last "
        "written to its files."
    )
    silence = silent_seconds(submission)
    if silence is None or silence < STALE_SECONDS:
        return problem
    waiting = [task.key for _, task in submission.planned() if not submission.is_over(task)]
    experiment = record.experiment
    cancel = command("cancel", naming(experiment, waiting))
    again = submit_again(experiment, waiting, backend=submission.runner_option, retry=True)
    return (
        f"{problem} Its workers last wrote {silence / 60:,.0f} minutes ago. If {host} no longer exists (the "
        "machine was shut down, or the container has a new name), run "
        f"`{cancel}`, then `{again}` to resume its tasks from their last checkpoints."
    )


def silent_seconds(submission: SubmissionStatus) -> float | None:
    """Seconds since any worker of a submission last wrote to its journal; None if none ever did."""
    newest = max(submission.facts.touched.values(), default=None)
    return None if newest is None else max(0.0, now_on(submission.files.folder) - newest)


def _endings(backend: Backend, unexplained: list[Queued]) -> tuple[Mapping[JobKey, Ending], str | None]:
    """How jobs ended, from accounting or else from what their scripts left; and why accounting could not be
    asked. Even then a job is gone if the queue said so.
    """
    left = job_script.endings(unexplained)
    try:
        accounted = backend.endings(unexplained) if unexplained else {}
    except QueueError as error:
        return left, str(error)
    known = {key: ending for key, ending in accounted.items() if ending.cause or key not in left}
    return {**left, **known}, None


def calls_of(
    backend: Backend, submission: SubmissionStatus, memory: QueueMemory, *, noting: bool = True
) -> list[Queued]:
    """What the queue took of a submission. Calls that were never noted are looked up by its token, and noted.

    Raises
    ------
    QueueError
        The queue could not be asked.
    """
    files = submission.files
    calls = [Queued(files.folder, *call) for call in memory.calls]
    if memory.complete or sum(call.last - call.first + 1 for call in calls) >= submission.record.jobs:
        return calls
    noted = {(call.id, call.first) for call in calls}
    found = [call for call in backend.find([submission.for_backend()]) if (call.id, call.first) not in noted]
    if found and noting and not held_elsewhere(submission.lock):  # otherwise the holder notes them
        with contextlib.suppress(NeurofitError):
            for call in found:
                note_queue(files, line_of(call))
    return calls + found


def line_of(call: Queued) -> QueueLine:
    """The line of `queue.jsonl` about jobs that the queue has accepted."""
    process = None if call.process is None else dict(call.process)
    return QueueLine(id=call.id, first=call.first, last=call.last, process=process)


def _missing(submission: SubmissionStatus, live: set[int]) -> set[int]:
    """Jobs that the queue does not have, although a task of theirs has not finished."""
    return {
        number
        for number, tasks in enumerate(submission.jobs)
        if number not in live and not all(submission.is_over(task) for task in tasks)
    }


def _in_grace(backend: Backend, memory: QueueMemory, missing: set[int]) -> dict[int, float]:
    """Missing jobs that do not count as gone yet → when they will, in seconds since 1970."""
    now = time.time()
    until = {job: memory.absent.get(job, now) + backend.grace_seconds for job in missing}
    return {job: end for job, end in until.items() if now <= end} if backend.grace_seconds else {}


def _note_news(
    backend: Backend, one: Asked, missing: set[int], view: JobsView, may_change: set[int]
) -> set[int]:
    """Note what this answer is the first to report, because a queue forgets: jobs that are missing, jobs
    that are back, and why jobs ended.

    Parameters
    ----------
    may_change : set of int
        Jobs of which accounting may still report another cause.

    Returns
    -------
    set of int
        Jobs whose causes were noted.
    """
    memory = one.memory
    known = memory.absent.keys() | memory.ended.keys()
    explained = view.causes.keys() & missing - memory.ended.keys() - may_change
    news = QueueLine(
        absent=spans(missing - memory.absent.keys()) if backend.grace_seconds else [],
        back=spans(known & view.live.keys() - view.hidden),
        ended=_by_cause({job: view.causes[job] for job in explained}),
        t=time.time(),
    )
    if news.absent or news.back or news.ended:
        with contextlib.suppress(NeurofitError):  # if it cannot be written, a later command notes it
            note_queue(one.submission.files, news)
    return explained


def _by_cause(causes: Mapping[int, str]) -> dict[str, list[tuple[int, int]]]:
    jobs: dict[str, list[int]] = {}
    for job, cause in causes.items():
        jobs.setdefault(cause, []).append(job)
    return {cause: spans(numbers) for cause, numbers in jobs.items()}
