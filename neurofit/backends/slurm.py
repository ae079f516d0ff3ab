"""SLURM, through submitit: an array of jobs per submission, or several where the site's limit is smaller.

Jobs carry the submission's name and their own numbers in theirs (`exp3-20261120-183012-slurm-gpu-k3f9.0-999`), so that an
array of which no record was kept is found by it.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import pwd
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.backends import slurm_answers as answers
from neurofit.backends.base import Backend, Ending, Finding, JobKey, Limits, Queued, QueueState, Submission
from neurofit.backends.commands import Answer, ask, has, ranges
from neurofit.backends.local import thread_environment
from neurofit.errors import QueueError, SubmissionError
from neurofit.files import write_whole

SCRIPT = "job.sh"
OUTPUT = "logs/slurm-%A.out"  # what SLURM itself says of an array's jobs; theirs is in logs/000017.log
WHOLE_LISTS = {"SLURM_BITSTR_LEN": "0"}  # else array indices are cut after 64 characters


@dataclass(frozen=True)
class SlurmBackend(Backend):
    """A SLURM cluster, asked from one of its submit hosts."""

    queue: str | None = None  # the partition; None: the site's default
    account: str | None = None
    qos: str | None = None
    directives: tuple[str, ...] = ()  # options of sbatch as they stand, e.g. `--constraint=a100`

    def script(self, submission: Submission) -> str:
        """The submission's job.sh: what starts a worker."""
        environment = [
            f"export {name}={shlex.quote(value)}" for name, value in thread_environment(self.resources.cpus).items()
        ]
        lines = ["#!/bin/bash", *environment, f"cd -- {shlex.quote(str(submission.study))} || exit 66"]
        return "\n".join([*lines, f'exec {self.command()} "$@"']) + "\n"

    def part(self, submission: Submission, first: int, last: int, *, at_once: int | None) -> str:
        """What sbatch is given for jobs first to last, of which `at_once` may run at a time."""
        from neurofit.backends import submitit_job

        return submitit_job.script(
            submission.folder,
            first,
            last,
            parameters=self._parameters(name_of(submission, first, last), at_once or last - first + 1),
            setup=self.setup,
            directives=self.directives,
            python=sys.executable if self.launcher else self.python,
        )

    def _parameters(self, name: str, at_once: int) -> dict[str, Any]:
        """submitit's names for what a job asks for."""
        asked, minutes = self.resources, self.resources.walltime_minutes
        return {
            "job_name": name,
            "array_parallelism": at_once,
            "partition": self.queue,
            "account": self.account,
            "qos": self.qos,
            "cpus_per_task": asked.cpus,
            "gpus_per_node": asked.gpus or None,
            "mem": None if asked.memory_gb is None else f"{math.ceil(asked.memory_gb * 1024)}M",
            "time": None if minutes is None else max(1, math.ceil(minutes)),
            "additional_parameters": {
                "output": OUTPUT,
                "requeue": True,
                # to the batch shell, which becomes the job; SLURM may be up to a minute early
                "signal": f"B:USR2@{90 if minutes is None else min(90, max(10, int(9 * minutes)))}",
            },
        }

    def preview(self, submission: Submission) -> str:
        shares = self._shares(submission, None)
        first, last, at_once = next(shares)
        return f"{self.part(submission, first, last, at_once=at_once)}\n# {SCRIPT}\n{self.script(submission)}"

    def _shares(self, submission: Submission, most: int | None) -> Iterator[tuple[int, int, int | None]]:
        """First and last job of each array, and its share of `max_running`."""
        parts = list(ranges(submission.jobs, most))
        for number, (first, last) in enumerate(parts):
            share = self.max_running
            if share is not None:
                share = max(1, share // len(parts) + (number < share % len(parts)))
            yield first, last, share

    def submit(self, submission: Submission) -> Iterator[Queued]:
        from neurofit.backends import submitit_job

        try:
            config = self._config()
        except QueueError as error:
            raise SubmissionError(str(error)) from error
        write_whole(submission.folder / SCRIPT, self.script(submission))
        where = identity(config["ClusterName"])
        for first, last, at_once in self._shares(submission, answers.limits(config, {}).array_size):
            text = self.part(submission, first, last, at_once=at_once)
            path = submitit_job.write(submission.folder, first, text)
            yield Queued(submission.folder, self._sbatch(submission, path, first), first, last, where)

    def _sbatch(self, submission: Submission, path: Path, first: int) -> str:
        """The id of the array that the queue took, looked up where its answer was lost."""
        try:
            return answers.read_sbatch(ask(answers.sbatch(submission.folder, OUTPUT, path)))
        except SubmissionError:
            raise
        except QueueError as error:
            found = [entry.id for entry in self.find([submission]) if entry.first == first]
            if found:
                return found[0]
            raise QueueError(f"{error}\nWhether it took the jobs is not known yet; `neurofit status` will say.") from error

    def find(self, submissions: Iterable[Submission]) -> list[Queued]:
        asked = {plain(one.token): one for one in submissions if (one.folder / SCRIPT).exists()}
        if not asked:
            return []
        users = {_owner(one.folder / SCRIPT) for one in asked.values()}
        config = self._config()
        names = {(entry.id, entry.name) for entry in self._squeue(users)}
        since = min((one.folder / SCRIPT).stat().st_mtime for one in asked.values()) - 86400
        start = datetime.datetime.fromtimestamp(since).strftime("%Y-%m-%dT%H:%M:%S")
        for user in users:
            names |= {(entry.id, entry.name) for entry in self._sacct([answers.sacct_by_name(start, user)])}
        found = {}
        for id, name in sorted(names, key=lambda pair: int(pair[0])):
            token, first, last = parsed(name)
            submission = asked.get(token)
            if submission:
                found[submission.token, first] = Queued(
                    submission.folder, id, first, last, identity(config["ClusterName"], _owner(submission.folder / SCRIPT))
                )
        return list(found.values())

    def poll(self, queued: Iterable[Queued]) -> Mapping[JobKey, QueueState]:
        entries = list(queued)
        if not entries:
            return {}
        there = self._squeue({(entry.process or {}).get("user") or _user() for entry in entries})
        by_id: dict[str, list[answers.Waiting]] = {}
        for line in there:
            by_id.setdefault(line.id, []).append(line)
        live: dict[JobKey, QueueState] = {}
        for entry in entries:
            for line in by_id.get(entry.id, ()):
                if parsed(line.name)[0] == plain(entry.token):
                    _spread(live, entry, line.elements, line.state)
        return live

    def endings(self, queued: Iterable[Queued]) -> Mapping[JobKey, Ending]:
        entries = {entry.id: entry for entry in queued}
        ended: dict[JobKey, Ending] = {}
        for line in self._sacct(answers.sacct(list(entries))):
            entry = entries.get(line.id)
            if entry and line.ending and parsed(line.name)[0] == plain(entry.token):
                _spread(ended, entry, line.elements, line.ending)
        return ended

    def cancel(self, queued: Iterable[Queued], jobs: Iterable[JobKey]) -> None:
        doomed = set(jobs)
        words = []
        for entry in queued:
            numbers = [job - entry.first for job in range(entry.first, entry.last + 1) if (entry.token, job) in doomed]
            if len(numbers) == entry.last - entry.first + 1:
                words.append(entry.id)
            else:
                words.extend(answers.folded(entry.id, numbers))
        for start in range(0, len(words), 50):
            answer = ask(["scancel", *words[start : start + 50]])
            if answer.status and not re.search("Invalid job id|already complet", answer.stderr):
                raise QueueError(answer.explained())

    def limits(self) -> Limits:
        return answers.limits(self._config(), self._partition())

    def check(self) -> list[Finding]:
        missing = [name for name in ("sbatch", "squeue", "scancel", "scontrol") if not has(name)]
        if missing:
            return [Finding(False, "SLURM's programs are here", f"there is no {', '.join(missing)}: is this a submit host?")]
        findings = [Finding(True, "SLURM's programs are here")]
        try:
            config = self._config()
        except QueueError as error:
            return [*findings, Finding(False, "the controller answers", str(error))]
        return [*findings, Finding(True, f"the controller of {config['ClusterName']} answers")]

    # the programs

    def _config(self) -> dict[str, str]:
        return answers.read_settings(ask(["scontrol", "show", "config"]))

    def _partition(self) -> dict[str, str]:
        if self.queue is None:
            return {}
        return answers.read_settings(ask(["scontrol", "show", "partition", self.queue]))

    def _squeue(self, users: set[str]) -> list[answers.Waiting]:
        return answers.read_squeue(ask(answers.squeue(users), environment=WHOLE_LISTS))

    def _sacct(self, questions: Iterable[Sequence[str]]) -> list[answers.Accounted]:
        if not has("sacct"):
            return []
        return [line for words in questions for line in answers.read_sacct(ask(words, environment=WHOLE_LISTS))]


def _spread(into: dict[JobKey, Any], entry: Queued, elements: tuple[int, ...] | None, value: Any) -> None:
    """Note a value for some elements of an array; for all of which nothing is noted yet, where they are not named."""
    if elements is None:
        for job in range(entry.first, entry.last + 1):
            into.setdefault((entry.token, job), value)
        return
    for index in elements:
        if entry.first + index <= entry.last:
            into[entry.token, entry.first + index] = value


def name_of(submission: Submission, first: int, last: int) -> str:
    """The name of an array: letters and digits that no option treats specially."""
    experiment = re.sub(r"[^\w.-]+", "_", submission.experiment.rpartition("/")[2], flags=re.ASCII)
    return f"{experiment}@{plain(submission.token)}.{first}-{last}"


def plain(token: str) -> str:
    return re.sub(r"[^\w.-]+", "_", token, flags=re.ASCII)


def parsed(name: str) -> tuple[str, int, int]:
    """Token, first and last job of an array's name; an empty token for a name that is not ours."""
    match = re.fullmatch(r"[\w.-]*@([\w.-]+)\.(\d+)-(\d+)", name)
    return (match[1], int(match[2]), int(match[3])) if match else ("", 0, 0)


def identity(cluster: str, user: str | None = None) -> dict[str, str]:
    """Whose jobs on which cluster."""
    return {"cluster": cluster, "user": user or _user()}


def _user() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _owner(path: Path) -> str:
    with contextlib.suppress(KeyError, OSError):
        return path.owner()
    return _user()
