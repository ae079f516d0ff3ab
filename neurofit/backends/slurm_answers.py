"""SLURM's programs: the words that ask them, and what their answers mean. Pure, and tolerant of what sites print around
an answer; what cannot be understood is a QueueError, never an absence.
"""

from __future__ import annotations

import contextlib
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofit.backends.base import Ending, Limits, QueueState
from neurofit.backends.commands import Answer
from neurofit.errors import QueueError, SubmissionError

Element = tuple[str, int | None]  # id of an array, index in it; None: all of it

_ID = r"\d+(?:_(?:\d+|\[[\d,:%\-.]+\]))?"
_LINE = re.compile(rf"({_ID})\|(\w[^|]*)\|")
_ELEMENTS = re.compile(r"(\d+)(?:_(?:(\d+)|\[([\d,:%\-.]+)\]))?$")
LONGEST_LIST = 4000  # characters of ids in one command

# squeue(1), JOB STATE CODES: these are over, whatever else it says is still there
OVER = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "RECONFIG_FAIL", "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
AT_WORK = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})

# squeue(1), JOB REASON CODES
REASONS = {
    "None": "",
    "Resources": "waits for free resources",
    "Priority": "others come first",
    "JobArrayTaskLimit": "as many run as max_running allows",
    "BeginTime": "is started again soon",
    "Dependency": "waits for another job",
    "DependencyNeverSatisfied": "can never run: the job it depends on failed; cancel it",
    "JobHeldUser": "held by its user: `scontrol release` lets it go on",
    "JobHeldAdmin": "held by the cluster's administrators: ask them",
    "job requeued in held state": "held after an error: `scontrol release` lets it go on",
    "launch failed requeued held": "held, because it could not be started: `scontrol release` lets it try again",
    "PartitionConfig": "can never run: it asks for more than its partition gives",
    "PartitionNodeLimit": "can never run as it is: it asks for more nodes than its partition gives",
    "PartitionTimeLimit": "can never run as it is: its walltime is longer than its partition allows",
    "PartitionDown": "its partition is closed just now",
    "PartitionInactive": "its partition is closed just now",
    "BadConstraints": "can never run: no node has what it asks for",
    "InvalidAccount": "can never run: its account is not valid",
    "InvalidQOS": "can never run: its QOS is not valid",
    "AccountNotAllowed": "can never run: its account may not use this partition",
    "QOSNotAllowed": "can never run: its QOS may not be used here",
    "NodeDown": "its node is down",
    "ReqNodeNotAvail": "waits for a node that is not available",
    "Reservation": "waits for its reservation",
    "Licenses": "waits for a licence",
    "Prolog": "its node is being prepared",
    "Cleaning": "the node tidies up after its last start",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": (
        "waits for nodes that are down, drained or reserved"
    ),
}
NEVER = "can never run"


def reason(word: str) -> str:
    """Why a job waits, in words; SLURM's own where we have none."""
    word = word.strip().strip("()")
    if word in REASONS:
        return REASONS[word]
    name = word.partition(",")[0]
    if name in REASONS:
        return f"{REASONS[name]} ({word})"
    if re.match(r"(QOS|Assoc)(Max|Grp)\w*PerJob", word):
        return f"{NEVER} as it is: it asks for more than is allowed ({word})"
    if re.match(r"(QOS|Assoc)(Max|Grp)", word):
        return f"waits until less of its user's, account's or QOS's work is running ({word})"
    return word


@dataclass(frozen=True)
class Waiting:
    """A line of squeue."""

    id: str
    elements: tuple[int, ...] | None  # None: all that nothing else is said of
    state: QueueState
    name: str


def squeue(users: Iterable[str]) -> list[str]:
    return ["squeue", f"--user={','.join(sorted(users))}", "-r", "-o", "%i|%T|%r|%j"]


