"""SLURM, through submitit: an array of jobs per submission, or several where the site's limit is smaller.

An array's name holds the submission's and the numbers of its jobs, `exp3@20261120-183012-slurm-gpu-k3f9.0-999`, so that
one of which no record was kept is found by it, and an id that has been used again is not taken for it.
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
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.backends.base import Backend, Ending, Finding, JobKey, Limits, Queued, QueueState, Submission
from neurofit.backends.commands import ask, has, ranges
from neurofit.backends.local.backend import thread_environment
from neurofit.backends.slurm import answers
from neurofit.errors import QueueError, SubmissionError
from neurofit.files import write_whole

SCRIPT = "job.sh"
OUTPUT = "logs/slurm-%A.out"  # what SLURM itself says of an array's jobs; theirs is in logs/000017.log
WHOLE_LISTS = {"SLURM_BITSTR_LEN": "0"}  # else lists of array indices are cut after 64 characters
LOOKED_BACK_SECONDS = 86400.0  # before a submission was written, by clocks that differ
CANCELLED_AT_ONCE = 50  # words of one scancel


@dataclass(frozen=True)
class SlurmBackend(Backend):
    """A SLURM cluster, asked from one of its submit hosts."""

    queue: str | None = None  # the partition; None: the site's default
    account: str | None = None
    qos: str | None = None
    directives: tuple[str, ...] = ()  # options of sbatch as they stand, e.g. `--constraint=a100`

    # what is queued

    def script(self, submission: Submission) -> str:
        """The submission's job.sh: what starts a worker."""
        threads = thread_environment(self.resources.cpus)
        environment = [f"export {name}={shlex.quote(value)}" for name, value in threads.items()]
        early = "trap '' USR1 USR2  # until the worker listens"
        lines = ["#!/bin/bash", early, *environment, f"cd -- {shlex.quote(str(submission.study))} || exit 66"]
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
            python=sys.executable if self.launcher else self.python,  # the job's own may be in a container
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
                # to the batch shell, which becomes the job; SLURM may send it up to a minute early
                "signal": f"B:USR2@{90 if minutes is None else min(90, max(10, int(9 * minutes)))}",
            },
        }

    def preview(self, submission: Submission) -> str:
        first, last, at_once = next(self._shares(submission, None))
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
            raise SubmissionError(str(error)) from error  # nothing was asked of the queue yet
        write_whole(submission.folder / SCRIPT, self.script(submission))
        where = {"cluster": config["ClusterName"], "user": _user()}
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
            with contextlib.suppress(QueueError):
                for entry in self.find([submission]):
                    if entry.first == first:
                        return entry.id
            unknown = "Whether it took the jobs is not known; `neurofit status` says so once it answers."
            raise QueueError(f"{error}\n{unknown}") from error

    def find(self, submissions: Iterable[Submission]) -> list[Queued]:
        asked = {plain(one.token): one for one in submissions if (one.folder / SCRIPT).exists()}
        if not asked:
            return []  # the queue was never asked
        users = {_owner(one.folder / SCRIPT) for one in asked.values()}
        since = min((one.folder / SCRIPT).stat().st_mtime for one in asked.values()) - LOOKED_BACK_SECONDS
        lines = [*self._squeue(users), *self._sacct([answers.sacct_by_name(users, _local_time(since))])]
        cluster = self._config()["ClusterName"]
        found = {}
        for id, name in sorted({(line.id, line.name) for line in lines}, key=lambda pair: int(pair[0])):
            token, first, last = parsed(name)
            if submission := asked.get(token):
                where = {"cluster": cluster, "user": _owner(submission.folder / SCRIPT)}
                found[token, first] = Queued(submission.folder, id, first, last, where)
        return list(found.values())

    # what becomes of it

    def poll(self, queued: Iterable[Queued]) -> Mapping[JobKey, QueueState]:
        entries = list(queued)
        if not entries:
            return {}
        by_id: dict[str, list[answers.Waiting]] = {}
        for line in self._squeue({_owned_by(entry) for entry in entries}):
            by_id.setdefault(line.id, []).append(line)
        live: dict[JobKey, QueueState] = {}
        silent = []
        for entry in entries:
            lines = [line for line in by_id.get(entry.id, ()) if parsed(line.name)[0] == plain(entry.token)]
            for line in lines:
                _spread(live, entry, line.elements, line.state)
            if not lines:
                silent.append(entry)
        if silent:
            self._add_hidden(live, silent)
        return live

    def _add_hidden(self, live: dict[JobKey, QueueState], silent: list[Queued]) -> None:
        """Jobs that this host or this user cannot see are not gone."""
        config = self._config()
        for entry in silent:
            cluster, user = (entry.process or {}).get("cluster"), _owned_by(entry)
            if cluster not in (None, config["ClusterName"]):
                reason = f"it was queued on the cluster {cluster}; this host asks {config['ClusterName']}"
            elif user != _user() and os.getuid() != 0 and "jobs" in config.get("PrivateData", ""):
                reason = f"this cluster shows jobs only to who queued them, and that was {user}"
            else:
                continue
            _spread(live, entry, None, QueueState("pending", reason))

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
        words: list[str] = []
        for entry in queued:
            numbers, whole = entry.among(doomed)
            words.extend([entry.id] if whole else answers.folded(entry.id, [job - entry.first for job in numbers]))
        for start in range(0, len(words), CANCELLED_AT_ONCE):
            answers.read_scancel(ask(["scancel", *words[start : start + CANCELLED_AT_ONCE]]))

    # the site

    def limits(self) -> Limits:
        return answers.limits(self._config(), self._partition())

    def check(self) -> list[Finding]:
        missing = [name for name in ("sbatch", "squeue", "scancel", "scontrol") if not has(name)]
        if missing:
            advice = f"there is no {', '.join(missing)}: is this a submit host?"
            return [Finding(False, "SLURM's programs are here", advice)]
        try:
            config = self._config()
        except QueueError as error:
            return [Finding(False, "SLURM's controller answers", str(error), answered=False)]
        accounts = config.get("AccountingStorageType", "").endswith("slurmdbd")
        advice = "" if accounts else "without it, what SLURM ended is told as lost, without the cause"
        return [
            Finding(True, f"the controller of the cluster {config['ClusterName']} answers"),
            Finding(True, f"accounting is {'on' if accounts else 'off'}", advice),
            self._would_be_accepted(),
        ]

    def _would_be_accepted(self) -> Finding:
        """What `sbatch --test-only` says of a job with these settings."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "job.sh")
            path.write_text(self.part(Submission(Path(folder), "check", 1, Path(folder)), 0, 0, at_once=None))
            answer = ask(["sbatch", "--test-only", f"--chdir={folder}", str(path)])
        if answer.status:
            said = answers.refusal(answer)
            return Finding(False, "such a job would be accepted", f"{said}. Ask for what there is: `sinfo` lists it")
        return Finding(True, "such a job would be accepted")

    # the programs

    def _config(self) -> dict[str, str]:
        return answers.read_config(ask(["scontrol", "show", "config"]))

    def _partition(self) -> dict[str, str]:
        return answers.read_partition(ask(["scontrol", "show", "partition", self.queue])) if self.queue else {}

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
    return f"{plain(submission.experiment.rpartition('/')[2])}@{plain(submission.token)}.{first}-{last}"


def plain(name: str) -> str:
    """A name of letters that no option treats specially."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)


def parsed(name: str) -> tuple[str, int, int]:
    """Token, first and last job in an array's name; an empty token where the name is not ours."""
    match = re.fullmatch(r"[\w.-]*@([\w.-]+)\.(\d+)-(\d+)", name)
    return (match[1], int(match[2]), int(match[3])) if match else ("", 0, 0)


def _user() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _owned_by(entry: Queued) -> str:
    return (entry.process or {}).get("user") or _user()


def _owner(path: Path) -> str:
    with contextlib.suppress(KeyError, OSError):
        return path.owner()
    return _user()


def _local_time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%dT%H:%M:%S")
