"""Why tasks stopped before they were done: what their outcomes say, and how their jobs ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.experiments.store.journal import journals
from neurofit.files import parse_lines
from neurofit.orchestrate.status.logs import tail
from neurofit.orchestrate.status.standing import Part, Standing

_LINES_READ = 3  # of a journal, whose last one says how the job ended


@dataclass(frozen=True)
class JobEnd:
    """How the newest start of a job ended."""

    end: str  # done, stopped, again
    why: str | None = None  # it was not to be started again
    last_words: str = ""  # of its log


@dataclass
class JobEnds:
    """How jobs of an experiment ended; each journal is read once, and only of a job that is asked for."""

    found: Standing
    _newest: dict[str, dict[int, str]] = field(default_factory=dict)
    _ends: dict[tuple[str, int], JobEnd | None] = field(default_factory=dict)

    def of(self, submission: str | None, job: int | None) -> JobEnd | None:
        """None where nothing is known of it."""
        part = next((part for part in self.found.parts if part.files.name == submission), None)
        if part is None or job is None:
            return None
        if (submission, job) not in self._ends:
            self._ends[submission, job] = self._read(part, job)
        return self._ends[submission, job]

    def _read(self, part: Part, job: int) -> JobEnd | None:
        name = part.files.name
        if name not in self._newest:
            self._newest[name] = {
                number: entry.path for (number, _), entry in sorted(journals(part.files).items())
            }
        path = self._newest[name].get(job)
        records = parse_lines(tail(Path(path), _LINES_READ))[0] if path else []
        ended = [record for record in records if isinstance(record.get("end"), str)]
        if not ended:
            return None
        why = ended[-1].get("why")
        lines = tail(part.files.logs / f"{job:06d}.log", 1).decode("utf-8", "replace").strip()
        return JobEnd(ended[-1]["end"], why if isinstance(why, str) else None, lines)


def why_stopped(reason: Any, job: JobEnd | None) -> dict[str, Any]:
    """An error as an outcome has them, of a task that stopped.

    Parameters
    ----------
    reason : of its outcome; none in outcomes of 0.1.0
    job : how its job ended
    """
    known = reason if isinstance(reason, Mapping) else {}
    message = str(known.get("message") or "it was asked to stop")
    if job and job.why:
        return {"kind": "walltime" if known.get("kind") == "walltime" else "stopped", "message": job.why}
    if job and job.end == "again":
        words = f": {job.last_words.removeprefix('neurofit: ')}" if job.last_words else ""
        message = f"{message.rstrip('.')}, and its queue did not start it again{words}"
    return {"kind": "stopped", "message": message}
