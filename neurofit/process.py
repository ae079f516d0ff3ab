"""The identity of processes, whether they still run, and their memory, as far as the kernel of this host knows.

A process number is valid within one boot of one kernel and one process namespace: containers have their own
numbers, two machines may have the same name, and the name of a machine may change. If a number is not valid
here, or `/proc` hides the process, the answer is None, and callers decide by the heartbeat.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import resource
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PROC = Path("/proc")
FIRST_NAMESPACE = "4026531836"  # the kernel's number for the process namespace outside containers
GONE = -1
UNLIMITED = 1 << 50  # control groups without a limit give a number beyond this [bytes]


@cache
def _machine() -> tuple[str, str, str]:
    """Its name, its boot with the process namespace, and an identity that survives a restart."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()[:13]
        boot += f"/{os.stat(PROC / 'self/ns/pid').st_ino}"  # containers have their own process numbers
    except OSError:
        boot = ""
    try:
        identity = hashlib.sha256(Path("/etc/machine-id").read_bytes()).hexdigest()[:12]
    except OSError:
        identity = ""
    return os.uname().nodename, boot, identity


def same_machine(host: str, machine: str | None) -> bool:
    """Whether a record's host is this one; records of 0.1.0 have only the name."""
    name, _, identity = _machine()
    return host == name and machine in (None, "", identity)


def machine() -> str:
    """An identity of this machine that survives a restart; empty if it has none."""
    return _machine()[2]


def user() -> str:
    """The name of the user of this process, or "unknown"."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def who() -> dict[str, str]:
    """Host and user, for records that say who wrote them."""
    return {"host": os.uname().nodename, "user": user()}


def _started(pid: int, proc: Path = PROC) -> int | None:
    """When a process started, in clock ticks since boot, which differs if its number is used again.

    GONE if there is no such process; None if this user may not see when it started (`hidepid`, no `/proc`).
    """
    try:
        if os.readlink(proc / "self") != str(os.getpid()):
            raise PermissionError  # /proc shows the numbers of another namespace
        with open(proc / str(pid) / "stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return GONE if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)  # the kernel knows whether it exists even if `/proc` hides it
    except (ProcessLookupError, OverflowError):
        return GONE
    except OSError:
        pass
    return None


@dataclass(frozen=True)
class Process:
    """A process, distinct from all processes of other hosts and from later ones with the same number."""

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
        """Whether it still runs; None if this host cannot know."""
        host, boot, identity = _machine()
        if not boot or not self.boot or not isinstance(self.pid, int) or self.pid < 1:
            return None
        (booted, _, namespace), (theirs, _, their_namespace) = boot.partition("/"), self.boot.partition("/")
        if theirs == booted:  # the same kernel, even if its host was renamed
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
    """Whether this is a record that `Process.from_record` accepts."""
    if not isinstance(record, dict):
        return False
    texts = all(isinstance(record.get(name), str) for name in ("host", "boot"))
    texts = texts and isinstance(record.get("machine", ""), str)
    return texts and all(
        type(record.get(name)) is int and 0 <= record[name] < 2**63 for name in ("pid", "started")
    )


def memory_limit(proc: Path = PROC, groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """This process's memory limit, its own or that of its control groups, in bytes; None if there is none."""
    limits = [resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    limits = [limit for limit in limits if limit != resource.RLIM_INFINITY]
    least = min(limits + _of_control_groups(proc, groups), default=UNLIMITED)
    return None if least >= UNLIMITED else least


def memory_used(proc: Path = PROC) -> int:
    """Resident memory of this process, in bytes; 0 if the kernel does not say."""
    try:
        pages = int((proc / "self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()


def memory_available(proc: Path = PROC, groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """How many more bytes this process can take: up to its limit, and of what is free on its host.

    None if there is no limit and the kernel does not say. Memory of other processes in the same control group
    is not known and not subtracted from the limit.
    """
    rooms = []
    limit = memory_limit(proc, groups)
    if limit is not None:
        rooms.append(max(limit - memory_used(proc), 0))
    return min(rooms + _of_host("MemAvailable", proc), default=None)


def memory_total(proc: Path = PROC, groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The memory of this host, or this process's limit if that is less, in bytes; None if the kernel does not say."""
    limit = memory_limit(proc, groups)
    rooms = [] if limit is None else [limit]
    return min(rooms + _of_host("MemTotal", proc), default=None)


def _of_host(name: str, proc: Path) -> list[int]:
    """An entry of the kernel's list of memory, in bytes; empty if it has none."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                found.append(int(line.split()[1]) * 1024)
    return found


def _of_control_groups(proc: Path, groups: Path) -> list[int]:
    found = []
    try:
        lines = [line.split(":", 2) for line in (proc / "self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    for _, controllers, name in lines:
        if controllers and "memory" not in controllers.split(","):
            continue
        root = groups / "memory" if controllers else groups
        file = "memory.limit_in_bytes" if controllers else "memory.max"
        own = root / name.lstrip("/")
        for folder in (own, *own.parents):
            with contextlib.suppress(OSError, ValueError):
                found.append(int((folder / file).read_text()))  # "max" is not a number
            if folder == root:
                break
    return found
