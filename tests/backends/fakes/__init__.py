"""Fake programs on PATH, inert until a test says what they answer."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

PROGRAM = Path(__file__).with_name("program")


class Fakes:
    """Programs of these names, in front of everything else on PATH."""

    def __init__(self, folder: Path, monkeypatch, names: list[str]) -> None:
        self.state = folder / "answers"
        programs = folder / "bin"
        for made in (self.state, programs):
            made.mkdir(parents=True)
        for name in names:
            (programs / name).symlink_to(PROGRAM)
        monkeypatch.setenv("FAKES", str(self.state))
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def say(
        self,
        name: str,
        stdout: str = "",
        *,
        stderr: str = "",
        status: int = 0,
        seconds: float = 0,
        call: int | None = None,
        cluster: str | None = None,
    ) -> None:
        """What a program answers: always, or at its Nth call; about this host's own cluster, or another
        one.
        """
        prefix = name if cluster is None else f"{name}@{cluster}"
        prefix = prefix if call is None else f"{prefix}.{call}"
        for part, value in {"stdout": stdout, "stderr": stderr, "status": status, "seconds": seconds}.items():
            (self.state / f"{prefix}.{part}").write_text(str(value))

    def has_answered(self, name: str) -> bool:
        """Whether a program got as far as its answer: its time was over, and nobody had ended it."""
        return (self.state / f"{name}.answered").exists()

    def calls(self, name: str) -> list[list[str]]:
        """The words of each call so far."""
        path = self.state / f"{name}.calls"
        return [shlex.split(line) for line in path.read_text().splitlines()] if path.exists() else []
