"""Read what PBS's programs print. Pure functions.

Text that a site prints around an answer is ignored. An answer that is incomplete or not PBS's raises QueueError, and
never means that a job is gone. Sources: PBS Professional Reference Guide ("Job States", "Job Exit Status", "Job
Attributes"); answers of OpenPBS 23.06.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neurofit.backends.base import Ending, Limits, QueueState
from neurofit.backends.commands import Answer
from neurofit.backends.job_script import blamed, cause
from neurofit.errors import QueueError

WHOLE_ID = re.compile(r"[0-9]+(?:\[\])?\.[A-Za-z0-9][\w.-]*", re.ASCII)
ID = re.compile(rf"^\s*({WHOLE_ID.pattern})\s*$", re.MULTILINE | re.ASCII)
FINISHED, UNKNOWN = (
    35,
    153,
)  # exit statuses: some of the jobs are finished or unknown; the answer has the others
GONE = re.compile(r"Unknown Job|has finished|Request invalid for state|finished", re.IGNORECASE)
NO_SERVER = re.compile(r"cannot connect to server|Connection refused")
NO_HISTORY = "not configured to maintain job history"
NEVER = re.compile(r"can never run", re.IGNORECASE)
BEGUN = re.compile(
    r"Job (Array Began|was sent|run) ", re.IGNORECASE
)  # followed by a time of day, which contains a colon
DELETED = 91  # substate of a deleted job
DEPENDS = 22  # substate of a job that is held by a dependency
ENDED = (DELETED, 92, 93)  # substates of a job that has ended: deleted, successful, failed
PENDING = {
    "Q": "",
    "W": "waiting for its start time",
    "T": "being moved",
    "M": "moved to another server",
}
RUNNING = {"R": "", "E": "ending", "S": "suspended", "U": "suspended because its machine is in use", "B": ""}
OVER = ("F", "X", "C")
GIGABYTES = {"": 2**-30, "k": 2**-20, "m": 2**-10, "g": 1.0, "t": 2.0**10}
LIMITS = {  # negative values of Exit_status: what PBS itself did
    -24: "it used more processors than resources.cpus allows",
    -25: "it used more processors than resources.cpus allows",
    -26: "virtual memory limit exceeded: raise resources.memory_gb",
    -27: "memory limit exceeded: raise resources.memory_gb",
    -28: "its limit of processor time was exceeded",
    -29: "time limit exceeded: raise resources.walltime_minutes",
}
_ATTRIBUTE = re.compile(r'( *)(?:"(.*?)":)?(.*?),?\s*$')


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
    span: tuple[int, int] | None  # numbers of its first and last job, if it names them
    host: str
    holds: str = ""  # who holds it: u (user), o (operator), s (system)

    @property
    def is_array(self) -> bool:
        return "[]" in self.id

    @property
    def is_over(self) -> bool:
        return self.letter in OVER


def job_id(stdout: str) -> str | None:
    """The id in qsub's answer."""
    found = ID.findall(stdout)
    return found[-1] if found else None


def number(id: str) -> str:
    """The number that a job shares with its array and its subjobs."""
    return id[: len(id) - len(id.lstrip("0123456789"))]


def selected(answer: Answer) -> list[str]:
    """Ids that `qselect` prints."""
    if answer.status != 0:
        raise QueueError(answer.explained())
    return ID.findall(answer.stdout)


def has_no_history(answer: Answer) -> bool:
    """Whether PBS keeps no finished jobs. Asked about them, it then lists nothing at all, with status 0."""
    return NO_HISTORY in answer.stderr


def jobs(answer: Answer) -> list[Listed]:
    """The jobs that `qstat -f -F json` lists, possibly without those that are finished or unknown."""
    if answer.status not in (0, FINISHED, UNKNOWN):
        raise QueueError(answer.explained())
    record = read_json(answer.stdout)
    listed = record.get("Jobs", {}) if record else None
    if not isinstance(listed, dict):
        if answer.status and GONE.search(answer.stderr) and not answer.stdout.strip():
            return []
        output = (answer.stdout.strip() or answer.stderr.strip() or "(no output)")[:300]
        raise QueueError(f"`{shlex.join(answer.words)[:300]}` gave an answer that cannot be read: {output}")
    return [_listed(id, job) for id, job in listed.items() if isinstance(job, dict)]


def read_json(text: str) -> dict[str, Any] | None:
    """The object in an answer of `qstat -F json`, without what is printed around it; None if it is incomplete.

    OpenPBS up to 23.06 and PBS Pro before it do not escape values: variables such as `1.`, `-007` and `inf`, or a
    backslash in a path or a comment. But each attribute has a line of its own, indented by its depth, and a value
    never begins a line. So an answer that is not JSON is read line by line. neurofit needs short words and numbers,
    and a value that cannot be read affects only itself.
    """
    start, ends = re.search(r"^\{", text, re.MULTILINE), list(re.finditer(r"\}\s*$", text, re.MULTILINE))
    if start is None or not ends:
        return None
    text = text[start.start() : ends[-1].start() + 1]
    try:
        record = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        record = _by_lines(text.split("\n"))
    return record if isinstance(record, dict) and "timestamp" in record else None


