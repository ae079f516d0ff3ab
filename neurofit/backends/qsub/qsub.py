"""What Grid Engine and PBS share, because both are asked by `qsub`.

That is: which of the two `qsub` belongs to, the job's script, the splitting of a submission into arrays, and what to
do if `qsub` gives no clear answer.

The script is written into the submission's folder, and names that folder in a line of its own, quoted for the shell:
the user's paths are in no option, where `:` and `,` have a meaning. It writes one log per job, and turns the worker's
exit status into one that the queue understands.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from neurofit.backends import job_script
from neurofit.backends.base import Backend, Finding, JobKey, Queued, Submission
from neurofit.backends.commands import Answer, ask, ranges
from neurofit.backends.job_script import SCRIPT, thread_environment
from neurofit.errors import QueueError, SubmissionError
from neurofit.exit_codes import NO_STUDY, NOT_BY_HAND, START_AGAIN
from neurofit.files import write_whole
from neurofit.spans import spans

TARGETS_PER_CALL = 500  # of qdel, since the length of a command line is limited
DIALECTS = {"sge": "Grid Engine", "pbs": "PBS", "torque": "TORQUE", "slurm": "SLURM's imitation of qsub"}
NOT_REACHED = re.compile("connection refused", re.IGNORECASE)  # in which case nothing was queued
TOKEN = re.compile(r"\d{8}-(\d{6})-.*-([a-z0-9]{4})$")


def dialect(answer: Answer) -> str | None:
    """The queue whose `qsub --version` gives this answer: a key of DIALECTS, or None."""
    output = f"{answer.stdout}\n{answer.stderr}"
    if "pbs_version" in output:
        return "pbs"
    if 'invalid option argument "--version"' in output or re.search(
        r"^\s*\w*(GE|GCS|OCS) ?\d", output, re.MULTILINE
    ):
        return "sge"
    if re.search(r"^\s*Version: \d", output, re.MULTILINE):
        return "torque"
    if re.search(r"Unknown option: version|sbatch|slurm", output, re.IGNORECASE):
        return "slurm"
    return None


def version(answer: Answer) -> str:
    """The version in the answer, in parentheses; empty if there is none."""
    lines = [
        line.strip()
        for line in f"{answer.stdout}\n{answer.stderr}".splitlines()
        if re.search(r"\d\.\d", line)
    ]
    return f" ({lines[0][:80]})" if lines else ""


def job_name(token: str) -> str:
    """A submission's name in the queue: at most 15 letters and digits, a letter first, as old queues require."""
    match = TOKEN.search(token)
    return f"nf{match[2]}{match[1]}" if match else f"nf{hashlib.sha256(token.encode()).hexdigest()[:10]}"


def clock(minutes: float) -> str:
    """A time limit as HH:MM:SS."""
    seconds = max(1, round(60 * minutes))
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


@dataclass(frozen=True)
class ArrayPart:
    """Jobs `first` to `last` of a submission, queued by one call. `running`: how many at a time; None: all."""

    first: int
    last: int
    running: int | None = None

    @property
    def is_array(self) -> bool:
        return self.last > self.first


def parts(jobs: int, array_size: int | None, max_running: int | None) -> list[ArrayPart]:
    """Split a submission at the site's limit, and divide `max_running` among the parts."""
    cut = list(ranges(jobs, array_size))
    if not max_running:
        return [ArrayPart(first, last) for first, last in cut]
    share, rest = divmod(max_running, len(cut))
    return [ArrayPart(*ends, max(1, share + (number < rest))) for number, ends in enumerate(cut)]


