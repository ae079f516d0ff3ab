"""SLURM, through submitit: one array of jobs per submission, or several if the site's limit is smaller.

An array's name contains the submission's name and the numbers of its jobs, such as
`exp3@20261120-183012-slurm-gpu-k3f9.0-999`. So an array without a record can be found by its name, and another job
that has got the same id is not mistaken for it.

If a submission names clusters (`clusters.py`), the cluster that took an array is noted with its id, and only that
cluster is asked about it.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import re
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neurofit.backends.base import (
    Backend,
    Ending,
    Finding,
    Host,
    HostDeath,
    JobKey,
    Limits,
    Queued,
    QueueState,
    Submission,
)
from neurofit.backends.commands import ask, has, ranges
from neurofit.backends.job_script import SCRIPT, current_user, owner, submitter, thread_environment
from neurofit.backends.slurm import answers, clusters, programs
from neurofit.backends.slurm.names import is_about, name_of, parsed, plain, spread
from neurofit.errors import HiddenError, QueueError, SubmissionError
from neurofit.files import write_whole

OUTPUT = "logs/slurm-%A.out"  # SLURM's own messages about an array; the jobs write to logs/000017.log
LOOKED_BACK_SECONDS = 86400.0  # before a submission was written, since clocks differ
WORDS_PER_SCANCEL = 50
HIDDEN = "this cluster shows jobs only to the user who queued them, and these were queued by"


@dataclass(frozen=True)
class SlurmBackend(Backend):
    """A SLURM cluster, asked from one of its submit hosts."""

    queue: str | None = None  # the partition; None: the site's default
    account: str | None = None
    qos: str | None = None
    directives: tuple[str, ...] = ()  # more options of sbatch, for example `--constraint=a100`
    exclude_hosts: tuple[str, ...] = ()  # nodes that jobs are never sent to

    # what is queued

    def script(self, submission: Submission) -> str:
        """The submission's job.sh, which starts a worker."""
        threads = thread_environment(self.threads())
        environment = [f"export {name}={shlex.quote(value)}" for name, value in threads.items()]
        early = "trap '' USR1 USR2  # until the worker listens"
        lines = ["#!/bin/bash", early, *environment, f"cd -- {shlex.quote(str(submission.study))} || exit 66"]
        return "\n".join([*lines, f'exec {self.command()} "$@"']) + "\n"

    def part(self, submission: Submission, first: int, last: int, *, at_once: int | None) -> str:
        """The script for sbatch for jobs `first` to `last`, of which `at_once` may run at a time."""
        from neurofit.backends.slurm import job as submitit_job

        return submitit_job.script(
            submission.folder,
            first,
            last,
            parameters=self._parameters(
                name_of(submission, first, last), at_once or last - first + 1, submission.after
            ),
            setup=self.setup,
            directives=self.directives,
            python=sys.executable
            if self.launcher
            else self.python,  # self.python may exist only in a container
        )

    def _parameters(self, name: str, at_once: int, after: tuple[str, ...]) -> dict[str, Any]:
        """The job's resources, and the jobs that it waits for, under submitit's names."""
        asked, minutes = self.resources, self.resources.walltime_minutes
        elsewhere = None if clusters.in_options(self.directives) else self._clusters()
        return {
            "job_name": name,
            "array_parallelism": at_once,
            "partition": self.queue,
            "account": self.account,
            "qos": self.qos,
            "cpus_per_task": asked.cpus,
            "gpus_per_node": asked.gpus or None,
            "exclude": ",".join(self.exclude_hosts) or None,
            "mem": None if asked.memory_gb is None else f"{math.ceil(asked.memory_gb * 1024)}M",
            "time": None if minutes is None else max(1, math.ceil(minutes)),
            "additional_parameters": {
                **({"clusters": elsewhere} if elsewhere else {}),
                **({"dependency": f"afterany:{':'.join(after)}"} if after else {}),
                "output": OUTPUT,
                "requeue": True,
                # to the batch shell, which becomes the job. SLURM may send it up to a minute early
                "signal": f"B:USR2@{90 if minutes is None else min(90, max(10, int(9 * minutes)))}",
            },
        }

    def preview(self, submission: Submission) -> str:
        first, last, at_once = next(self._shares(submission, None))
        return f"{self.part(submission, first, last, at_once=at_once)}\n# {SCRIPT}\n{self.script(submission)}"

    def _shares(self, submission: Submission, most: int | None) -> Iterator[tuple[int, int, int | None]]:
        """First and last job of each array, and how many of its jobs may run at a time."""
        parts = list(ranges(submission.jobs, most))
        for number, (first, last) in enumerate(parts):
            share = self.max_running
            if share is not None:
                share = max(1, share // len(parts) + (number < share % len(parts)))
            yield first, last, share

    def _clusters(self) -> str | None:
        """The clusters that a submission from here may go to; None: this host's own."""
        return clusters.chosen(self.directives, os.environ)

    def submit(self, submission: Submission) -> Iterator[Queued]:
        from neurofit.backends.slurm import job as submitit_job

        named = self._clusters()
        try:
            names = clusters.names(named)
            configs = self._configs(names)
        except QueueError as error:
            raise SubmissionError(str(error)) from error  # nothing has been queued yet
        write_whole(submission.folder / SCRIPT, self.script(submission))
        only = configs[0]["ClusterName"] if len(names) < 2 else None
        size = min(answers.array_size(config) for config in configs)
        for first, last, at_once in self._shares(submission, size):
            while True:
                text = self.part(submission, first, last, at_once=at_once)
                path = submitit_job.write(submission.folder, first, text)
                try:
                    id, cluster = self._sbatch(submission, path, first, only)
                    break
                except SubmissionError:
                    if not submission.after:
                        raise
                    submission = replace(submission, after=())  # the workers look at what they need
            yield Queued(submission.folder, id, first, last, _note(cluster, current_user(), named))

    def _sbatch(self, submission: Submission, path: Path, first: int, only: str | None) -> tuple[str, str]:
        """The id of the array and the cluster that took it, looked up if the answer was lost or lacks them.

        Parameters
        ----------
        only : str or None
            The cluster, if only one was asked.
        """
        try:
            answer = ask(answers.sbatch(submission.folder, OUTPUT, path), own_session=True)
            id, cluster = answers.read_sbatch(answer)
            where = cluster or only
            if where:
                return id, where
            raise QueueError(
                f"`sbatch` queued {id} but did not name the cluster: {answer.stdout.strip()[-200:]}"
            )
        except SubmissionError:
            raise
        except QueueError as error:
            with contextlib.suppress(QueueError):
                for entry in self.find([submission]):
                    if entry.first == first:
                        return entry.id, str((entry.process or {})["cluster"])
            unknown = "It is not known whether the jobs were queued; `neurofit status` looks them up later."
            raise QueueError(f"{error}\n{unknown}") from error

    def waits_for_needs(self) -> bool:
        return True

    def dependencies(self, queued: Iterable[Queued]) -> tuple[str, ...]:
        noted = [(entry, (entry.process or {}).get("cluster")) for entry in queued]
        if not any(cluster for _, cluster in noted):
            return ()
        try:
            names = clusters.names(self._clusters())
        except QueueError:
            return ()
        here = (names[0] if len(names) == 1 else "") if names else clusters.own()
        ids = (entry.id for entry, cluster in noted if here and cluster == here)
        return tuple(dict.fromkeys(id for id in ids if answers.NUMBER.fullmatch(id)))

    def find(self, submissions: Iterable[Submission]) -> list[Queued]:
        asked = [
            one for one in submissions if (one.folder / SCRIPT).exists()
        ]  # without a script, nothing was queued
        found: list[Queued] = []
        for cluster, group in clusters.grouped(
            (one, clusters.names(clusters.of_script(one.folder))) for one in asked
        ).items():
            found += self._find(cluster, {plain(one.token): one for one in group})
        return found

    def _find(self, cluster: str | None, asked: Mapping[str, Submission]) -> list[Queued]:
        owners = {owner(one.folder / SCRIPT) for one in asked.values()}
        since = min((one.folder / SCRIPT).stat().st_mtime for one in asked.values()) - LOOKED_BACK_SECONDS
        by_name = answers.sacct_by_name(owners, _local_time(since), cluster)
        lines: list[answers.Waiting | answers.Accounted] = [
            *programs.squeue(owners, cluster),
            *programs.sacct([by_name]),
        ]
        config = self._config(cluster)
        name = config["ClusterName"]
        found: dict[tuple[str, int], Queued] = {}
        for line in lines:
            token, first, last = parsed(line.name)
            if token in asked and line.is_unreadable:
                raise QueueError(line.problem)
            if submission := asked.get(token):
                where = _note(name, owner(submission.folder / SCRIPT), clusters.of_script(submission.folder))
                if (token, first) not in found or int(line.id) > int(found[token, first].id):
                    found[token, first] = Queued(submission.folder, line.id, first, last, where)
        for token, submission in asked.items():
            user = owner(submission.folder / SCRIPT)
            if _hides(config, user) and not any(token == known for known, _ in found):
                raise HiddenError(f"{HIDDEN} {user}, who submitted {token}")
        return list(found.values())

    # states

    def poll(self, queued: Iterable[Queued]) -> Mapping[JobKey, QueueState]:
        live: dict[JobKey, QueueState] = {}
        failed: list[tuple[Queued, QueueError]] = []
        groups = clusters.grouped((entry, clusters.places(entry)) for entry in queued)
        for cluster, entries in groups.items():
            try:
                self._add_hidden(live, self._poll(live, cluster, entries), cluster)
            except QueueError as error:
                if len(groups) == 1:
                    raise
                failed += [(entry, error) for entry in entries]
        for entry, problem in failed:  # unless it was found on another cluster
            spread(live, entry, None, QueueState("unknown", str(problem)))
        return live

    def _poll(
        self, live: dict[JobKey, QueueState], cluster: str | None, entries: list[Queued]
    ) -> list[Queued]:
        """Add the states of these calls' jobs; return the calls that the cluster does not list."""
        by_id: dict[str, list[answers.Waiting]] = {}
        unreadable = []
        for line in programs.squeue({submitter(entry) for entry in entries}, cluster):
            by_id.setdefault(line.id, []).append(line)
            if line.is_unreadable:
                unreadable.append(line)
        silent = []
        for entry in entries:
            lines = [line for line in (*by_id.get(entry.id, ()), *unreadable) if is_about(line, entry)]
            for line in lines:
                spread(live, entry, line.elements, line.state)
            if not lines:
                silent.append(entry)
        return silent

    def _add_hidden(self, live: dict[JobKey, QueueState], silent: list[Queued], cluster: str | None) -> None:
        """Add the jobs that this host or this user cannot see, which are not gone."""
        if not silent:
            return
        config = self._config(cluster)
        elsewhere: dict[str, list[Queued]] = {}
        for entry in silent:
            noted, user = (entry.process or {}).get("cluster"), submitter(entry)
            if cluster is None and noted not in (None, config["ClusterName"]):
                elsewhere.setdefault(noted, []).append(entry)
            elif _hides(config, user):
                spread(live, entry, None, QueueState("hidden", f"{HIDDEN} {user}"))
        for noted, entries in elsewhere.items():
            try:
                self._add_hidden(live, self._poll(live, noted, entries), noted)
            except QueueError:
                reason = f"queued on the cluster {noted}; this host can only ask {config['ClusterName']}"
                for entry in entries:
                    spread(live, entry, None, QueueState("pending", reason))

    def endings(self, queued: Iterable[Queued]) -> Mapping[JobKey, Ending]:
        ended: dict[JobKey, Ending] = {}
        groups: dict[str | None, list[Queued]] = {}
        for entry in queued:  # accounting can be asked about every cluster
            for cluster in clusters.places(entry) or ((entry.process or {}).get("cluster"),):
                groups.setdefault(cluster, []).append(entry)
        for cluster, entries in groups.items():
            try:
                self._add_endings(ended, cluster, {entry.id: entry for entry in entries})
            except QueueError as error:
                if len(groups) == 1:
                    raise
                for entry in entries:
                    spread(ended, entry, None, Ending(None, str(error)))
        return ended

    def _add_endings(
        self, ended: dict[JobKey, Ending], cluster: str | None, entries: dict[str, Queued]
    ) -> None:
        for line in programs.sacct(answers.sacct(list(entries), cluster)):
            entry = entries.get(line.id)
            if entry and line.ending and is_about(line, entry):
                spread(ended, entry, line.elements, line.ending)

    def cancel(self, queued: Iterable[Queued], jobs: Iterable[JobKey]) -> None:
        doomed = set(jobs)
        for cluster, entries in self._whereabouts(queued).items():
            words: list[str] = []
            for entry in entries:
                numbers, whole = entry.among(doomed)
                words.extend(
                    [entry.id] if whole else answers.folded(entry.id, [job - entry.first for job in numbers])
                )
            for start in range(0, len(words), WORDS_PER_SCANCEL):
                some = words[start : start + WORDS_PER_SCANCEL]
                answers.read_scancel(ask(["scancel", *answers.of(cluster), *some]))

    def _whereabouts(self, queued: Iterable[Queued]) -> dict[str | None, list[Queued]]:
        """Group calls by cluster, each on one only: on another cluster, its id may be another user's job."""
        known: list[tuple[Queued, tuple[str, ...]]] = []
        unknown: list[tuple[Queued, tuple[str, ...]]] = []
        for entry in queued:
            noted = (entry.process or {}).get("cluster")
            names = clusters.places(entry) or ((noted,) if noted else ())
            (unknown if len(names) > 1 else known).append((entry, names))
        groups = clusters.grouped(known)
        for cluster, entries in clusters.grouped(unknown).items():
            silent = self._poll({}, cluster, entries)
            groups.setdefault(cluster, []).extend(entry for entry in entries if entry not in silent)
        return groups

    def host_deaths(self, queued: Iterable[Queued]) -> list[HostDeath]:
        found = []
        for cluster, entries in clusters.grouped((entry, clusters.places(entry)) for entry in queued).items():
            by_id = {entry.id: entry for entry in entries}
            starts: Counter[JobKey] = Counter()
            for line in programs.sacct(answers.sacct(list(by_id), cluster, every_start=True)):
                entry, ending = by_id.get(line.id), line.ending
                if not (entry and ending and ending.cause and ending.host and is_about(line, entry)):
                    continue
                for index in line.elements or ():
                    job = entry.token, entry.first + index
                    starts[job] += 1
                    found.append(HostDeath(job, starts[job], ending.host, ending.cause))
        return found

    # the site

    def hosts(self) -> list[Host]:
        names = clusters.names(self._clusters())
        nodes = [node for name in names or (None,) for node in programs.nodes(self.queue, name)]
        return [Host(node.name, node.host) for node in nodes]

    def without_hosts(self, names: Collection[str]) -> SlurmBackend | None:
        if any(re.match(r"-x|-w|--exclude|--nodelist", line) for line in self.directives):
            return None  # they come later, and count
        return replace(self, exclude_hosts=tuple(dict.fromkeys([*self.exclude_hosts, *names])))

    def limits(self) -> Limits:
        """The smallest limits of the clusters that jobs may go to."""
        names = clusters.names(self._clusters())
        found, sizes = [], []
        for config in self._configs(names):
            sizes.append(answers.array_size(config))
            cluster = config["ClusterName"] if names else None
            found.append(
                answers.limits(
                    config, programs.partition(self.queue, cluster), programs.nodes(self.queue, cluster)
                )
            )
        walltimes = [one.walltime_minutes for one in found if one.walltime_minutes is not None]
        memories = [one.memory_gb for one in found if one.memory_gb is not None]
        return Limits(
            array_size=min(sizes),
            walltime_minutes=min(walltimes, default=None),
            memory_gb=min(memories, default=None),
        )

    def check(self) -> list[Finding]:
        missing = [name for name in ("sbatch", "squeue", "scancel", "scontrol") if not has(name)]
        if missing:
            advice = f"{', '.join(missing)} not found: is this a submit host?"
            return [Finding(False, "SLURM's programs are on PATH", advice)]
        try:
            configs = self._configs(clusters.names(self._clusters()))
        except QueueError as error:
            return [Finding(False, "SLURM's controller answers", str(error), answered=False)]
        accounts = all(config.get("AccountingStorageType", "").endswith("slurmdbd") for config in configs)
        advice = "" if accounts else "without it, jobs that SLURM ended are reported as lost, without a cause"
        return [
            *(
                Finding(True, f"the controller of the cluster {config['ClusterName']} answers")
                for config in configs
            ),
            Finding(True, f"accounting is {'on' if accounts else 'off'}", advice),
            self._would_be_accepted(),
        ]

    def _would_be_accepted(self) -> Finding:
        """Whether `sbatch --test-only` accepts a job with these settings."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "job.sh")
            path.write_text(self.part(Submission(Path(folder), "check", 1, Path(folder)), 0, 0, at_once=None))
            answer = ask(["sbatch", "--test-only", f"--chdir={folder}", str(path)])
        if answer.status:
            refusal = answers.refusal(answer)
            return Finding(
                False, "such a job would be accepted", f"{refusal}. `sinfo` lists what the site has"
            )
        return Finding(True, "such a job would be accepted")

    # the programs

    def _config(self, cluster: str | None = None) -> dict[str, str]:
        return programs.config(cluster)

    def _configs(self, names: tuple[str, ...]) -> list[dict[str, str]]:
        """Configurations of those of these clusters that answer, or of this host's own.

        sbatch ignores clusters that do not answer as well.
        """
        found: list[dict[str, str]] = []
        silence = QueueError("no cluster was named")
        for cluster in names or (None,):
            try:
                found.append(self._config(cluster))
            except QueueError as error:
                silence = error
        if not found:
            raise silence
        return found


def _note(cluster: str, user: str, named: str | None) -> dict[str, str | None]:
    """The record beside an array's id. `clusters`: those that it was offered to; None: this host's own."""
    return {"cluster": cluster, "user": user, "clusters": named}


def _hides(config: Mapping[str, str], user: str) -> bool:
    """Whether a cluster hides jobs of `user` from this process's user."""
    return user != current_user() and os.getuid() != 0 and "jobs" in config.get("PrivateData", "")


def _local_time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%dT%H:%M:%S")
