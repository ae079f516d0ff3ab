"""SLURM's states and reasons in plain words: why a job waits, and how it ended."""

from __future__ import annotations

import contextlib
import pwd
import re

from neurofit.backends import job_script
from neurofit.backends.base import Ending
from neurofit.backends.job_script import DISK_FULL
from neurofit.exit_codes import DAMAGED, NO_DEVICE, NO_FOLDER, NO_LOG, NO_ROOM, START_AGAIN, UNMET

# squeue(1), JOB STATE CODES: jobs in these states have ended; in any other state, they are still there
ENDED = frozenset(
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
HOST_FAULTS = frozenset({"BOOT_FAIL", "LAUNCH_FAILED", "NODE_FAIL", "RECONFIG_FAIL"})
RUNNING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})

# squeue(1), JOB REASON CODES
REASONS = {
    "None": "",
    "Resources": "waiting for free resources",
    "Priority": "jobs of higher priority come first",
    "JobArrayTaskLimit": "as many jobs are running as max_running allows",
    "BeginTime": "will be started again soon",
    "Dependency": "waiting for another job",
    "DependencyNeverSatisfied": "can never run: the job that it depends on failed; cancel it",
    "JobHeldUser": "held by its user; `scontrol release` releases it",
    "JobHeldAdmin": "held by the administrators of the cluster; ask them",
    "job requeued in held state": "held after an error; `scontrol release` releases it",
    "launch failed requeued held": "held because it could not be started; `scontrol release` tries again",
    "PartitionConfig": "can never run: it asks for more than its partition has",
    "PartitionNodeLimit": "can never run as it is: it asks for more nodes than its partition allows",
    "PartitionTimeLimit": "can never run as it is: its walltime exceeds the limit of its partition",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is inactive",
    "BadConstraints": "can never run: no node has what it asks for",
    "InvalidAccount": "can never run: its account is not valid",
    "InvalidQOS": "can never run: its QOS is not valid",
    "AccountNotAllowed": "can never run: its account may not use this partition",
    "QOSNotAllowed": "can never run: its QOS may not be used here",
    "NodeDown": "its node is down",
    "ReqNodeNotAvail": "waiting for a node that is not available",
    "Reservation": "waiting for its reservation",
    "Licenses": "waiting for a licence",
    "Prolog": "its node is being prepared",
    "Cleaning": "its node is cleaning up after the previous start",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": (
        "waiting for nodes that are down, drained or reserved"
    ),
}
NEVER = "can never run"


def reason(code: str, id: str = "", cluster: str | None = None) -> str:
    """Why a job waits; a reason code without an entry in REASONS is returned as it is.

    Parameters
    ----------
    code : str
        SLURM's reason code.
    id, cluster : str
        Of the job, for the command that releases it.
    """
    code = code.strip().strip("()")
    known = REASONS.get(code, REASONS.get(code.partition(",")[0]))
    if known is not None:
        words = ["scontrol", *(["-M", cluster] if cluster else []), "release", *([id] if id else [])]
        text = known.replace("`scontrol release`", f"`{' '.join(words)}`")
        return text if code in REASONS else f"{text} ({code})"
    if re.match(r"(QOS|Assoc)(Max|Grp)\w*PerJob", code):
        return f"{NEVER} as it is: it asks for more than is allowed ({code})"
    if re.match(r"(QOS|Assoc)(Max|Grp)", code):
        return f"waiting for running jobs of its user, account or QOS to end ({code})"
    return code


def ending(state: str, code: str, node: str) -> Ending | None:
    """How a job ended; None if it has not ended.

    Parameters
    ----------
    state, code, node : str
        State, ExitCode (`status:signal`) and NodeList as sacct prints them.
    """
    word, *rest = state.split() or [""]
    status, _, number = code.partition(":")
    if word not in ENDED and word != "PREEMPTED":
        return None
    where = f" on {node}" if node and node != "None assigned" else ""
    causes = {
        "COMPLETED": None,
        "OUT_OF_MEMORY": f"memory limit exceeded{where}: raise resources.memory_gb",
        "TIMEOUT": f"time limit exceeded{where}: raise resources.walltime_minutes",
        "NODE_FAIL": f"its node failed ({node})",
        "BOOT_FAIL": f"its node did not start ({node})",
        "PREEMPTED": "preempted by jobs of higher priority",
        "DEADLINE": "its deadline passed before it ran",
        "CANCELLED": f"cancelled by {_user_name(rest[-1])}" if rest else "cancelled",
        "FAILED": _failure(status, number, where),
    }
    of_host = word in HOST_FAULTS or (word == "FAILED" and _is_of_host(status, number))
    blamed = node if of_host and where else None
    return Ending(causes.get(word, f"SLURM reports {state}{where}"), host=blamed)


def _is_of_host(status: str, number: str) -> bool:
    """Whether a job with state FAILED ended because of its host, from its exit status and signal."""
    if number not in ("", "0"):
        return (status, number) == ("0", "53")
    return status.isdecimal() and int(status) in job_script.HOST_FAULTS


def _user_name(word: str) -> str:
    with contextlib.suppress(KeyError, ValueError):
        return pwd.getpwuid(int(word)).pw_name
    return f"user {word}"


def _failure(status: str, number: str, where: str) -> str | None:
    """Why a job with state FAILED ended, from its exit status and signal."""
    if number not in ("", "0"):
        if (status, number) == ("0", "53"):  # the step daemon's own
            return f"its output could not be opened{where}: check that this node sees the submission's logs/"
        return f"killed by signal {number}{where}"
    causes = {
        UNMET: None,  # its tasks are as they were
        NO_FOLDER: f"the submission's folder could not be entered{where}: check that nodes see this file system",
        NO_LOG: f"its log could not be written{where}; the disk or your quota may be full",
        DAMAGED: f"a file of its submission is damaged{where}; see its log",
        NO_ROOM: f"{DISK_FULL}{where}",
        NO_DEVICE: f"{job_script.CAUSES[NO_DEVICE]}{where}",
        START_AGAIN: f"it asked to be started again, and the queue refused{where}",
        127: f"a program was not found{where}, perhaps the Python interpreter; see its log",
    }
    with contextlib.suppress(ValueError, KeyError):
        return causes[int(status)]
    return f"it exited with status {status}{where} outside its tasks; see its log"
