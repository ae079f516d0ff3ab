"""The processes of a local pool, for tests that kill them."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def family(pool: int) -> dict[str, list[int]]:
    """Everything below a pool: its fork server, the workers, their children."""
    servers = children(pool)
    workers = [pid for server in servers for pid in children(server)]
    return {
        "pool": [pool],
        "server": servers,
        "worker": workers,
        "child": [pid for one in workers for pid in children(one)],
    }


def kill_one(pool: int, kind: str, generator: random.Random) -> bool:
    """Kill -9 one process of this kind below a pool; False if there is none."""
    victims = family(pool)[kind]
    if not victims:
        return False
    try:
        os.kill(generator.choice(victims), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
