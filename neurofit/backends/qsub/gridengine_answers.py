"""Read what Grid Engine's programs print. Pure functions.

Text that a site prints around an answer is ignored. An answer that is incomplete or not Grid Engine's raises
QueueError, and never means that a job is gone. Its XML is not always valid: names, variables and messages of any
user's jobs may contain characters that XML does not allow. Sources: qstat(1), qacct(1), accounting(5),
sge_status(5); answers of SGE 8.1.9.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

from neurofit.backends.base import Ending, Finding, Limits, QueueState, minutes_of
from neurofit.backends.commands import Answer
from neurofit.backends.job_script import blamed, cause
from neurofit.errors import QueueError
from neurofit.exit_codes import START_AGAIN

ID = re.compile(r"^\s*(\d+)(?:\.\d+-\d+:\d+)?\s*$", re.MULTILINE)  # qsub -terse
NUMBER = re.compile("[0-9]+")  # of a job or an array
LONG_ID = re.compile(r"Your job(?:-array)? (\d+)")  # qsub without -terse, as a site's wrapper may call it
TASKS = re.compile(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?")
ROOT = re.compile(r"<\?xml[^>]*\?>\s*<([\w:]+)")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MOST_TASKS = 4_000_001  # of an array
GIGABYTES = {"K": 2**-20, "M": 2**-10, "G": 1.0, "T": 2**10}
MISSING = re.compile(
    r"does not exist|not found|already in deletion|have been deleted|registered .* for deletion|has deleted"
)
NOT_ASKED_FOR = "not contained in its hard queue list"
NO_QMASTER = re.compile("commlib error|unable to (send message to|contact) qmaster", re.IGNORECASE)
ACCEPTED = "Grid Engine would accept such a job"
RESCHEDULED = 25  # accounting(5), `failed`: the job goes on
TIME_LIMIT = 37
CAUSES = {  # accounting(5), `failed`
    1: "its node could not start it: {why}",
    8: "the site's prolog failed on its node",
    15: "the site's epilog failed on its node",
    19: "its node failed: the job disappeared from it",
    21: "its node failed: Grid Engine lost contact with it",
    26: "its output could not be opened",
    28: "its node could not change to the folder that the job starts in",
    29: "its output could not be opened",
}


HOST_FAULTS = frozenset({1, 8, 15, 19, 21, 26, 28, 29})  # of CAUSES


@dataclass(frozen=True)
class Listed:
    """A job of an array that qstat lists."""

    id: str
    job: int | None  # None: any job of the array
    state: str
    problem: str = ""  # why what is listed about it could not be read


@dataclass(frozen=True)
class Accounted:
    """A record of qacct: one start of a job."""

    id: str
    job: int
    failed: int
    reason: str  # as Grid Engine words it
    status: int
    host: str
    owner_of_deletion: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether the queue starts the job again."""
        return self.failed == RESCHEDULED or (self.failed == 0 and self.status == START_AGAIN)


def job_id(stdout: str) -> str | None:
    """The id in qsub's answer."""
    found = ID.findall(stdout) or LONG_ID.findall(stdout)
    return found[-1] if found else None


def words(line: str) -> list[str]:
    """The words of a line of options."""
    try:
        return shlex.split(line)
    except ValueError:  # an unclosed quote
        return line.split()


def jobs(answer: Answer, wanted: Collection[str]) -> list[Listed]:
    """The jobs with these ids that `qstat -xml` lists, one entry per task of an array.

    Other jobs are not read. An entry that cannot be read names the problem.
    """
    if answer.status != 0:
        raise QueueError(answer.explained())
    text = _whole(answer, "job_info")
    found = []
    for block in re.findall(r"<job_list\b.*?</job_list>", text, re.DOTALL):
        number = re.search(r"<JB_job_number>\s*([0-9]+)\s*</JB_job_number>", block)
        if number is None or number[1] not in wanted:
            continue
        try:
            element = ElementTree.fromstring(NOT_XML.sub("", block))
            state = element.findtext("state") or element.get("state") or ""
            found += [Listed(number[1], task - 1, state) for task in tasks(element.findtext("tasks") or "1")]
        except (ElementTree.ParseError, ValueError) as error:
            shown = " ".join(block.split())[:200]
            problem = f"`qstat -xml` printed an entry about it that cannot be read ({error}): {shown!r}"
            found.append(Listed(number[1], None, "", problem))
    return found


def _whole(answer: Answer, root: str) -> str:
    """The XML document with this root in an answer. Raises QueueError if it is incomplete."""
    start = ROOT.search(answer.stdout)
    output = answer.stdout[:300] or "(no output)"
    if start is None or start[1] != root:
        raise QueueError(f"`{shlex.join(answer.words)}` did not answer with a <{root}> document: {output}")
    text = answer.stdout[start.start() :]
    opened = len(re.findall(rf"<{root}\b(?:[^>]*[^>/])?>", text))
    if opened != text.count(f"</{root}>") or (not opened and not re.search(rf"<{root}\b[^>]*/>", text)):
        raise QueueError(f"`{shlex.join(answer.words)}` gave an incomplete answer: {output}")
    return text


