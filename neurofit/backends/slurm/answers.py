"""SLURM's programs: their command lines, and the meaning of their answers. Pure functions.

Text that a site prints around an answer is ignored, and so are lines that cannot be about a job of neurofit. A line
that may be about one, but cannot be read, is returned as such. An incomplete answer is a QueueError. Neither is
taken to mean that a job is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofit.backends.base import Ending, Limits, QueueState, minutes_of
from neurofit.backends.commands import Answer
from neurofit.backends.slurm.status_codes import ENDED, RUNNING, ending, reason
from neurofit.errors import QueueError, SubmissionError
from neurofit.spans import spans

Element = tuple[str, int | None]  # id of an array, index in it; None: all elements

NUMBER = re.compile(r"[0-9]+")  # of a job or an array
_ELEMENTS = re.compile(r"([0-9]+)(?:_(?:([0-9]+)|\[([0-9,:%.-]+)\]))?")
_OURS = re.compile(r"[\w.-]*@[\w.-]+\.[0-9]+-[0-9]+", re.ASCII)  # a name that backend.name_of makes
ACCOUNTED = "JobID,State,ExitCode,NodeList,JobName"
LONGEST_LIST = 4000  # characters of ids in one command
MOST_ELEMENTS = 4_000_001  # of an array; slurm.conf(5), MaxArraySize


@dataclass(frozen=True)
class Waiting:
    """A line of squeue: elements of an array that the queue has."""

    id: str
    elements: tuple[int, ...] | None  # None: all that no other line names
    state: QueueState
    name: str

    @property
    def is_unreadable(self) -> bool:
        """Whether the line could not be read."""
        return self.state.phase == "unknown"

    @property
    def problem(self) -> str:
        return self.state.reason


def of(cluster: str | None) -> list[str]:
    """The option with which a program asks another cluster."""
    return ["-M", cluster] if cluster else []


def squeue(users: Iterable[str], cluster: str | None = None) -> list[str]:
    """The command line that asks for all jobs of these users, one line per array element."""
    return ["squeue", *of(cluster), f"--user={','.join(sorted(users))}", "-r", "-o", "%i|%T|%r|%j"]


def read_squeue(answer: Answer, cluster: str | None = None) -> list[Waiting]:
    """What the queue has. A line about neurofit's jobs that cannot be read has the phase "unknown".

    Raises
    ------
    QueueError
        squeue failed, or its answer lacks the header or the end of the last line.
    """
    if answer.status:
        raise QueueError(answer.explained())
    found = []
    for line in _table(answer, "JOBID|"):
        fields = line.split("|", 3)
        state = fields[1].split() if len(fields) == 4 else []
        try:
            id, elements = elements_of(fields[0])
            if not state:
                raise ValueError("no state")
        except ValueError:
            unreadable = QueueState("unknown", _unreadable(answer, line))
            found += [Waiting(id, None, unreadable, name) for id, name in _possible_jobs(line, 4)]
            continue
        if state[0] in ENDED:
            continue
        phase = "running" if state[0] in RUNNING else "pending"
        why = reason(fields[2], id, cluster) if phase == "pending" else ""
        found.append(Waiting(id, elements, QueueState(phase, why), fields[3]))
    return found


def _table(answer: Answer, header: str) -> Iterator[str]:
    """Lines below the header. Raises QueueError if the answer is incomplete."""
    lines = answer.stdout.split("\n")
    start = next((number for number, line in enumerate(lines) if line.startswith(header)), None)
    if start is None or lines[-1]:
        raise QueueError(
            f"`{answer.words[0]}` gave an incomplete answer: {answer.stdout[-200:].strip() or '(no output)'}"
        )
    return (line for line in lines[start + 1 :] if "|" in line)  # other lines are printed by the site


def _possible_jobs(line: str, fields: int) -> list[tuple[str, str]]:
    """Id and name of the neurofit job that a line with this number of fields may be about; empty if it cannot be.

    Such lines are another user's `93+0|PENDING|None|mpi`, or the rest of a name that contains a line break.
    """
    number, name = line[: len(line) - len(line.lstrip("0123456789"))], _OURS.search(line)
    if name is None and (not number or line.count("|") >= fields - 1):
        return []
    return [(number, name[0] if name else "")]


def _unreadable(answer: Answer, line: str) -> str:
    return f"`{answer.words[0]}` printed a line about it that cannot be read: {line[:200]!r}"


def elements_of(word: str) -> tuple[str, tuple[int, ...] | None]:
    """'6_[4-7,9%4]' → '6', (4, 5, 6, 7, 9); '6' → '6', None.

    A list that SLURM has shortened, such as '6_[4-7,...]', stands for the whole array.

    Raises
    ------
    ValueError
        The word is not an id.
    """
    match = _ELEMENTS.fullmatch(word)
    if match is None:
        raise ValueError(f"{word[:100]!r} is not a job id of SLURM")
    id, index, folded = match.groups()
    if index is not None:
        return id, (int(index),)
    if folded is None or "..." in folded:
        return id, None
    found: list[int] = []
    for part in folded.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        numbers = range(int(first), int(last or first) + 1, int(step or 1))
        if not 0 < len(numbers) <= MOST_ELEMENTS - len(found):
            raise ValueError(f"{word[:100]!r} is not a list of elements")
        found.extend(numbers)
    return id, tuple(found)


def folded(id: str, indices: Sequence[int]) -> Iterator[str]:
    """Elements as arguments of scancel, '6_[1-5,7]', of limited length."""
    parts: list[str] = []
    for first, last in spans(indices):
        parts.append(f"{first}-{last}" if last > first else str(first))
        if sum(map(len, parts)) > LONGEST_LIST:
            yield f"{id}_[{','.join(parts)}]"
            parts = []
    if parts:
        yield f"{id}_[{','.join(parts)}]"


def sacct(
    ids: Sequence[str], cluster: str | None = None, *, every_start: bool = False
) -> Iterator[list[str]]:
    """Command lines that ask accounting about these ids, each of limited length: the last start, or every one."""
    starts = ["--duplicates"] if every_start else []
    for part in _bounded(ids):
        yield ["sacct", *of(cluster), "-X", "-P", "--allusers", *starts, "-o", ACCOUNTED, "-j", part]


def _bounded(words: Iterable[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) > LONGEST_LIST:
            yield line
            line = ""
        line += f",{word}" if line else word
    if line:
        yield line


def sacct_by_name(users: Iterable[str], since: str, cluster: str | None = None) -> list[str]:
    """The command line that asks accounting for everything that these users queued since then."""
    return [
        "sacct",
        *of(cluster),
        "-X",
        "-P",
        f"--user={','.join(sorted(users))}",
        "-S",
        since,
        "-o",
        ACCOUNTED,
    ]


@dataclass(frozen=True)
class Accounted:
    """A line of sacct: elements of an array that accounting knows."""

    id: str
    elements: tuple[int, ...] | None
    ending: Ending | None  # None: not ended
    name: str

    @property
    def is_unreadable(self) -> bool:
        """Whether the line could not be read."""
        return self.ending is not None and self.ending.problem is not None

    @property
    def problem(self) -> str:
        return (self.ending and self.ending.problem) or ""


def read_sacct(answer: Answer) -> list[Accounted]:
    """What accounting knows; empty if the site has no accounting.

    Raises
    ------
    QueueError
        sacct failed, or its answer is incomplete.
    """
    if answer.status:
        if "accounting storage is disabled" in answer.stderr + answer.stdout:
            return []
        raise QueueError(answer.explained())
    found = []
    for line in _table(answer, "JobID|"):
        fields = line.split("|", 4)
        try:
            id, elements = elements_of(fields[0])
            _, state, code, node, name = fields
        except ValueError:
            unreadable = Ending(None, _unreadable(answer, line))
            found += [Accounted(id, None, unreadable, name) for id, name in _possible_jobs(line, 5)]
            continue
        found.append(Accounted(id, elements, ending(state, code, node), name))
    return found


def sbatch(folder: Path, output: str, script: Path) -> list[str]:
    """The command line that queues a script, to be started in `folder`, with SLURM's own output there.

    `%` is doubled because SLURM replaces `%j` and others in the path of the output.
    """
    place = str(folder).replace("%", "%%")
    return ["sbatch", "--parsable", f"--chdir={folder}", f"--output={place}/{output}", str(script)]


# sbatch(1) and SLURM's error texts: after these errors, it is not known whether the job was queued
_UNKNOWN = re.compile(
    "timed out|Zero Bytes|Message (receive|send) failure|Transport endpoint|Unexpected message", re.I
)


def read_sbatch(answer: Answer) -> tuple[str, str | None]:
    """The array's id, and the cluster that took it if the answer names one.

    Raises
    ------
    SubmissionError
        The queue refused the jobs.
    QueueError
        It is not known whether the queue took the jobs.
    """
    if answer.status:
        if _UNKNOWN.search(answer.stderr + answer.stdout):
            raise QueueError(answer.explained())
        raise SubmissionError(answer.explained())
    for pattern in (r"^([0-9]+)(?:;(\S+))?\s*$", r"^Submitted batch job ([0-9]+)(?: on cluster (\S+))?"):
        found = re.findall(pattern, answer.stdout, re.MULTILINE)
        if found:
            return found[-1][0], found[-1][1] or None
    raise QueueError(f"`sbatch` answered without a job id: {answer.stdout.strip()[-200:] or '(no output)'}")


def read_clusters(answer: Answer) -> tuple[str, ...]:
    """The names of all clusters, from `sacctmgr --parsable2 --noheader show cluster format=cluster`."""
    found = re.findall(r"^([\w.-]+)\|?\s*$", answer.stdout, re.MULTILINE)
    if answer.status or not found:
        raise QueueError(answer.explained())
    return tuple(found)


def refusal(answer: Answer) -> str:
    """Why sbatch refused a job, as one line of its own text."""
    lines = (answer.stderr.strip() or answer.stdout.strip() or f"status {answer.status}").splitlines()
    return re.sub(
        "^(sbatch: error: |allocation failure: |Batch job submission failed: )+", "", lines[-1]
    ).rstrip(".")


def read_scancel(answer: Answer) -> None:
    """Raise QueueError if scancel failed, unless the jobs have already ended."""
    if answer.status and not re.search("Invalid job id|already complet", answer.stderr):
        raise QueueError(answer.explained())


def read_config(answer: Answer) -> dict[str, str]:
    """Names and values from `scontrol show config`."""
    if answer.status:
        raise QueueError(answer.explained())
    lines = (line.partition("=") for line in answer.stdout.splitlines() if "=" in line)
    settings = {name.strip(): value.strip() for name, _, value in lines}
    if "ClusterName" not in settings or not re.fullmatch("[0-9]{1,9}", settings.get("MaxArraySize", "")):
        raise QueueError(
            f"`{' '.join(answer.words)}` gave an incomplete answer: "
            f"{answer.stdout[-200:].strip() or '(no output)'}"
        )
    return settings


def read_partition(answer: Answer) -> dict[str, str]:
    """Names and values from `scontrol show partition`: of the default one, if the answer has several.

    Empty if there is no default.
    """
    if answer.status:
        raise QueueError(answer.explained())
    found = [dict(re.findall(r"(\w+)=(\S*)", block)) for block in re.split(r"\n\s*\n", answer.stdout)]
    found = [one for one in found if one]
    if len(found) > 1:
        found = [one for one in found if one.get("Default") == "YES"]
    return found[0] if found else {}


@dataclass(frozen=True)
class Node:
    """A node of a partition, as sinfo lists it."""

    name: str
    host: str  # its hostname, which several nodes may have on a test cluster
    memory_gb: float


def sinfo(partition: str | None, cluster: str | None = None) -> list[str]:
    """The command line that lists the nodes of a partition, or of all."""
    return ["sinfo", *of(cluster), *(["-p", partition] if partition else []), "-h", "-N", "-o", "%N|%n|%m|%P"]


def read_sinfo(answer: Answer, partition: str | None) -> list[Node]:
    """The nodes of a partition; of the default one if it is not named."""
    if answer.status:
        raise QueueError(answer.explained())
    lines = re.findall(r"^([\w.-]+)\|([\w.-]+)\|(\d{1,12})\+?\|([\w.*-]+)\s*$", answer.stdout, re.MULTILINE)
    return [
        Node(name, host, int(megabytes) / 1024)
        for name, host, megabytes, of_partition in lines
        if partition or of_partition.endswith("*")
    ]


def array_size(config: Mapping[str, str]) -> int:
    """The largest array that a cluster takes, from `read_config`."""
    smaller = re.findall(r"max_array_tasks=([0-9]{1,9})\b", config.get("SchedulerParameters", ""))
    return min(int(number) for number in (config["MaxArraySize"], *smaller))


def limits(config: Mapping[str, str], partition: Mapping[str, str], nodes: Iterable[Node] = ()) -> Limits:
    """Limits from `read_config`, `read_partition` and `read_sinfo`."""
    allowed = partition.get("MaxMemPerNode", "")
    memory = [int(allowed) / 1024] if allowed.isdecimal() else []
    largest = max((node.memory_gb for node in nodes), default=None)
    return Limits(
        array_size=array_size(config),
        walltime_minutes=minutes_of(partition.get("MaxTime", "")),
        memory_gb=min([*memory, *([largest] if largest else [])], default=None),
    )
