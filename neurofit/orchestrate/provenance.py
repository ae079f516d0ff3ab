"""The origin of a submission: git commit, host, user, and versions of the packages in use."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import neurofit
from neurofit.process import who

GIT_SECONDS = 5.0


def commit(root: Path) -> tuple[str | None, bool | None]:
    """The commit checked out at `root` and whether tracked files differ from it; None, None outside git."""
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return None, None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return head, None if changes is None else bool(changes)


def _git(root: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def versions() -> dict[str, str]:
    """Versions of the installed packages, without importing them."""
    found = {"python": platform.python_version(), "neurofit": neurofit.__version__}
    for name in ("numpy", "tensorflow", "keras"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def record(root: Path) -> dict[str, Any]:
    head, dirty = commit(root)
    return {**who(), "commit": head, "dirty": dirty, "versions": versions()}