def tasks(text: str) -> list[int]:
    """The numbers in `3-20:1,25`. Raises ValueError if the text is not such a list."""
    found: list[int] = []
    for word in text.split(","):
        match = TASKS.fullmatch(word.strip())
        if not match:
            raise ValueError(f"{text[:100]!r} is not a list of tasks")
        first = int(match[1])
        numbers = range(first, int(match[2] or first) + 1, int(match[3] or 1))
        if not 0 < len(numbers) <= MOST_TASKS - len(found):
            raise ValueError(f"{text[:100]!r} is not a list of tasks")
        found.extend(numbers)
    return found


def in_error(job: Listed) -> bool:
    return "E" in job.state


def all_pending(listed: list[Listed]) -> set[str]:
    """Ids of which jobs wait without a hold and none runs: worth asking why."""
    running = {job.id for job in listed if _phase(job.state) == "running"}
    return {job.id for job in listed if "q" in job.state and not {"h", "E"} & set(job.state)} - running


def _phase(state: str) -> str:
    return "running" if set(state) & set("rtsSTd") and "q" not in state else "pending"


def state(job: Listed, reason: str | None) -> QueueState:
    """Phase and reason of a job, from its letters; sge_status(5)."""
    letters, phase = set(job.state), _phase(job.state)
    if "E" in letters:
        why = f": {reason}" if reason else ""
        return QueueState(
            phase, f"in error{why}. Fix the cause and run `qmod -cj {job.id}`, or cancel the job"
        )
    if "d" in letters:
        return QueueState(phase, "being deleted")
    if letters & set("sST"):
        return QueueState(phase, "suspended")
    if "h" in letters:
        return QueueState(phase, f"held; `qrls {job.id}` releases it")
    if phase == "pending":
        again = "will be started again; " if "R" in letters else ""
        return QueueState(phase, f"{again}{reason}" if reason else again.rstrip("; "))
    return QueueState(phase, "starting" if "t" in letters else "")


def reasons(stdout: str) -> dict[tuple[str, int | None], str]:
    """Why a task is in error, and (with job None) why a job waits, from `qstat -xml -j`."""
    try:
        tree = ElementTree.fromstring(NOT_XML.sub("", stdout[max(0, stdout.find("<?xml")) :]))
    except (ElementTree.ParseError, ValueError):
        return {}
    found: dict[tuple[str, int | None], str] = {}
    for element in tree.iterfind("./djob_info/element"):
        number = element.findtext("JB_job_number", "")
        for task in element.iterfind("./JB_ja_tasks/ulong_sublist"):
            message, index = task.findtext(".//QIM_message"), task.findtext("JAT_task_number", "1")
            if message and TASKS.fullmatch(index) and len(index) < 10:
                text = re.sub(r"^[\d/]+ [\d:]+ \[\d+:\d+\]: (error: )?", "", message)
                found[number, int(index.partition("-")[0]) - 1] = text
    own: dict[str, list[str]] = {}
    for element in tree.iterfind(".//SME_message_list/element"):
        for number in {node.text or "" for node in element.iter("ULNG_value")}:
            own.setdefault(number, []).extend(_messages([element]))
    everywhere = _messages(tree.iterfind(".//SME_global_message_list/element"))
    for number in {node.text or "" for node in tree.iterfind("./djob_info/element/JB_job_number")}:
        messages = [text for text in [*own.get(number, []), *everywhere] if NOT_ASKED_FOR not in text]
        if messages:
            found[number, None] = "; ".join(messages[:3])
    return found


def _messages(elements: Iterable[ElementTree.Element]) -> list[str]:
    """Messages without repetitions: Grid Engine prints each of them twice."""
    return list(dict.fromkeys(text for element in elements if (text := element.findtext("MES_message"))))


def named_jobs(answer: Answer) -> dict[str, tuple[str, int, int]]:
    """Id → name, first and last job, from `qstat -xml -j NAMES`.

    Only these are read, because the rest contains the jobs' environments, and a list of unknown names has tags that
    are not XML.
    """
    start = ROOT.search(answer.stdout)
    if start is not None and start[1] == "unknown_jobs":
        _whole(answer, "unknown_jobs")
        return {}
    if answer.status != 0:
        raise QueueError(answer.explained())
    found = {}
    for part in _whole(answer, "detailed_job_info").split("<JB_job_number>")[1:]:
        number, name = (
            re.match(r"\s*([0-9]+)\s*</JB_job_number>", part),
            re.search(r"<JB_job_name>([^<]+)<", part),
        )
        structure = "".join(re.findall(r"<JB_ja_structure>.*?</JB_ja_structure>", part, re.DOTALL))
        ends = [re.findall(rf"<{tag}>\s*([^<]*?)\s*</{tag}>", structure) for tag in ("RN_min", "RN_max")]
        try:
            if number is None or name is None:
                raise ValueError("its number or its name is missing")
            low, high = ([int(text) for text in texts] or [1] for texts in ends)
            found[number[1]] = (name[1].strip(), min(low) - 1, max(high) - 1)
        except (TypeError, ValueError):
            shown = " ".join(part.split())[:200]
            raise QueueError(
                f"`{shlex.join(answer.words)}` gave details that cannot be read: {shown!r}"
            ) from None
    return found