@dataclass(frozen=True)
class QsubBackend(Backend):
    """A queue that jobs are submitted to with `qsub`."""

    queue: str | None = None  # None: the site chooses
    directives: tuple[str, ...] = ()  # more options of qsub, one per line

    dialect: ClassVar[str]
    prefix: ClassVar[str]  # of a line with options in a script
    job_number: ClassVar[str]  # the job's number, as a shell expression
    ending: ClassVar[str]  # shell lines that turn the worker's exit status into the queue's

    # what differs between the queues

    @abstractmethod
    def options(self, name: str) -> list[str]:
        """The options of a job, one per line of the script."""

    @abstractmethod
    def call(self, script: Path, part: ArrayPart, after: tuple[str, ...] = ()) -> list[str]:
        """The command that queues a part, to start after the jobs with the ids `after` have ended."""

    @abstractmethod
    def read_id(self, answer: Answer) -> str | None:
        """The id in qsub's answer; None if there is none."""

    @abstractmethod
    def array_size(self) -> int | None:
        """The site's limit to the size of an array; None: no limit."""

    def identity(self) -> dict[str, str] | None:
        """What identifies this queue and this user, recorded with every call."""
        return None

    @abstractmethod
    def elements(self, array: str, first: int, last: int) -> str:
        """The argument of `qdel` for these jobs of an array."""

    def queued_again(self, entry: Queued) -> Mapping[str, int]:
        """Id → number of the job, for the jobs of a call that nodes queued again."""
        return {}

    @abstractmethod
    def read_refusals(self, answer: Answer) -> str:
        """Errors of `qdel`, without those about jobs that have already ended."""

    # what they share

    def script(self, submission: Submission) -> str:
        """The text of `job.sh`."""
        options = [*self.options(job_name(submission.token)), *self.directives]
        values = {
            "options": "\n".join(f"{self.prefix} {line}" for line in options),
            "queue": DIALECTS[self.dialect],
            "experiment": "".join(char for char in submission.experiment if char.isprintable()),
            "submission": shlex.quote(str(submission.folder)),
            "study": shlex.quote(str(submission.study)),
            "job": self.job_number,
            "environment": "\n".join(
                f"export {name}={shlex.quote(value)}"
                for name, value in thread_environment(self.threads()).items()
            ),
            "setup": "\n".join(self.setup) or ":",
            "command": f'{self._command()} "$submission" "$job"',
            "ending": self.ending,
            "remove_record": job_script.REMOVE_RECORD,
            "write_record": job_script.WRITE_RECORD,
            "start_again": START_AGAIN,
            "no_study": NO_STUDY,
            "not_by_hand": NOT_BY_HAND,
        }
        return TEMPLATE.format(**values)

    def _command(self) -> str:
        """The worker's command, started through `devices` if the job asks for GPUs."""
        if self.resources.gpus is None:
            return self.command()
        claim = ["-m", "neurofit.backends.devices", str(self.resources.gpus), "--"]
        worker = [self.python, "-m", "neurofit.worker"]
        return shlex.join([*shlex.split(self.launcher), self.python, *claim, *worker])

    def preview(self, submission: Submission) -> str:
        part = ArrayPart(0, submission.jobs - 1, self.max_running)
        words = self.call(submission.folder / SCRIPT, part, submission.after)
        return f"# {shlex.join(words)}\n{self.script(submission)}"

    def waits_for_needs(self) -> bool:
        return True

    def submit(self, submission: Submission) -> Iterator[Queued]:
        self.require_dialect()
        script = submission.folder / SCRIPT
        write_whole(script, self.script(submission))
        for part in parts(submission.jobs, self.array_size(), self.max_running):
            yield self._queue(submission, script, part)

    def _queue(self, submission: Submission, script: Path, part: ArrayPart) -> Queued:
        """Queue a part. If qsub printed no id, look for the jobs in the queue before taking it for a refusal."""
        try:
            answer = ask(self.call(script, part, submission.after), own_session=True)
            number = self.read_id(answer) if answer.status == 0 else None
            why = (
                answer.explained()
                if answer.status
                else f"{answer.explained()}\nThe answer contains no job id."
            )
        except QueueError as error:
            number, why = None, str(error)
        if number is not None:
            return Queued(submission.folder, number, part.first, part.last, self.identity())
        if NOT_REACHED.search(why):
            raise SubmissionError(why)
        try:
            taken = [entry for entry in self.find([submission]) if part.first <= entry.first <= part.last]
        except QueueError as error:
            raise QueueError(f"{why}\nIt is not known whether the jobs were queued: {error}") from error
        if not taken and submission.after:  # one of those jobs may just have ended; the workers look, too
            return self._queue(replace(submission, after=()), script, part)
        if not taken:
            raise SubmissionError(why)
        return Queued(submission.folder, taken[0].id, part.first, part.last, self.identity())

    def cancel(self, queued: Iterable[Queued], jobs: Iterable[JobKey]) -> None:
        answers = [ask(words) for words in self.delete_commands(queued, jobs)]
        refusals = [refusal for answer in answers if (refusal := self.read_refusals(answer))]
        if refusals:
            raise QueueError("Not all jobs could be cancelled: " + "\n".join(refusals))

    def delete_commands(self, queued: Iterable[Queued], jobs: Iterable[JobKey]) -> Iterator[list[str]]:
        """Commands that delete these jobs: arrays as a whole, or ranges of their elements."""
        doomed = set(jobs)
        targets = []
        for entry in queued:
            numbers, whole = entry.among(doomed)
            if whole:
                targets.append(entry.id)
            else:
                targets += [self.elements(entry.id, first, last) for first, last in spans(numbers)]
            targets += [id for id, job in self.queued_again(entry).items() if (entry.token, job) in doomed]
        for start in range(0, len(targets), TARGETS_PER_CALL):
            yield ["qdel", *targets[start : start + TARGETS_PER_CALL]]

    def require_dialect(self) -> None:
        """Raise SubmissionError if `qsub` belongs to another queue."""
        found = self.dialect_here()
        if not found.ok:
            raise SubmissionError(f"{found.what}. {found.advice}")

    def dialect_here(self) -> Finding:
        """Whether the `qsub` on PATH belongs to this queue."""
        wanted = DIALECTS[self.dialect]
        try:
            answer = ask(["qsub", "--version"])
        except QueueError as error:
            return Finding(False, f"qsub belongs to {wanted}", f"{error}")
        found = dialect(answer)
        if found == self.dialect:
            return Finding(True, f"qsub belongs to {wanted}{version(answer)}")
        belongs = DIALECTS.get(found or "", "unknown")
        what = f"This runner is for {wanted}, and `qsub` here is {belongs}{version(answer)}"
        other = (
            f"Write `backend: {found}` into the profile"
            if found in ("sge", "pbs", "slurm")
            else "Use another host"
        )
        return Finding(False, what, f"{other}, or put {wanted}'s programs first in PATH.")

    def calls(self, queued: Iterable[Queued]) -> dict[str, Queued]:
        """Calls by id."""
        return {entry.id: entry for entry in queued}


TEMPLATE = """\
#!/bin/bash
{options}
# {experiment}: what {queue} runs for every job of this submission. Written by neurofit.

submission={submission}
study={study}
job={job}
case $job in '' | *[!0-9]*)
    echo "neurofit: this script has no job number; {queue} has to start it"
    exit {not_by_hand} ;;
esac
export NEUROFIT_JOB_STARTED=$(date +%s)
trap '' USR1 USR2 # the queue's notice is for the worker, which listens; the shell stays
trap : TERM

number=$(printf %06d "$job")
log=$submission/logs/$number.log
worked=
finish() {{
    status=$?
    if [ -z "$worked" ] && {{ [ "$status" = 0 ] || [ "$status" = {start_again} ]; }}; then
        status=1 # only a worker may end well, or ask for another start
    fi
{ending}
    [ -s "$log" ] || rm -f "$log"
{write_record}
    exit "$status"
}}
trap finish EXIT
cd "$submission" && {remove_record} && mkdir -p logs && : >>"$log" || exit {no_study}
exec >>"$log" 2>&1
cd "$study" || exit {no_study}

{environment}
{setup}

{command}
status=$?
worked=yes
exit "$status"
"""
