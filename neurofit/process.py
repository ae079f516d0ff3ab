"""Which process is this, and is that one still there? Answers only what the kernel of this host can know.

Process numbers mean something within one boot of one kernel and one process namespace: a container has
numbers of its own, two machines may have one name, and a machine's name may change. Where a number says
nothing, or `/proc` hides whose it is, the answer is that it is not known, and whoever asks goes by the
heartbeat.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PROC = Path("/proc")
FIRST_NAMESPACE = "4026531836"  # the kernel's own number for the process namespace that is no container's
GONE = -1


@cache
def _machine() -> tuple[str, str, str]:
    """Name, boot and namespace, and what stays the same when it is booted again."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()[:13]
        boot += f"/{os.stat(PROC / 'self/ns/pid').st_ino}"  # a container has process numbers of its own
    except OSError:
        boot = ""
    try:
        identity = hashlib.sha256(Path("/etc/machine-id").read_bytes()).hexdigest()[:12]
    except OSError:
        identity = ""
    return socket.gethostname(), boot, identity


def same_machine(host: str, machine: str | None) -> bool:
    """Whether a record's host is this one; records of 0.1.0 know only its name."""
    name, _, identity = _machine()
    return host == name and machine in (None, "", identity)


def machine() -> str:
    """A word for this machine that outlives a restart; empty where it has none."""
    return _machine()[2]


def user() -> str:
    """Whose this process is; "unknown" where that has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def who() -> dict[str, str]:
    """Host and user, as records name who wrote them."""
    return {"host": socket.gethostname(), "user": user()}


def _started(pid: int, proc: Path = PROC) -> int | None:
    """Start of the process in clock ticks since boot: a number that is used again starts later. GONE if there
    is no such process; None if there is one of which this user may not see that (`hidepid`, no `/proc`).
    """
    try:
        if os.readlink(proc / "self") != str(os.getpid()):
            raise PermissionError  # the numbers of another namespace
        with open(proc / str(pid) / "stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return GONE if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)  # whatever `/proc` hides, the kernel says whether there is one
    except (ProcessLookupError, OverflowError):
        return GONE
    except OSError:
        pass
    return None


@dataclass(frozen=True)
class Process:
    """A process, told apart from all others on all hosts and from later ones with its number."""

    host: str
    boot: str
    pid: int
    started: int
    machine: str = field(default="", compare=False)  # 0.1.0 did not write it

    @classmethod
    def of(cls, pid: int) -> Process:
        host, boot, identity = _machine()
        return cls(host, boot, pid, max(_started(pid) or 0, 0), identity)

    @classmethod
    def here(cls) -> Process:
        return cls.of(os.getpid())

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Process:
        return cls(
            record["host"], record["boot"], record["pid"], record["started"], record.get("machine") or ""
        )

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def is_alive(self, proc: Path = PROC) -> bool | None:
        """Whether it still runs; None where this host cannot know."""
        host, boot, identity = _machine()
        if not boot or not self.boot or not isinstance(self.pid, int) or self.pid < 1:
            return None
        (booted, _, namespace), (theirs, _, their_namespace) = boot.partition("/"), self.boot.partition("/")
        if theirs == booted:  # one kernel, whatever it is called by now
            return self._runs(proc) if their_namespace == namespace else None
        restarted = self.host == host and self.machine in ("", identity)
        if restarted and namespace == their_namespace == FIRST_NAMESPACE:
            return False
        return None  # another machine, or another container of this name

    def _runs(self, proc: Path) -> bool | None:
        started = _started(self.pid, proc)
        if started == GONE:
            return False
        if started is None or not self.started:
            return None
        return started == self.started


def is_process(record: Any) -> bool:
    """Whether this is what `Process.record` gave, as `Process.from_record` takes it."""
    if not isinstance(record, dict):
        return False
    texts = all(isinstance(record.get(name), str) for name in ("host", "boot"))
    texts = texts and isinstance(record.get("machine", ""), str)
    return texts and all(
        type(record.get(name)) is int and 0 <= record[name] < 2**63 for name in ("pid", "started")
    )