def accounting(answer: Answer) -> list[Accounted]:
    """Records of `qacct -j`, oldest first; empty if it found nothing."""
    if answer.status != 0:
        return []
    found = []
    for block in re.split(r"^=+\s*$", answer.stdout, flags=re.MULTILINE):
        fields = dict(re.findall(r"^(\w+)[ \t]+(.*?)[ \t]*$", block, flags=re.MULTILINE))
        record = _accounted(fields)
        if record is not None:
            found.append(record)
    return found


def _accounted(fields: dict[str, str]) -> Accounted | None:
    try:
        task = fields["taskid"]
        number, _, reason = fields["failed"].partition(":")
        return Accounted(
            id=fields["jobnumber"],
            job=int(task) - 1 if task.isdigit() else 0,
            failed=int(number.split()[0]),
            reason=reason.strip(),
            status=int(fields["exit_status"].split()[0]),
            host=fields.get("hostname", ""),
            owner_of_deletion=fields.get("deleted_by", ""),  # Univa's and Altair's
        )
    except (KeyError, ValueError, IndexError):
        return None


def ending(record: Accounted) -> Ending:
    """Why a job ended."""
    host = record.host if record.host != "UNKNOWN" else ""
    at = f" (on {host})" if host else ""
    if record.failed == TIME_LIMIT:
        return Ending(f"time limit exceeded{at}: raise resources.walltime_minutes")
    if record.failed == 100 and record.status == 137:
        by = f" by {record.owner_of_deletion}" if record.owner_of_deletion not in ("", "NONE") else ""
        return Ending(f"deleted from the queue{by} or killed, perhaps because of its memory{at}")
    if record.failed in (0, 100):
        return Ending(cause(record.status, host), host=blamed(record.status, host))
    words = CAUSES.get(record.failed, "{why}").format(why=record.reason or f"reason {record.failed}")
    return Ending(f"{words}{at}", host=host if host and record.failed in HOST_FAULTS else None)


def limits(stdout: str, queues: str = "", hosts: str = "") -> Limits:
    """What the site allows.

    Parameters
    ----------
    stdout : str
        Answer of `qconf -sconf`, where 0 means unlimited.
    queues : str
        Answer of `qconf -sq` about the queues that a job may go to: the largest of their limits counts.
    hosts : str
        Answer of `qhost`.
    """
    fields = dict(re.findall(r"^(max_\w+)[ \t]+([0-9]{1,9})\b", stdout, flags=re.MULTILINE))
    times = [minutes_of(text) for text in re.findall(r"^h_rt[ \t]+([^\s,]+)", queues, flags=re.MULTILINE)]
    totals = re.findall(
        r"^\S+[ \t]+\S+(?:[ \t]+[\d-]+){1,4}[ \t]+\S+[ \t]+([\d.]+)([KMGT])\b", hosts, flags=re.MULTILINE
    )
    known = [minutes for minutes in times if minutes is not None]
    return Limits(
        array_size=int(fields.get("max_aj_tasks", 0)) or None,
        running=int(fields.get("max_aj_instances", 0)) or None,
        walltime_minutes=max(known) if known and len(known) == len(times) else None,
        memory_gb=max((float(number) * GIGABYTES[unit] for number, unit in totals), default=None),
    )


def host_names(stdout: str) -> list[str]:
    """The names of the execution hosts, from `qconf -sel`."""
    return re.findall(r"^([A-Za-z0-9][\w.-]*)[ \t]*$", stdout, flags=re.MULTILINE)


def refused_deletions(answer: Answer) -> str:
    """Errors of `qdel`, without those about jobs that have already ended."""
    lines = f"{answer.stdout}\n{answer.stderr}".splitlines()
    if answer.status == 0:
        return ""
    return "\n".join(line for line in lines if line.strip() and not MISSING.search(line))[:2000]


def verification(answer: Answer) -> Finding:
    """Whether `qsub -w v` or `qsub -w p` accepts a job."""
    output = f"{answer.stdout}\n{answer.stderr}".strip()
    if "found suitable queue" in output:
        return Finding(True, ACCEPTED)
    reasons = [line for line in output.splitlines() if line.strip() not in ("", "Exiting.")]
    advice = re.sub(r"^Unable to run job: ", "", "; ".join(reasons)[:600])
    return Finding(False, ACCEPTED, advice, answered=not NO_QMASTER.search(output))
