"""What SLURM's words mean, in ours: why a job waits, and how it ended."""

from __future__ import annotations

import contextlib
import pwd
import re

from neurofit.backends.base import Ending
from neurofit.backends.job_script import DISK_FULL
from neurofit.exit_codes import NO_ROOM

# squeue(1), JOB STATE CODES: these are over, whatever else it says is still there
OVER = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "LAUNCH_FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "RECONFIG_FAIL",
        "REVOKED",
        "TIMEOUT",
    }
)
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
    "launch failed requeued held": "held, because it could not be started: `scontrol release` lets it try "
    "again",
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


def reason(word: str, id: str = "", cluster: str | None = None) -> str:
    """Why a job waits, in words; SLURM's own where we have none.

    Parameters
    ----------
    id, cluster : of the job, for the command that releases it
    """
    word = word.strip().strip("()")
    name = word.partition(",")[0]
    known = REASONS.get(word, REASONS.get(name))
    if known is not None:
        words = ["scontrol", *(["-M", cluster] if cluster else []), "release", *([id] if id else [])]
        said = known.replace("`scontrol release`", f"`{' '.join(words)}`")
        return said if word in REASONS else f"{said} ({word})"
    if re.match(r"(QOS|Assoc)(Max|Grp)\w*PerJob", word):
        return f"{NEVER} as it is: it asks for more than is allowed ({word})"
    if re.match(r"(QOS|Assoc)(Max|Grp)", word):
        return f"waits until less of its user's, account's or QOS's work is running ({word})"
    return word


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
        (
            "0",
            "53",
        ): f"its output could not be opened{where}: is the submission's folder seen there, and its logs/?",
        (
            "66",
            "0",
        ): f"the submission's folder could not be entered{where}: is it on a file system that nodes see?",
        ("67", "0"): f"its log could not be written{where}: is the disk full, or your quota?",
        (str(NO_ROOM), "0"): f"{DISK_FULL}{where}",
        ("99", "0"): f"it was to be started again, and the queue refused{where}",
        ("127", "0"): f"a program was not found{where}, perhaps the interpreter; its log says which",
    }
    if (status, number) in known:
        return known[status, number]
    if number not in ("", "0"):
        return f"its job was ended by signal {number}{where}"
    return f"its job ended with exit code {status}{where} before or beside its tasks; its log says more"