def read_squeue(answer: Answer) -> list[Waiting]:
    """What the queue has. Its header must be there, and its last line be whole: silence is no answer."""
    if answer.status:
        raise QueueError(answer.explained())
    found = []
    for word, rest in _table(answer, "JOBID|"):
        state, why, name = (*rest.split("|", 2), "", "")[:3]
        state = state.split()[0] if state.split() else ""
        if state in OVER:
            continue
        id, elements = elements_of(word)
        phase = "running" if state in AT_WORK else "pending"
        found.append(Waiting(id, elements, QueueState(phase, reason(why) if phase == "pending" else ""), name))
    return found


def _table(answer: Answer, header: str) -> Iterator[tuple[str, str]]:
    """Lines below the header as (id, the rest). Raises QueueError where something is missing."""
    lines = answer.stdout.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith(header)), None)
    if start is None or not answer.stdout.endswith("\n"):
        raise QueueError(f"`{answer.words[0]}` did not say all: {answer.stdout[-200:].strip() or 'nothing came'}")
    for line in lines[start + 1 :]:
        if "|" not in line:
            continue  # what a site prints around it
        if not _LINE.match(line):
            raise QueueError(f"`{answer.words[0]}` said something that could not be understood: {line[:200]}")
        id, _, rest = line.partition("|")
        yield id, rest


def elements_of(word: str) -> tuple[str, tuple[int, ...] | None]:
    """'6_[4-7,9%4]' → '6', (4, 5, 6, 7, 9); '6' → '6', None, and so what was cut short ('6_[4-7,...]')."""
    id, index, folded = _ELEMENTS.match(word).groups()
    if index is not None:
        return id, (int(index),)
    if folded is None or "..." in folded:
        return id, None
    found: list[int] = []
    for part in folded.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        found.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    return id, tuple(found)


