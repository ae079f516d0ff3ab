"""PBS (OpenPBS, PBS Pro): `qsub`, `qstat -F json`, `qselect`, `qdel`. `pbs_answers.py` reads their answers.

PBS does not restart a job that has ended. A job that has to go on queues its own number again, from its node, and
writes the new id as the name of a file in the submission's `resubmitted/`. If nodes may not submit, the next
`neurofit submit` does it.
"""

from __future__ import annotations

import math
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from neurofit.backends.base import Ending, Finding, JobKey, Limits, Queued, QueueState, Submission
from neurofit.backends.commands import Answer, ask, has, output_of
from neurofit.backends.job_script import SCRIPT, current_user, owner, submitter
from neurofit.backends.qsub import pbs_answers as answers
from neurofit.backends.qsub.qsub import ArrayPart, QsubBackend, clock, job_name
from neurofit.errors import HiddenError, QueueError

DEFAULT_ARRAY_SIZE = 10000  # of max_array_size
MOST_QUERIES = 3  # while nodes queue jobs again
RESUBMITTED = re.compile(r"(\d{6,})\.(\d+\..+)$")
HIDDEN = "this PBS shows jobs only to the user who queued them (query_other_jobs), and these were queued by"
ENDING = """\
    if [ "$status" = 99 ]; then
        status=0
        PATH=$PBS_O_PATH:${PBS_EXEC:-/opt/pbs}/bin:$PATH # first whose qsub took this job: a node may have another's too
        id=$(qsub --version 2>&1)
        if [[ $id == *pbs_version* ]] && id=$(qsub -v NEUROFIT_JOB="$job" "$submission/job.sh" 2>&1) &&
            id=$(grep -xE '[0-9]+\\..+' <<<"$id"); then
            mkdir -p "$submission/resubmitted" && : >"$submission/resubmitted/$(printf %06d "$job").$id"
        else
            echo "neurofit: this job could not be queued again from its node ($id); the next submit continues it."
        fi
    fi"""


