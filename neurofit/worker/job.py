"""One job: its groups of tasks are claimed one after the other, run in child processes, and recorded."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from neurofit import job_cache, transient
from neurofit.errors import StoreError
from neurofit.files import NO_FILE, read_json
from neurofit.process import Process
from neurofit.store.attempts import Claimant, Refusal, claim, publish, still_mine
from neurofit.store.journal import HEARTBEAT_SECONDS, Journal
from neurofit.store.layout import AttemptFiles
from neurofit.store.records import (
    JournalLine,
    Outcome,
)
from neurofit.store.submissions import Planned, read_job
from neurofit.store.suggestions import PRUNED_AT
from neurofit.structure import read_record, structured
from neurofit.worker import checkpoints, child, notices, supervisor
from neurofit.worker.assignment import Assignment, versions
from neurofit.worker.cancellations import Cancellations
from neurofit.worker.deaths import limit_error, outcome_of
from neurofit.worker.gpu_sharing import Sharing, limit_tensorflow
from neurofit.worker.lanes import Lanes, Work
from neurofit.worker.prepared import Prepared, prepare
from neurofit.worker.pruning import Teller
from neurofit.worker.status_line import StatusLine
from neurofit.worker.stopping import CANCELLED, NEAR_LIMIT, FailFast, SharedReason
from neurofit.worker.trials import Trials

STOP_MARGIN_SECONDS = 60.0
MOST_STARTS_WITHOUT_PROGRESS = 5
NO_PROGRESS = (
    "The job's time limit is near, and no task got further than before, so it is not started again. Save checkpoints "
    "more often in the fit, or give it more time: `submit --retry` doubles resources.walltime_minutes."
)
NEIGHBOUR = "because its job ended after an error, which the job's log shows"
NOT_OURS = "another worker has taken over its attempt"
INTERRUPTED = (
    f"The queue interrupted this job {MOST_STARTS_WITHOUT_PROGRESS} times before any task got further; submit it "
    "again."
)

log = logging.getLogger(__name__)


def is_damage(error: BaseException) -> bool:
    """Whether a file was read and its content is wrong, so that a new start of the job would not help."""
    cause = error.__cause__
    return isinstance(error, StoreError) and (not isinstance(cause, OSError) or cause.errno in NO_FILE)


@dataclass
class Worker:
    """Runs jobs of one submission, in this process and its children."""

    assignment: Assignment
    signals: supervisor.Signals
    echo: bool = False
    # with `echo`: how far an attempt is, drawn on the terminal
    status_line: Callable[[AttemptFiles], str] | None = None
    environment: dict[str, str] = field(
        default_factory=dict
    )  # of tasks, for example the GPU that they may use
    in_process: bool = False  # for a debugger: no child process, no captured output
    forked: Callable[[int], None] = field(default=lambda pid: None)  # called with each child's process number
    reaped: Callable[[int], None] = field(default=lambda pid: None)  # … once it has ended
    descriptors: tuple[int, ...] = ()  # that a child has to close
    started: float | None = None  # when the queue started the job, in seconds since 1970; None: now
    has_seen_damage: bool = False  # a damaged file was not just late: do not wait for the next one
    trials: Trials = field(init=False)
    sharing: Sharing = field(init=False)

    def __post_init__(self) -> None:
        self.trials = Trials(self.assignment)
        self.sharing = Sharing(self.assignment.record, self.environment)

    def do_job(self, number: int, journal: Journal | None = None) -> str:
        """Run what is left of a job.

        Parameters
        ----------
        number : int
            The job.
        journal : Journal or None
            Of this start of the job, if it is open already.

        Returns
        -------
        str
            How it ended: `done`, `stopped`, or `again` if its queue should start it again.

        Raises
        ------
        StoreError
            A file that the job needs is damaged.
        OSError
            The storage did not answer.
        """
        submission = self.assignment.submission
        if journal is None:
            with transient.patience(transient.worker(submission.folder)):
                journal = Journal(submission, number, host=socket.gethostname())
        lanes = Lanes(self.signals)
        patience = transient.worker(submission.folder, _Waiting(journal, self.signals, lanes).beat)
        if self.has_seen_damage:
            patience = dataclasses.replace(patience, late_seconds=0.0)
        with transient.patience(patience):
            claimant = Claimant(submission, number, journal.start, Process.here())
            fail_fast = FailFast(submission, self.assignment.record.keep_going)
            cancellations = Cancellations(submission)
            job = _Job(self, journal, claimant, self._limits(), fail_fast, lanes, cancellations)
            try:
                end = job.do(read_job(submission, number))
                journal.write(JournalLine(end=end, why=job.why))
                return end
            except StoreError as error:
                if is_damage(error):
                    self.has_seen_damage = True
                    journal.write(JournalLine(end="damaged", why=str(error)))
                raise
            finally:
                lanes.close()
                journal.close()

    def _limits(self) -> supervisor.Limits:
        record = self.assignment.record
        minutes, task_minutes = record.resources.walltime_minutes, record.task_minutes
        deadline = None
        if minutes:
            used = max(time.time() - self.started, 0.0) if self.started else 0.0
            deadline = time.monotonic() - used + max(60.0 * minutes - STOP_MARGIN_SECONDS, 30.0 * minutes)
        return supervisor.Limits(
            60.0 * task_minutes if task_minutes else None, record.resources.memory_gb, deadline
        )


@dataclass
class _Waiting:
    """The heartbeat of a worker while its storage is away."""

    journal: Journal
    signals: supervisor.Signals
    lanes: Lanes
    beaten: float = 0.0
    asked: float | None = None  # when it was first seen that this worker should stop

    def beat(self) -> bool:
        """Write the heartbeat; return True if this worker was asked to stop and should wait no longer."""
        now = time.monotonic()
        if now - self.beaten > HEARTBEAT_SECONDS / 2:
            self.journal.touch()
            self.beaten = now
        self.lanes.enforce()  # tasks that run meanwhile
        if self.signals.stop and self.asked is None:
            self.asked = now
        return self.signals.hard or (self.asked is not None and now - self.asked > supervisor.GRACE_SECONDS)


@dataclass
class _Job:
    worker: Worker
    journal: Journal
    claimant: Claimant
    limits: supervisor.Limits
    fail_fast: FailFast
    lanes: Lanes
    cancellations: Cancellations
    why: str | None = None  # why this job is not started again
    _made_progress: bool = False  # whether this start of the job got further than earlier ones
    _error: bool = False  # whether this job ends because of an error of its own

    def do(self, tasks: list[Planned]) -> str:
        """Run groups of tasks, as many at a time as share the GPU; no more begin once one was interrupted."""
        waiting, interrupted, near_limit = list(self._groups(tasks)), list[list[Planned]](), False
        if len(waiting) > 1:
            job_cache.begin()
        self.worker.sharing.begin()
        try:
            while self.lanes or (waiting and not interrupted and not self.worker.signals.stop):
                if not interrupted and not self.worker.signals.stop and (chosen := self._next(waiting)):
                    if self.fail_fast.has_stopped():
                        waiting = []
                        continue
                    waiting.remove(chosen)
                    if group := [task for task in chosen if not self.cancellations.cover(task)]:
                        self.lanes.start(group, self._do_group(group))
                    continue
                for group, ending in self.lanes.step():
                    if ending == "crashed" and self._may_run_alone(group):
                        # one of them caused it: run each alone
                        waiting = [[task] for task in group] + waiting
                    elif ending in ("near the limit", "stopped"):
                        interrupted.append(group)
                        near_limit = near_limit or ending == "near the limit"
                self.worker.sharing.look(self.lanes.pids())
        except Exception:
            self._end_because_of_an_error()
            raise
        left = [*interrupted, *waiting]
        return self._interrupted(left, near_limit=near_limit) if left else "done"

    def _next(self, waiting: list[list[Planned]]) -> list[Planned] | None:
        """The group that may start now; None if there is none.

        A repetition of a trial that may end early waits for the first one, which decides for all.
        """
        if len(self.lanes) >= self.worker.sharing.lanes:
            return None
        search = self.worker.trials.search
        if search is None or search.pruner is None or not self.lanes:
            return waiting[0] if waiting else None
        first = {group[0].run for group in self.lanes.groups() if group[0].repetition == 0}
        return next((group for group in waiting if group[0].run not in first), None)

    def _end_because_of_an_error(self) -> None:
        """Have the other tasks save a checkpoint and stop, without waiting for a storage that is away."""
        self._error = True
        with transient.patience(transient.at_once(self.claimant.submission.folder)):
            self.lanes.finish()

    def _interrupted(self, waiting: list[list[Planned]], *, near_limit: bool) -> str:
        """How a job ends that was interrupted: `again` if its queue should start it again.

        It should not if all that is left was cancelled, if a person stopped it, or if it makes no progress.
        """
        if all(self.cancellations.cover(task) for group in waiting for task in group):
            return "done"
        if not (near_limit or self.worker.signals.notice):
            return "stopped"
        if self._made_progress or (not near_limit and self.journal.start < MOST_STARTS_WITHOUT_PROGRESS):
            return "again"
        self.why = NO_PROGRESS if near_limit else INTERRUPTED
        log.warning("%s", self.why)
        return "stopped"

    def _groups(self, tasks: list[Planned]) -> Iterable[list[Planned]]:
        """The tasks of each process: a run's repetitions if the fit trains them together, otherwise one."""
        experiment = self.worker.assignment.experiment
        if experiment is None or experiment.adapter.together is None:
            return ([task] for task in tasks)
        groups = itertools.groupby(tasks, key=lambda task: self.worker.assignment.group_of(task))
        return (list(group) for _, group in groups)

    def _may_run_alone(self, group: list[Planned]) -> bool:
        """Whether these tasks could be done one by one, which a group that is always trained whole cannot."""
        return len(group) > 1 and self.worker.assignment.group_of(group[0])[1] is None

    def _do_group(self, group: list[Planned]) -> Work:
        """Claim a group of tasks, run it, and record its outcomes; the value of the generator is how it ended."""
        claimed = [(task, attempt) for task in group if (attempt := self._claim(task))]
        if not claimed:
            return "not claimed"
        ready = prepare(self.worker.trials, self.claimant, claimed)
        if self._ends_with_the_first(ready, claimed):
            return "done"
        assignment, reason = self.worker.assignment, SharedReason()
        fit = assignment.experiment.adapter if assignment.experiment and not ready.problem else None
        work = child.Work(
            fit,
            ready.problem,
            ready.tasks,
            ready.records,
            assignment.code,
            versions,
            limit_error("timeout", self.limits),
            assignment.modules,
            reason.read,
            assignment.experiment.inputs if assignment.experiment else (),
            not self.worker.in_process,
            ready.metric,
        )
        if self.worker.in_process:
            child.do(work)
            ending = supervisor.Ending(0, 0.0)
        else:
            with self._telling(ready) as meanwhile:
                ending = yield from self._supervise(work, claimed, reason, meanwhile)
        ends = self._settle(claimed, ready.records, ending)
        if ending.asked == NEAR_LIMIT:
            return "near the limit"
        # a queue may signal every process of a job: then a task may have stopped before its worker asked it
        told = self.worker.signals.stop
        if told and (ending.asked == told or "stopped" in ends):
            return "stopped"
        return "crashed" if "crashed" in ends else "done"

    def _ends_with_the_first(self, group: Prepared, claimed: list[tuple[Planned, AttemptFiles]]) -> bool:
        """Whether these are repetitions of a trial whose first one was ended early: then they end at once."""
        if claimed[0][0].repetition == 0 or (step := self.worker.trials.pruned_at(group.run)) is None:
            return False
        for (_, attempt), record in zip(claimed, group.records):
            facts = {**(record.facts or {}), PRUNED_AT: step}
            publish(attempt, replace(record, state="done", facts=facts, versions=versions()))
        self._settle(claimed, group.records, supervisor.Ending(0, 0.0))
        return True

    @contextlib.contextmanager
    def _telling(self, group: Prepared) -> Iterator[Callable[[], None]]:
        """Tell a trial, while it runs, what becomes known of the others: yields what is called meanwhile."""
        pruning = group.tasks[0].pruning
        if pruning is None:
            yield lambda: None
            return
        try:
            yield Teller(pruning.feed, lambda: self.worker.trials.known(group.run)).tell_if_due
        finally:
            pruning.feed.close()

    def _supervise(
        self,
        work: child.Work,
        claimed: list[tuple[Planned, AttemptFiles]],
        reason: SharedReason,
        meanwhile: Callable[[], None],
    ) -> supervisor.Watched:
        first = claimed[0][1]
        text = self.worker.status_line
        line = StatusLine(lambda: text(first)) if text else None
        capture = supervisor.Capture(first.stdout, first.stderr, echo=self.worker.echo, status_line=line)
        keys = [task for task, _ in claimed]
        watch = supervisor.Watch(
            self.worker.signals,
            self.journal.touch,
            lambda: CANCELLED if self.cancellations.cover_now(keys) else NEIGHBOUR if self._error else None,
            HEARTBEAT_SECONDS,
            self.worker.forked,
            reason,
            meanwhile,
            self.worker.reaped,
            self.lanes.pids,
        )
        environment = {**self.worker.environment, **self.worker.sharing.environment()}
        start = supervisor.Start(lambda: self._in_child(work), environment, self.worker.descriptors)
        return supervisor.run(start, capture, self.limits, watch)

    def _in_child(self, work: child.Work) -> None:
        with transient.patience(
            transient.worker(self.claimant.submission.folder)
        ):  # its parent writes the heartbeat
            limit_tensorflow()
            child.do(work)

    def _claim(self, task: Planned) -> AttemptFiles | None:
        files = self.worker.assignment.task_files(task.run, task.repetition)
        attempt = claim(files, task.last_attempt, self.claimant)
        if isinstance(attempt, Refusal):
            self.journal.write(JournalLine(skip=task.key, why=attempt.why))
            return None
        line = JournalLine(claim=task.key, attempt=attempt.number, t=round(time.time(), 3))
        self.journal.write(line)
        if self.worker.assignment.record.fresh:
            checkpoints.discard(files, task.last_attempt)
        return attempt

    def _settle(
        self,
        claimed: list[tuple[Planned, AttemptFiles]],
        records: list[Outcome],
        ending: supervisor.Ending,
    ) -> set[str]:
        """Record outcomes, also of a child that died without one.

        Returns
        -------
        set of str
            States of the outcomes, and `crashed` if it died without being asked to stop.
        """
        ends = set()
        tasks = [task for task, _ in claimed]
        for (task, attempt), record in zip(claimed, records):
            if still_mine(attempt):
                died = publish(
                    attempt, outcome_of(ending, record, self.limits, again=self._may_run_alone(tasks))
                )
                if died and not ending.asked:
                    ends.add("crashed")
            try:
                written = read_json(attempt.outcome, late=True)
                outcome = structured(written, Outcome, attempt.outcome)
            except (FileNotFoundError, StoreError) as error:
                why = str(error) if isinstance(error, StoreError) else NOT_OURS
                self.journal.write(JournalLine(skip=task.key, why=why))
                continue
            self.journal.copy_outcome(written)
            ends.add(outcome.state)
            if self.fail_fast.note(outcome):
                notices.tell(
                    self.claimant.submission, self.worker.assignment.record, meanwhile=self.journal.touch
                )
            self._made_progress = self._made_progress or _got_further(attempt, outcome)
            with contextlib.suppress(OSError):
                if not attempt.stderr.stat().st_size:
                    attempt.stderr.unlink()
        return ends


def _got_further(attempt: AttemptFiles, outcome: Outcome) -> bool:
    """Whether a task ended, or got to a later step than in any earlier attempt."""
    if outcome.state in ("done", "failed"):
        return True
    progress = outcome.progress
    if outcome.state != "stopped" or progress is None:
        return False
    return all(progress > (_progress(attempt, number) or 0) for number in range(1, attempt.number))


def _progress(attempt: AttemptFiles, number: int) -> float | None:
    earlier = AttemptFiles(attempt.folder.with_name(f"attempt-{number:02d}"))
    try:
        return read_record(earlier.outcome, Outcome).progress
    except (OSError, StoreError):
        return None