def _by_lines(lines: list[str]) -> dict[str, Any] | None:
    """Objects, by their indentation; None if one is not closed."""
    unit = _indentation(lines)
    if not unit:
        return None
    inside: list[dict[str, Any]] = [{}]
    for depth, name, value in _parts(lines[1:-1], unit):
        if depth == len(inside) - 1 and value == "}" and name is None:
            inside.pop()
        elif depth == len(inside) and name is not None:
            if value == "{":
                inside[-1].setdefault(name, {})
                if not isinstance(inside[-1][name], dict):
                    return None
                inside.append(inside[-1][name])
            else:
                inside[-1].setdefault(name, _value(value))
    return inside[0] if len(inside) == 1 and lines[-1].strip() == "}" else None


def _indentation(lines: list[str]) -> int:
    """The indentation of the first attribute, which is that of every level."""
    return len(lines[1]) - len(lines[1].lstrip(" ")) if len(lines) > 2 and lines[0].strip() == "{" else 0


def _parts(lines: list[str], unit: int) -> Iterator[tuple[int, str | None, str]]:
    """Depth, name and value of each line that looks like an attribute."""
    for line in lines:
        match = _ATTRIBUTE.match(line)
        if match and len(match[1]) % unit == 0:
            yield len(match[1]) // unit, match[2], match[3]


def _value(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


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
    """Phase and reason of a job.

    Parameters
    ----------
    job : Listed
    array : Listed or None
        The array of a subjob. Waiting subjobs do not repeat its hold and its comment.
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
    """Why a job is held. A subjob can only be released with its array."""
    if job.substate == DEPENDS:
        return "held until the jobs that it depends on have ended"
    if set(job.holds) & set("os") and "u" not in job.holds:
        why = _after(job.comment or named.comment)
        return f"held by PBS or its operators{': ' if why else ''}{why}"
    return f"held; `qrls {shlex.quote(named.id)}` releases it"


def _after(comment: str) -> str:
    """The reason in PBS's comment, such as `Not Running: REASON`; empty if the comment reports a start."""
    if BEGUN.match(comment):
        return ""
    return re.sub(r"^(Not Running|Can Never Run)\s*(:\s*|$)", "", comment, flags=re.IGNORECASE)


def ending(job: Listed) -> Ending | None:
    """Why a job ended; None if the answer does not say.

    If PBS keeps no history, a subjob that has ended has the attributes of its array, including the exit status.
    """
    if job.substate not in ENDED:
        return None
    if job.substate == DELETED:
        return Ending("deleted from the queue")
    status = job.status or 0
    if status < 0:
        at = f" (on {job.host})" if job.host else ""
        what = LIMITS.get(status)
        blame = job.host if what is None and job.host else None
        return Ending((what or f"PBS could not run it on its node (code {status})") + at, host=blame)
    status = status - 128 if status > 256 else status
    return Ending(cause(status, job.host), host=blamed(status, job.host))


def server(stdout: str) -> str:
    """The name of the default server without its domain, from `qstat -B -f`; empty if there is none."""
    found = re.search(r"^Server: *([\w-]+)", stdout, flags=re.MULTILINE)
    return found[1] if found else ""


def server_of(id: str) -> str:
    """The server in a job's id, without its domain."""
    return id.partition(".")[2].partition(".")[0]


def default_queue(server: str) -> str | None:
    """The server's default queue, from `qstat -B -f`."""
    found = re.search(r"^\s*default_queue = (\S+)", server, flags=re.MULTILINE)
    return found[1] if found else None


def destinations(queue: str) -> list[str]:
    """The queues of this server that a routing queue leads to, from `qstat -Q -f`."""
    found = re.search(r"^\s*route_destinations = (.*(?:\n\t.*)*)", queue, flags=re.MULTILINE)
    return [name for name in re.split(r"[,\s]+", found[1]) if name and "@" not in name] if found else []


def limits(described: str, beyond: str = "") -> Limits:
    """The smallest limits of server and queue.

    Parameters
    ----------
    described : str
        Answers of `qstat -B -f` and `qstat -Q -f`.
    beyond : str
        Answer of `qstat -Q -f` about the queues that a routing queue leads to. An array that fits none of them would
        never start.
    """
    sizes = [
        int(size)
        for size in re.findall(r"^\s*max_array_size = (\d+)", described + beyond, flags=re.MULTILINE)
    ]
    times = re.findall(r"^\s*resources_max\.walltime = (\d+):(\d+):(\d+)", described, flags=re.MULTILINE)
    minutes = [60 * int(hours) + int(minutes) + int(seconds) / 60 for hours, minutes, seconds in times]
    memories = re.findall(
        r"^\s*resources_max\.mem = (\d+)([kmgt]?)b?\s*$", described, flags=re.MULTILINE | re.IGNORECASE
    )
    return Limits(
        array_size=min(sizes, default=None),
        walltime_minutes=min(minutes, default=None),
        memory_gb=min((int(size) * GIGABYTES[unit.lower()] for size, unit in memories), default=None),
    )


def shows_all_jobs_to(user: str, host: str, server: str) -> bool:
    """Whether PBS shows other users' jobs to this user of this host, from `qstat -B -f`.

    Otherwise it leaves them out of its answers without saying so.
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
    """Errors of `qdel`, without those about jobs that have already ended."""
    if answer.status == 0:
        return ""
    lines = f"{answer.stdout}\n{answer.stderr}".splitlines()
    return "\n".join(line for line in lines if line.strip() and not GONE.search(line))[:2000]