@dataclass(frozen=True)
class PbsBackend(QsubBackend):
    """A PBS with job arrays (OpenPBS, PBS Pro; not TORQUE)."""

    gpu_resource: str = "ngpus"
    select: str = ""  # added to the chunk that a job asks for, for example `model=a100`

    dialect = "pbs"
    prefix = "#PBS"
    job_number = "${NEUROFIT_JOB:-$PBS_ARRAY_INDEX}"
    ending = ENDING

    def options(self, name: str) -> list[str]:
        resources = self.resources
        lines = [f"-N {name}", "-S /bin/bash", "-j oe", "-o /dev/null", "-r y"]
        if self.queue:
            lines.append(f"-q {self.queue}")
        chunk = ["1", f"ncpus={resources.cpus}"]
        if resources.memory_gb:
            chunk.append(f"mem={math.ceil(1024 * resources.memory_gb)}mb")
        if resources.gpus:
            chunk.append(f"{self.gpu_resource}={resources.gpus}")
        lines.append(f"-l select={':'.join([*chunk, *filter(None, [self.select])])}")
        if resources.walltime_minutes:
            lines.append(f"-l walltime={clock(resources.walltime_minutes)}")
        return lines

    def call(self, script: Path, part: ArrayPart, after: tuple[str, ...] = ()) -> list[str]:
        depend = ["-W", f"depend=afterany:{':'.join(after)}"] if after else []
        if not part.is_array:  # PBS refuses an array of one
            return ["qsub", *depend, "-v", f"NEUROFIT_JOB={part.first}", str(script)]
        throttle = f"%{part.running}" if part.running else ""
        return ["qsub", *depend, "-J", f"{part.first}-{part.last}{throttle}", str(script)]

    def dependencies(self, queued: Iterable[Queued]) -> tuple[str, ...]:
        entries = list(queued)
        here = answers.server(output_of("qstat", "-B", "-f")) if entries else ""
        ids = [id for entry in entries for id in (entry.id, *self.queued_again(entry))]
        there = (id for id in ids if answers.WHOLE_ID.fullmatch(id) and answers.server_of(id) == here)
        return tuple(dict.fromkeys(there)) if here else ()

    def read_id(self, answer: Answer) -> str | None:
        return answers.job_id(answer.stdout)

    def array_size(self) -> int | None:
        return self._asked_limits().array_size or DEFAULT_ARRAY_SIZE

    def identity(self) -> dict[str, str]:
        return {"user": current_user()}

    def _asked_limits(self) -> Limits:
        """Limits of the server and of the queue that takes the jobs, which may be the server's default."""
        server = output_of("qstat", "-B", "-f")
        named = [match[1] for line in self.directives if (match := re.match(r"-q\s*([^\s@]+)", line))]
        queue = next(iter(named[-1:]), self.queue or answers.default_queue(server))
        of_queue = output_of("qstat", "-Q", "-f", queue) if queue else ""
        beyond = answers.destinations(of_queue)
        return answers.limits(server + of_queue, output_of("qstat", "-Q", "-f", *beyond) if beyond else "")

    def limits(self) -> Limits:
        return self._asked_limits()

    def find(self, submissions: Iterable[Submission]) -> list[Queued]:
        found = []
        for submission in submissions:
            name = job_name(submission.token)
            ids = answers.selected(_ask_with_history("qselect", "-N", name))
            if not ids and (user := owner(submission.folder / SCRIPT)) in self._hidden({user}):
                raise HiddenError(f"{HIDDEN} {user}, who submitted {submission.token}")
            if ids:
                listed = answers.jobs(_ask_with_history("qstat", "-f", "-F", "json", *ids))
                again = {answers.number(id) for id in resubmissions(submission.folder)}
                ours = [job for job in listed if job.name == name and answers.number(job.id) not in again]
                where = {"user": owner(submission.folder / SCRIPT)}
                found += [
                    Queued(submission.folder, job.id, *job.span, where)
                    for job in ours
                    if job.span is not None
                ]
        return found

    def poll(self, queued: Iterable[Queued]) -> Mapping[JobKey, QueueState]:
        queued = list(queued)
        listed = self._listed(queued)
        arrays = {answers.number(job.id): job for job in listed if job.is_array}
        states, seen = {}, set()
        for key, job in self._by_key(queued, listed):
            seen.add(key)
            if not job.is_over:
                states[key] = answers.state(job, arrays.get(answers.number(job.id)))
        unlisted = [
            entry for entry in queued if answers.number(entry.id) not in arrays and not _among(entry, seen)
        ]
        hidden = self._hidden({submitter(entry) for entry in unlisted})
        for entry in unlisted:
            if (user := submitter(entry)) in hidden:
                state = QueueState("hidden", f"{HIDDEN} {user}")
                states.update(((entry.token, job), state) for job in range(entry.first, entry.last + 1))
        return states

    def _hidden(self, users: set[str]) -> set[str]:
        """Those of these users whose jobs PBS does not show to this user."""
        others = users - {current_user()}
        if not others:
            return set()
        server = ask(["qstat", "-B", "-f"])
        if server.status:
            raise QueueError(server.explained())
        return (
            set()
            if answers.shows_all_jobs_to(current_user(), socket.gethostname(), server.stdout)
            else others
        )

    def endings(self, queued: Iterable[Queued]) -> Mapping[JobKey, Ending]:
        queued = list(queued)
        by_key = list(self._by_key(queued, self._listed(queued)))
        live = {key for key, job in by_key if not job.is_over}
        over = {key: answers.ending(job) for key, job in by_key if job.is_over and key not in live}
        return {key: ending for key, ending in over.items() if ending is not None}

    def _listed(self, queued: list[Queued]) -> list[answers.Listed]:
        """The jobs of these calls, with finished ones and those that nodes queued again, from one query.

        If a node queued a job again meanwhile, the query is repeated, since the job it came from may have ended.
        """
        asked: list[str] = []
        listed: list[answers.Listed] = []
        for _ in range(MOST_QUERIES):
            ids = [entry.id for entry in queued] + [id for entry in queued for id in self.queued_again(entry)]
            if ids == asked:
                break
            listed, asked = answers.jobs(_ask_with_history("qstat", "-t", "-f", "-F", "json", *ids)), ids
        return listed

    def _by_key(
        self, queued: list[Queued], listed: list[answers.Listed]
    ) -> Iterator[tuple[JobKey, answers.Listed]]:
        arrays = {answers.number(entry.id): entry for entry in queued}
        again = {
            answers.number(id): (entry, job)
            for entry in queued
            for id, job in self.queued_again(entry).items()
        }
        for job in listed:
            number = answers.number(job.id)
            if job.is_array:
                continue
            if number in again:
                entry, index = again[number]
                yield (entry.token, index), job
            elif number in arrays:
                entry = arrays[number]
                index = entry.first if job.index is None else job.index
                if entry.first <= index <= entry.last:
                    yield (entry.token, index), job

    def elements(self, array: str, first: int, last: int) -> str:
        return array.replace("[]", f"[{first}-{last}]" if last > first else f"[{first}]")

    def queued_again(self, entry: Queued) -> Mapping[str, int]:
        return {
            id: job for id, job in resubmissions(entry.folder).items() if entry.first <= job <= entry.last
        }

    def read_refusals(self, answer: Answer) -> str:
        return answers.refused_deletions(answer)

    def check(self) -> list[Finding]:
        findings = [self.dialect_here()]
        findings += [
            Finding(has(name), f"{name} is on PATH", "" if has(name) else "Is this a submit host?")
            for name in ("qstat", "qdel", "qselect")
        ]
        if findings[0].ok:
            findings.append(self._would_be_accepted())
        return findings

    def _would_be_accepted(self) -> Finding:
        """Whether PBS accepts a held job, which is then deleted."""
        options = [word for line in (*self.options("nfcheck"), *self.directives) for word in line.split()]
        what = "PBS would accept such a job"
        try:
            answer = ask(["qsub", "-h", *options, "--", "/bin/true"])
            number = self.read_id(answer) if answer.status == 0 else None
            if number is None:
                refusal = (answer.stderr or answer.stdout).strip()[:600]
                return Finding(False, what, refusal, answered=not answers.NO_SERVER.search(refusal))
            ask(["qdel", number])
        except QueueError as error:
            return Finding(False, what, str(error), answered=False)
        return Finding(True, what)


def _among(entry: Queued, keys: set[JobKey]) -> bool:
    return any((entry.token, job) in keys for job in range(entry.first, entry.last + 1))


def _ask_with_history(program: str, *words: str) -> Answer:
    """The answer about running and finished jobs, or about running ones only if PBS keeps no others."""
    answer = ask([program, "-x", *words])
    return ask([program, *words]) if answers.has_no_history(answer) else answer


def resubmissions(folder: Path) -> dict[str, int]:
    """Id → number of the job, for the jobs of a submission that nodes queued again."""
    try:
        names = os.listdir(folder / "resubmitted")
    except OSError:
        return {}
    return {match[2]: int(match[1]) for name in sorted(names) if (match := RESUBMITTED.match(name))}
