"""Which process is this, and is that one still there? Answers only for this host, this boot, this process namespace."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _machine() -> tuple[str, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
        boot += f"/{os.stat('/proc/self/ns/pid').st_ino}"  # a container has process numbers of its own
    except OSError:
        boot = ""
    return socket.gethostname(), boot


def _started(pid: int) -> int | None:
    """Start of the process in clock ticks since boot: a number that is used again starts later. None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


@dataclass(frozen=True)
class Process:
    """A process, told apart from all others on all hosts and from later ones with its number."""

    host: str
    boot: str
    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(*_machine(), pid, _started(pid) or 0)

    @classmethod
    def here(cls) -> Process:
        return cls.of(os.getpid())

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Process:
        return cls(record["host"], record["boot"], record["pid"], record["started"])

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def is_alive(self) -> bool | None:
        """Whether it still runs; None where this host cannot know."""
        host, boot = _machine()
        (booted, _, namespace), (theirs, _, their_namespace) = boot.partition("/"), self.boot.partition("/")
        if self.host != host or (theirs == booted and their_namespace != namespace):
            return None  # of another container of this name, process numbers say nothing here
        return theirs == booted and _started(self.pid) == self.started
