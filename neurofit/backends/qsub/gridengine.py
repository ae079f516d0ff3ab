"""Grid Engine: `qsub`, `qstat -xml`, `qacct`, `qdel`. `gridengine_answers.py` reads their answers."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from neurofit.backends.base import Ending, Finding, Host, JobKey, Limits, Queued, QueueState, Submission
from neurofit.backends.commands import Answer, ask, has, output_of
from neurofit.backends.job_script import current_user
from neurofit.backends.qsub import gridengine_answers as answers
from neurofit.backends.qsub.qsub import ArrayPart, QsubBackend, clock, job_name
from neurofit.errors import QueueError

DEFAULT_ARRAY_SIZE = 75000  # default of max_aj_tasks, if the site cannot be asked; sge_conf(5)


@dataclass(frozen=True)
class SgeBackend(QsubBackend):
    """A Grid Engine (SGE, Son of Grid Engine, Univa, Altair, Open Cluster Scheduler)."""

    parallel_environment: str = "smp"  # requested with resources.cpus slots if that is more than one
    memory_complexes: tuple[str, ...] = ("mem_free",)  # requested as resources.memory_gb each
    memory_per_slot: tuple[str, ...] = (
        "h_data",
        "h_vmem",
        "s_data",
        "s_vmem",
        "h_rss",
    )  # those of them that are counted per slot
    gpu_complex: str = "gpu"
    exclude_hosts: tuple[str, ...] = ()  # hosts that jobs are never sent to

    dialect = "sge"
    prefix = "#$"
    job_number = "$((SGE_TASK_ID - 1))"
    ending = '    [ "$status" != 100 ] || status=1 # would put the job into its error state'

    def options(self, name: str) -> list[str]:
        resources = self.resources
        lines = [f"-N {name}", "-S /bin/bash", "-wd /tmp", "-o /dev/null", "-j y", "-r y", "-notify"]
        if self.queue:
            lines.append(f"-q {self.queue}")
        if resources.cpus > 1:
            lines.append(f"-pe {self.parallel_environment} {resources.cpus}")
        if resources.memory_gb:
            lines.append(f"-l {','.join(f'{name}={self._memory(name)}' for name in self.memory_complexes)}")
        if resources.gpus:
            lines.append(f"-l {self.gpu_complex}={resources.gpus}")
        if resources.walltime_minutes:
            lines.append(f"-l h_rt={clock(resources.walltime_minutes)}")
        if self.exclude_hosts:
            lines.append(f"-l hostname=!({'|'.join(self.exclude_hosts)})")
        return lines

    def _memory(self, complex_name: str) -> str:
        slots = self.resources.cpus if complex_name in self.memory_per_slot else 1
        megabytes = math.ceil(1024 * (self.resources.memory_gb or 0.0) / slots)
        return f"{megabytes}M" if megabytes % 1024 else f"{megabytes // 1024}G"

    def call(self, script: Path, part: ArrayPart, after: tuple[str, ...] = ()) -> list[str]:
        throttle = ["-tc", str(part.running)] if part.running else []
        hold = ["-hold_jid", ",".join(after)] if after else []
        return ["qsub", "-terse", "-t", f"{part.first + 1}-{part.last + 1}", *throttle, *hold, str(script)]

    def dependencies(self, queued: Iterable[Queued]) -> tuple[str, ...]:
        here = cluster()
        ids = (entry.id for entry in queued if here and (entry.process or {}).get("cluster") == here)
        return tuple(dict.fromkeys(id for id in ids if answers.NUMBER.fullmatch(id)))

    def read_id(self, answer: Answer) -> str | None:
        return answers.job_id(answer.stdout)

    def array_size(self) -> int | None:
        return answers.limits(output_of("qconf", "-sconf")).array_size or DEFAULT_ARRAY_SIZE

    def limits(self) -> Limits:
        queues = self.queue.partition("@")[0] if self.queue else ",".join(output_of("qconf", "-sql").split())
        of_queues = output_of("qconf", "-sq", queues) if queues else ""
        return answers.limits(output_of("qconf", "-sconf"), of_queues, output_of("qhost"))

    def hosts(self) -> list[Host]:
        return [Host(name, name) for name in answers.host_names(output_of("qconf", "-sel"))]

    def without_hosts(self, names: Collection[str]) -> SgeBackend | None:
        if any(re.search(r"\b(h|hostname)=", line) for line in self.directives):
            return None  # they come later, and count
        return replace(self, exclude_hosts=tuple(dict.fromkeys([*self.exclude_hosts, *names])))

    def identity(self) -> dict[str, str]:
        return {"user": current_user(), "cluster": cluster() or ""}

    def can_ask(self, queued: Queued) -> bool:
        theirs, ours = (queued.process or {}).get("cluster"), cluster()
        return not theirs or not ours or theirs == ours

    def find(self, submissions: Iterable[Submission]) -> list[Queued]:
        by_name = {job_name(submission.token): submission for submission in submissions}
        if not by_name:
            return []
        found = {}
        for number, (name, first, last) in answers.named_jobs(
            ask(["qstat", "-xml", "-j", ",".join(by_name)])
        ).items():
            found[number] = (name, first, last)
        for name in by_name:
            for number, (first, last) in self._finished(name).items():
                found.setdefault(number, (name, first, last))
        return [
            Queued(by_name[name].folder, number, first, last, self.identity())
            for number, (name, first, last) in sorted(found.items(), key=lambda item: int(item[0]))
            if name in by_name
        ]

    def _finished(self, name: str) -> dict[str, tuple[int, int]]:
        """Id → first and last job, for the jobs of this name that accounting knows."""
        found: dict[str, tuple[int, int]] = {}
        for record in self._accounting(name):
            first, last = found.get(record.id, (record.job, record.job))
            found[record.id] = (min(first, record.job), max(last, record.job))
        return found

    def poll(self, queued: Iterable[Queued]) -> Mapping[JobKey, QueueState]:
        calls = self.calls(queued)
        if not calls:
            return {}
        users = {(entry.process or {}).get("user") or "*" for entry in calls.values()}
        listed = answers.jobs(
            ask(["qstat", "-xml", "-u", "*" if "*" in users else ",".join(sorted(users))]), set(calls)
        )
        unexplained = sorted(
            {job.id for job in listed if answers.in_error(job)} | answers.all_pending(listed), key=int
        )
        reasons = self._reasons(unexplained)
        states = {}
        for job in listed:
            entry = calls[job.id]
            if job.job is None:
                continue
            state = answers.state(job, reasons.get((job.id, job.job)) or reasons.get((job.id, None)))
            if entry.first <= job.job <= entry.last:
                states[entry.token, job.job] = state
        for job in listed:
            if job.job is None:  # jobs of this array that could be read have their states
                for number in range(calls[job.id].first, calls[job.id].last + 1):
                    states.setdefault((calls[job.id].token, number), QueueState("unknown", job.problem))
        return states

    def _reasons(self, ids: list[str]) -> dict[tuple[str, int | None], str]:
        """Why jobs wait or are in error; empty if Grid Engine does not answer."""
        if not ids:
            return {}
        try:
            return answers.reasons(ask(["qstat", "-xml", "-j", ",".join(ids)]).stdout)
        except QueueError:
            return {}

    def endings(self, queued: Iterable[Queued]) -> Mapping[JobKey, Ending]:
        ended = {}
        for number, entry in self.calls(queued).items():
            for record in self._accounting(number):
                if record.id == number and entry.first <= record.job <= entry.last:
                    ended[entry.token, record.job] = record  # the last record of a job counts
        return {key: answers.ending(record) for key, record in ended.items() if not record.goes_on}

    def _accounting(self, job: str) -> list[answers.Accounted]:
        """Records of a job, by id or name; empty if accounting is off, late, or has been purged."""
        try:
            return answers.accounting(ask(["qacct", "-j", job]))
        except QueueError:
            return []

    def elements(self, array: str, first: int, last: int) -> str:
        return f"{array}.{first + 1}-{last + 1}"

    def read_refusals(self, answer: Answer) -> str:
        return answers.refused_deletions(answer)

    def check(self) -> list[Finding]:
        findings = [self.dialect_here()]
        findings += [
            Finding(has(name), f"{name} is on PATH", "" if has(name) else "Is this a submit host?")
            for name in ("qstat", "qdel", "qacct", "qconf")
        ]
        if findings[0].ok:
            findings.append(self._would_be_accepted())
        return findings

    def _would_be_accepted(self) -> Finding:
        """Whether `qsub -w v` accepts the job, which queues nothing.

        It assumes hosts without load values, so that none has `mem_free`. If this is its only objection, `qsub -w p`
        asks about the hosts as they are now, which may be busy.
        """
        try:
            found = self._verified("v")
            if found.ok or self.resources.memory_gb is None:
                return found
            now = self._verified("p")
            if now.ok:
                return now
            if replace(self, resources=replace(self.resources, memory_gb=None))._verified("v").ok:
                memory = ", ".join(self.memory_complexes)
                return Finding(
                    True, found.what, f"whether a host has {memory} is known only once one is free"
                )
        except QueueError as error:
            return Finding(False, answers.ACCEPTED, str(error), answered=False)
        return found

    def _verified(self, level: str) -> Finding:
        options = [
            word for line in (*self.options("nfcheck"), *self.directives) for word in answers.words(line)
        ]
        return answers.verification(ask(["qsub", "-w", level, *options, "-t", "1-1", "-b", "y", "/bin/true"]))


def cluster() -> str | None:
    """The cluster of this host's Grid Engine, by the host of its qmaster; None if it is not known."""
    root, cell = os.environ.get("SGE_ROOT"), os.environ.get("SGE_CELL", "default")
    try:
        return Path(root or "/var/lib/gridengine", cell, "common", "act_qmaster").read_text().strip() or None
    except OSError:
        return None