def folded(id: str, indices: Sequence[int]) -> Iterator[str]:
    """Elements as scancel takes them, '6_[1-5,7]', in words of bounded length."""
    parts: list[str] = []
    for first, last in runs(indices):
        parts.append(f"{first}-{last}" if last > first else str(first))
        if sum(map(len, parts)) > LONGEST_LIST:
            yield f"{id}_[{','.join(parts)}]"
            parts = []
    if parts:
        yield f"{id}_[{','.join(parts)}]"


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of each unbroken run of numbers."""
    first = last = None
    for number in sorted(set(numbers)):
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None:
            yield first, last
        first = last = number
    if first is not None:
        yield first, last


def sacct(ids: Sequence[str]) -> Iterator[list[str]]:
    """Questions about jobs by id, each of bounded length."""
    for part in _bounded(ids):
        yield ["sacct", "-X", "-P", "--allusers", "-o", "JobID,State,ExitCode,NodeList,JobName", "-j", part]


def _bounded(words: Iterable[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) > LONGEST_LIST:
            yield line
            line = ""
        line += f",{word}" if line else word
    if line:
        yield line


def sacct_by_name(since: str, user: str) -> list[str]:
    return ["sacct", "-X", "-P", f"--user={user}", "-S", since, "-o", "JobID,State,ExitCode,NodeList,JobName"]


@dataclass(frozen=True)
class Accounted:
    """A line of sacct."""

    id: str
    elements: tuple[int, ...] | None
    ending: Ending | None  # None: not over, as far as it knows
    name: str


def read_sacct(answer: Answer) -> list[Accounted]:
    """What accounting knows; nothing where a site has none."""
    if answer.status:
        if "accounting storage is disabled" in answer.stderr + answer.stdout:
            return []
        raise QueueError(answer.explained())
    found = []
    for word, rest in _table(answer, "JobID|"):
        state, code, node, name = (*rest.split("|", 3), "", "", "")[:4]
        id, elements = elements_of(word)
        found.append(Accounted(id, elements, ending(state, code, node), name))
    return found


def ending(state: str, code: str, node: str) -> Ending | None:
    """How a job ended, in our own words."""
    word, *rest = state.split() or [""]
    status, _, number = code.partition(":")
    if word not in OVER and word != "PREEMPTED":
        return None
    where = f" on {node}" if node and node != "None assigned" else ""
    return Ending(
        {
            "COMPLETED": None,
            "OUT_OF_MEMORY": f"it used more memory than it had asked for{where}: raise resources.memory_gb",
            "TIMEOUT": f"its time limit was over{where}: raise resources.walltime_minutes",
            "NODE_FAIL": f"its node failed ({node})",
            "BOOT_FAIL": f"its node did not start ({node})",
            "PREEMPTED": "jobs of higher priority took its place",
            "DEADLINE": "its deadline passed before it ran",
            "CANCELLED": f"cancelled by {_person(rest[-1])}" if rest else "cancelled",
            "FAILED": _failure(status, number, where),
        }.get(word, f"SLURM says {state}{where}")
    )


def _person(word: str) -> str:
    with contextlib.suppress(KeyError, ValueError):
        return pwd.getpwuid(int(word)).pw_name
    return f"user {word}"


def _failure(status: str, number: str, where: str) -> str:
    known = {
        ("0", "53"): f"its output could not be opened{where}: is the submission's folder seen there, and its logs/?",
        ("66", "0"): f"the submission's folder could not be entered{where}: is it on a file system that nodes see?",
        ("67", "0"): f"its log could not be written{where}: is the disk full, or your quota?",
        ("99", "0"): f"it was to be started again, and the queue refused{where}",
        ("127", "0"): f"a program was not found{where}, perhaps the interpreter; its log says which",
    }
    if (status, number) in known:
        return known[status, number]
    if number not in ("", "0"):
        return f"its job was ended by signal {number}{where}"
    return f"its job ended with exit code {status}{where} before or beside its tasks; its log says more"


def sbatch(folder: Path, output: str, script: Path) -> list[str]:
    """Have the array of a script started in a folder, its output there too: in its path, SLURM would replace `%j`."""
    place = str(folder).replace("%", "%%")
    return ["sbatch", "--parsable", f"--chdir={folder}", f"--output={place}/{output}", str(script)]


# sbatch(1) and slurm's error texts: after these nobody knows whether the job was taken
_UNKNOWN = re.compile(r"timed out|Zero Bytes|Message (receive|send) failure|Transport endpoint|Unexpected message", re.I)


def read_sbatch(answer: Answer) -> str:
    """The array's id, whatever is printed around it.

    Raises
    ------
    SubmissionError : the queue refused
    QueueError : it is not known whether it took the jobs
    """
    if answer.status:
        if _UNKNOWN.search(answer.stderr + answer.stdout):
            raise QueueError(answer.explained())
        raise SubmissionError(answer.explained())
    for pattern in (r"^(\d+)(?:;\S+)?$", r"^Submitted batch job (\d+)"):
        found = re.findall(pattern, answer.stdout, re.MULTILINE)
        if found:
            return found[-1]
    raise QueueError(f"`sbatch` answered without an id: {answer.stdout.strip()[-200:] or 'nothing came'}")


def read_settings(answer: Answer) -> dict[str, str]:
    """`scontrol show config`, or `show partition`, as names and values."""
    if answer.status:
        raise QueueError(answer.explained())
    if answer.words[2] == "partition":
        return dict(re.findall(r"(\w+)=(\S*)", answer.stdout))
    lines = (line.partition("=") for line in answer.stdout.splitlines() if "=" in line)
    settings = {name.strip(): value.strip() for name, _, value in lines}
    if "MaxArraySize" not in settings or "ClusterName" not in settings:
        raise QueueError(f"`{' '.join(answer.words)}` did not say all: {answer.stdout[-200:].strip()}")
    return settings


def limits(config: Mapping[str, str], partition: Mapping[str, str]) -> Limits:
    sizes = [int(config["MaxArraySize"]), *map(int, re.findall(r"max_array_tasks=(\d+)", str(config)))]
    return Limits(array_size=min(sizes), walltime_minutes=minutes(partition.get("MaxTime", "")))


def minutes(text: str) -> float | None:
    """'2-12:30:00' in minutes; None for UNLIMITED and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)", text)
    if not match:
        return None
    days, hours, mins, seconds = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * hours + mins + seconds / 60
