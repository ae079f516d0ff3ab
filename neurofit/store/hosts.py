"""Hosts on which jobs died because of the host: it failed, lost the study's folder, or had no GPU.

`training_data/.hosts.jsonl` has one line per death, written by the command that first hears of it. A line may be there
twice, if two commands heard of it at once. A death that could not be written costs nothing but its count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from neurofit.errors import NeurofitError
from neurofit.files import append_lines
from neurofit.store.layout import host_deaths
from neurofit.store.records import HostDeathRecord
from neurofit.structure import structured_lines
from neurofit.study import Study
from neurofit.transient import retry

ENOUGH_DEATHS = 3
EXCLUDED_SECONDS = 86400.0
_BYTES_READ = 1_000_000  # the end of the file; some 4,000 deaths


@dataclass(frozen=True)
class HostRecord:
    """A host and what died there."""

    name: str
    backend: str  # the kind of queue
    deaths: tuple[HostDeathRecord, ...]  # oldest first

    @property
    def excluded_until(self) -> float | None:
        """Until when jobs are not sent there, in seconds since 1970; None if it was never excluded.

        That is a day after the last death that was the third or a later one within a day.
        """
        times = [float(death.t) for death in self.deaths]
        counted = zip(times, times[ENOUGH_DEATHS - 1 :])
        last = max((third for first, third in counted if third - first <= EXCLUDED_SECONDS), default=None)
        return None if last is None else last + EXCLUDED_SECONDS

    def is_excluded(self, now: float) -> bool:
        return (self.excluded_until or 0.0) > now


def note_deaths(study: Study, deaths: Iterable[HostDeathRecord]) -> None:
    """Write down deaths; those that are known already are left out."""
    known = {death.key for host in read_hosts(study) for death in host.deaths}
    news = {death.key: death for death in deaths if death.key not in known}
    if news:
        with contextlib.suppress(NeurofitError, OSError):
            append_lines(host_deaths(study), [death.as_object() for death in news.values()])


def read_hosts(study: Study) -> list[HostRecord]:
    """The hosts on which jobs died, by name. Damaged lines are left out."""
    path = host_deaths(study)

    def end() -> bytes:
        with open(path, "rb") as file:
            file.seek(max(file.seek(0, 2) - _BYTES_READ, 0))
            return file.read()

    try:
        lines, _ = structured_lines(retry(end), HostDeathRecord)
    except (OSError, NeurofitError):
        return []
    found: dict[tuple[str, str], dict[object, HostDeathRecord]] = {}
    for line in lines:
        found.setdefault((line.host, line.backend), {}).setdefault(line.key, line)
    return [
        HostRecord(name, backend, tuple(sorted(deaths.values(), key=lambda death: death.t)))
        for (name, backend), deaths in sorted(found.items())
    ]
