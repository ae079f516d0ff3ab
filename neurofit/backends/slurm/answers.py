"""SLURM's programs: the words that ask them, and what their answers mean. Pure, and tolerant of what sites print around
an answer; what cannot be understood is a QueueError, never an absence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofit.backends.base import Ending, Limits, QueueState
from neurofit.backends.commands import Answer, spans
from neurofit.backends.slurm.words import AT_WORK, OVER, ending, reason
from neurofit.errors import QueueError, SubmissionError

Element = tuple[str, int | None]  # id of an array, index in it; None: all of it

_ID = r"\d+(?:_(?:\d+|\[[\d,:%\-.]+\]))?"
_LINE = re.compile(rf"({_ID})\|(\w[^|]*)\|")
_ELEMENTS = re.compile(r"(\d+)(?:_(?:(\d+)|\[([\d,:%\-.]+)\]))?$")
ACCOUNTED = "JobID,State,ExitCode,NodeList,JobName"
LONGEST_LIST = 4000  # characters of ids in one command


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
    for first, last in spans(indices):
        parts.append(f"{first}-{last}" if last > first else str(first))
        if sum(map(len, parts)) > LONGEST_LIST:
            yield f"{id}_[{','.join(parts)}]"
            parts = []
    if parts:
        yield f"{id}_[{','.join(parts)}]"


def sacct(ids: Sequence[str]) -> Iterator[list[str]]:
    """Questions about jobs by id, each of bounded length."""
    for part in _bounded(ids):
        yield ["sacct", "-X", "-P", "--allusers", "-o", ACCOUNTED, "-j", part]


def _bounded(words: Iterable[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) > LONGEST_LIST:
            yield line
            line = ""
        line += f",{word}" if line else word
    if line:
        yield line


def sacct_by_name(users: Iterable[str], since: str) -> list[str]:
    """All that these users queued since then."""
    return ["sacct", "-X", "-P", f"--user={','.join(sorted(users))}", "-S", since, "-o", ACCOUNTED]


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


def sbatch(folder: Path, output: str, script: Path) -> list[str]:
    """Have the array of a script started in a folder, its output there too: in its path, SLURM would replace `%j`."""
    place = str(folder).replace("%", "%%")
    return ["sbatch", "--parsable", f"--chdir={folder}", f"--output={place}/{output}", str(script)]


# sbatch(1) and slurm's error texts: after these nobody knows whether the job was taken
_UNKNOWN = re.compile("timed out|Zero Bytes|Message (receive|send) failure|Transport endpoint|Unexpected message", re.I)


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


def refusal(answer: Answer) -> str:
    """Why sbatch refused, in its own words, on a line."""
    lines = (answer.stderr.strip() or answer.stdout.strip() or f"status {answer.status}").splitlines()
    return re.sub("^(sbatch: error: |allocation failure: |Batch job submission failed: )+", "", lines[-1]).rstrip(".")


def read_scancel(answer: Answer) -> None:
    """Those already gone are no error."""
    if answer.status and not re.search("Invalid job id|already complet", answer.stderr):
        raise QueueError(answer.explained())


def read_config(answer: Answer) -> dict[str, str]:
    """`scontrol show config`, as names and values."""
    if answer.status:
        raise QueueError(answer.explained())
    lines = (line.partition("=") for line in answer.stdout.splitlines() if "=" in line)
    settings = {name.strip(): value.strip() for name, _, value in lines}
    if not {"ClusterName", "MaxArraySize"} <= settings.keys():
        raise QueueError(
            f"`{' '.join(answer.words)}` did not say all: {answer.stdout[-200:].strip() or 'nothing came'}"
        )
    return settings


def read_partition(answer: Answer) -> dict[str, str]:
    """`scontrol show partition`, as names and values."""
    if answer.status:
        raise QueueError(answer.explained())
    return dict(re.findall(r"(\w+)=(\S*)", answer.stdout))


def limits(config: Mapping[str, str], partition: Mapping[str, str]) -> Limits:
    smaller = re.findall(r"max_array_tasks=(\d+)", config.get("SchedulerParameters", ""))
    sizes = [int(number) for number in (config["MaxArraySize"], *smaller)]
    return Limits(array_size=min(sizes), walltime_minutes=minutes(partition.get("MaxTime", "")))


def minutes(text: str) -> float | None:
    """'2-12:30:00' in minutes; None for UNLIMITED and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)", text)
    if not match:
        return None
    days, hours, mins, seconds = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * hours + mins + seconds / 60
