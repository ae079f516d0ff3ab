"""Whose a process, a file or a queued job is."""

from __future__ import annotations

import contextlib
import os
import pwd
from pathlib import Path

from neurofit.backends.base import Queued


def me() -> str:
    """This process's user; the number, where it has no name."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def owner(path: Path) -> str:
    """Who made a file; this process's user, where that cannot be seen."""
    with contextlib.suppress(KeyError, OSError):
        return path.owner()
    return me()


def submitter(entry: Queued, script: str) -> str:
    """Who queued this: as was noted, else who made the submission's script."""
    return (entry.process or {}).get("user") or owner(entry.folder / script)
