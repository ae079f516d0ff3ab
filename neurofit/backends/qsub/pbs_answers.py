"""What PBS's programs print, read tolerantly; pure.

What may be a torn or foreign answer raises QueueError: nothing is known then, least of all that a job is
gone. Sources: PBS Professional Reference Guide ("Job States", "Job Exit Status", "Job Attributes"); answers
of OpenPBS 23.06.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

from neurofit.backends.base import Ending, Limits, QueueState
from neurofit.backends.commands import Answer
from neurofit.backends.job_script import cause
from neurofit.backends.qsub import pbs_json
from neurofit.errors import QueueError

ID = re.compile(r"^\s*(\d+(?:\[\])?\.[A-Za-z0-9][\w.-]*)\s*$", re.MULTILINE)
FINISHED, UNKNOWN = (
    35,
    153,
)  # exit status: some of the jobs are finished, or not known; about the others it has told
GONE = re.compile(r"Unknown Job|has finished|Request invalid for state|finished", re.IGNORECASE)
NO_SERVER = re.compile(r"cannot connect to server|Connection refused")
NO_HISTORY = "not configured to maintain job history"
NEVER = re.compile(r"can never run", re.IGNORECASE)
BEGUN = re.compile(r"Job (Array Began|was sent|run) ", re.IGNORECASE)  # at a time of day, with a colon in it
DELETED = 91  # a substate
DEPENDS = 22  # of a held one
ENDED = (DELETED, 92, 93)  # substates of a job of its own that is over: deleted, well, with an error
PENDING = {
    "Q": "",
    "W": "waits for its start time",
    "T": "is being moved",
    "M": "was moved to another server",
}
RUNNING = {"R": "", "E": "ending", "S": "suspended", "U": "suspended, because its machine is in use", "B": ""}
OVER = ("F", "X", "C")
LIMITS = {  # Exit_status below 0: what PBS itself did
    -24: "it used more processors than resources.cpus allows",
    -25: "it used more processors than resources.cpus allows",
    -26: "it used more virtual memory than it asked for: raise resources.memory_gb",
    -27: "it used more memory than it asked for: raise resources.memory_gb",
    -28: "its limit of processor time was reached",
    -29: "its time limit was reached: raise resources.walltime_minutes",
}


@dataclass(frozen=True)
class Listed:
    """A job, an array or a subjob that qstat lists."""

    id: str
    name: str
    letter: str
    index: int | None
    comment: str
    status: int | None
    substate: int | None
    span: tuple[int, int] | None  # jobs that it holds, as far as it says
    host: str
    holds: str = ""  # who holds it: u(ser), o(perator), s(ystem)

    @property
    def is_array(self) -> bool:
        return "[]" in self.id

    @property
    def is_over(self) -> bool:
        return self.letter in OVER


def job_id(stdout: str) -> str | None:
    found = ID.findall(stdout)
    return found[-1] if found else None


def number(id: str) -> str:
    """What a job, its subjobs and its array have in common."""
    return re.match(r"\d*", id)[0]


def selected(answer: Answer) -> list[str]:
    """Ids that `qselect` gives."""
    if answer.status != 0:
        raise QueueError(answer.explained())
    return ID.findall(answer.stdout)


def has_no_history(answer: Answer) -> bool:
    """Whether it was asked about finished jobs and keeps none: it then lists nothing at all, and exits with
    0.
    """
    return NO_HISTORY in answer.stderr


def jobs(answer: Answer) -> list[Listed]:
    """All that `qstat -f -F json` lists; those that are finished or unknown may be missing."""
    if answer.status not in (0, FINISHED, UNKNOWN):
        raise QueueError(answer.explained())
    record = pbs_json.read(answer.stdout)
    listed = record.get("Jobs", {}) if record else None
    if not isinstance(listed, dict):
        if answer.status and GONE.search(answer.stderr) and not answer.stdout.strip():
            return []
        said = (answer.stdout.strip() or answer.stderr.strip() or "nothing")[:300]
        raise QueueError(f"`{shlex.join(answer.words)[:300]}` gave an answer that cannot be read: {said}")
    return [_listed(id, job) for id, job in listed.items() if isinstance(job, dict)]


def _listed(id: str, job: dict[str, Any]) -> Listed:
    index = job.get("array_index")
    if index is None and (match := re.match(r"\d+\[(\d+)\]", id)):
        index = match[1]
    return Listed(
        id=id,
        name=str(job.get("Job_Name", "")),
        letter=str(job.get("job_state", "?")),
        index=_int(index),
        comment=str(job.get("comment", "")),
        status=_int(job.get("Exit_status")),
        substate=_int(job.get("substate")),
        span=_span(job),
        host=str(job.get("exec_host", "")).split("/")[0],
        holds=str(job.get("Hold_Types", "")),
    )


def _int(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _span(job: dict[str, Any]) -> tuple[int, int] | None:
    match = re.match(r"(\d+)(?:-(\d+))?", str(job.get("array_indices_submitted", "")))
    if match:
        return int(match[1]), int(match[2] or match[1])
    variables = job.get("Variable_List")
    alone = _int(variables.get("NEUROFIT_JOB")) if isinstance(variables, dict) else None
    return None if alone is None else (alone, alone)


def state(job: Listed, array: Listed | None) -> QueueState:
    """Phase and reason; `array`: what a subjob belongs to, whose hold and comment its waiting subjobs do not
    repeat.
    """
    if job.letter in RUNNING:
        return QueueState("running", RUNNING[job.letter])
    comment = job.comment or (array.comment if array else "")
    if NEVER.search(comment):
        return QueueState("pending", f"can never run: {_after(comment)}. Cancel it and ask for less")
    for held in (job, array):
        if held is not None and held.letter == "H":
            return QueueState("pending", _hold(held, array or job))
    return QueueState("pending", PENDING.get(job.letter, f"in state {job.letter}") or _after(comment))


def _hold(job: Listed, named: Listed) -> str:
    """Why it is held; a subjob is let go with its array only."""
    if job.substate == DEPENDS:
        return "held until jobs end that it depends on"
    if set(job.holds) & set("os") and "u" not in job.holds:
        why = _after(job.comment or named.comment)
        return f"held by PBS or its operators{': ' if why else ''}{why}"
    return f"held; `qrls {shlex.quote(named.id)}` lets it go"


def _after(comment: str) -> str:
    """`Not Running:

    Insufficient amount of resource: ncpus` → what follows the first colon; no news of a start.
    """
    if BEGUN.match(comment):
        return ""
    return re.sub(r"^(Not Running|Can Never Run)\s*(:\s*|$)", "", comment, flags=re.IGNORECASE)


def ending(job: Listed) -> Ending | None:
    """Why a job ended, in our words; None where this answer does not say how: where no history is kept, a
    subjob that is over has the attributes of its array, the exit status too.
    """
    if job.substate not in ENDED:
        return None
    if job.substate == DELETED:
        return Ending("it was deleted from the queue")
    status = job.status or 0
    if status < 0:
        at = f" (on {job.host})" if job.host else ""
        return Ending(LIMITS.get(status, f"PBS could not run it on its node (code {status})") + at)
    return Ending(cause(status - 128 if status > 256 else status, job.host))


def default_queue(server: str) -> str | None:
    """From `qstat -B -f`."""
    found = re.search(r"^\s*default_queue = (\S+)", server, flags=re.MULTILINE)
    return found[1] if found else None


def destinations(queue: str) -> list[str]:
    """From `qstat -Q -f`: the queues of this server that a routing queue leads to."""
    found = re.search(r"^\s*route_destinations = (.*(?:\n\t.*)*)", queue, flags=re.MULTILINE)
    return [name for name in re.split(r"[,\s]+", found[1]) if name and "@" not in name] if found else []


def limits(said: str, beyond: str = "") -> Limits:
    """From `qstat -B -f` and `qstat -Q -f`: the smallest of what server and queue say; `beyond`: of the
    queues that a routing queue leads to, where an array that fits nowhere would stay for ever.
    """
    sizes = [
        int(size) for size in re.findall(r"^\s*max_array_size = (\d+)", said + beyond, flags=re.MULTILINE)
    ]
    times = re.findall(r"^\s*resources_max\.walltime = (\d+):(\d+):(\d+)", said, flags=re.MULTILINE)
    minutes = [60 * int(hours) + int(minutes) + int(seconds) / 60 for hours, minutes, seconds in times]
    return Limits(array_size=min(sizes, default=None), walltime_minutes=min(minutes, default=None))


def shows_all_jobs_to(user: str, host: str, server: str) -> bool:
    """From `qstat -B -f`: whether this user of this host is told of others' jobs. Where not, nothing says so
    when jobs are asked for: they are left out.
    """
    if not re.search(r"^\s*query_other_jobs = False", server, flags=re.MULTILINE):
        return True
    listed = re.findall(r"^\s*(?:managers|operators) = (.*(?:\n\t.*)*)", server, flags=re.MULTILINE)
    names = {name.partition("@")[0].lstrip("+") for name in re.split(r"[,\s]+", ",".join(listed))}
    at_server = (
        re.search(rf"^\s*server_host = {re.escape(host)}(\.|$)", server, flags=re.MULTILINE) is not None
    )
    return user in names or (user == "root" and at_server and not listed)


def refused_deletions(answer: Answer) -> str:
    """What `qdel` says against it, but for jobs that are gone already."""
    if answer.status == 0:
        return ""
    lines = f"{answer.stdout}\n{answer.stderr}".splitlines()
    return "\n".join(line for line in lines if line.strip() and not GONE.search(line))[:2000]
