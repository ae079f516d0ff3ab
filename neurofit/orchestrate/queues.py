"""What the queues say of submissions: one question per kind of queue, and an answer that failed changes nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.backends import runner
from neurofit.backends.base import Backend, Queued, Submission
from neurofit.errors import NeurofitError
from neurofit.experiments.store.lock import held_elsewhere
from neurofit.experiments.store.state import Job
from neurofit.experiments.store.submissions import QueueMemory, note_queue, read_queue


@dataclass
class JobsView:
    """What is known of one submission's jobs."""

    answered: bool = False
    live: dict[int, str] = field(default_factory=dict)  # job → phase
    reasons: dict[int, str] = field(default_factory=dict)  # why it waits
    causes: dict[int, str] = field(default_factory=dict)  # why it ended
    grace_over: bool = True
    problem: str | None = None  # why the queue could not be asked
    runner: str = ""

    def of(self, job: int) -> Job:
        if job in self.live:
            return Job.LIVE
        return Job.ABSENT if self.answered else Job.UNKNOWN


def backend_of(record: dict[str, Any], runners: Path) -> Backend:
    """The backend that a submission was queued with: by its profile if that is still there, else with defaults."""
    try:
        found = runner.load(runners, record["runner"])
        if found.kind == record["backend"]:
            return found.backend
    except NeurofitError:
        pass
    return runner.find_backend(record["backend"], runners, None)()


def ask(parts: Iterable[Any], runners: Path) -> dict[str, JobsView]:
    """A view per part (see `standing.Part`); parts of one kind of queue share one question."""
    views, kinds = {}, {}
    for part in parts:
        view = views[part.files.name] = JobsView(runner=part.record["runner"])
        if not part.at_home:
            view.answered = True  # a copy of the study: what was queued belongs to the original
            continue
        kinds.setdefault(part.record["backend"], []).append(part)
    for kind, group in kinds.items():
        try:
            _ask_one(backend_of(group[0].record, runners), group, views)
        except NeurofitError as error:
            for part in group:
                views[part.files.name].problem = f"{part.files.name}: the queue '{kind}' could not be asked: {error}"
    return views


def _ask_one(backend: Backend, parts: list[Any], views: dict[str, JobsView]) -> None:
    queued = {}
    for part in parts:
        being_submitted = held_elsewhere(part.lock)  # asked before the calls: the one lets go after noting the others
        memory = read_queue(part.files)
        calls = calls_of(backend, part, memory)
        if not calls and being_submitted:
            continue
        foreign = [call for call in calls if not backend.can_ask(call)]
        if foreign:
            host = (foreign[0].process or {}).get("host") or part.record["host"]
            views[
                part.files.name
            ].problem = (
                f"{part.files.name}: it runs on {host}, which this host cannot ask; states there are as last seen."
            )
            continue
        queued[part.files.name] = (part, memory, calls)
    everything = [call for _, _, calls in queued.values() for call in calls]
    live = backend.poll(everything) if everything else {}
    ended = backend.endings(everything) if everything else {}
    for name, (part, memory, _) in queued.items():
        view = views[name]
        view.answered = True
        view.live = {job: state.phase for (token, job), state in live.items() if token == name}
        view.reasons = {job: state.reason for (token, job), state in live.items() if token == name and state.reason}
        view.causes = {job: ending.cause for (token, job), ending in ended.items() if token == name and ending.cause}
        view.grace_over = _grace_over(backend, part, memory, view)


def calls_of(backend: Backend, part: Any, memory: QueueMemory) -> list[Queued]:
    """What the queue took of a submission; one that was never confirmed is looked up by its token."""
    if memory.calls:
        return [Queued.from_record(part.files.folder, call) for call in memory.calls]
    return backend.find([submission_of(part)])


def submission_of(part: Any) -> Submission:
    return Submission(part.files.folder, part.record["experiment"], part.record["jobs"], Path(part.record["study"]))


def _grace_over(backend: Backend, part: Any, memory: QueueMemory, view: JobsView) -> bool:
    """Whether the queue has answered without the missing jobs for long enough; the first such answer is noted."""
    if backend.grace_seconds == 0 or len(view.live) == part.record["jobs"]:
        return True
    if memory.absent_since is None:
        with contextlib.suppress(NeurofitError):  # where it cannot be written, the next command that can notes it
            note_queue(part.files, {"absent_since": time.time()})
        return False
    return time.time() - memory.absent_since > backend.grace_seconds
