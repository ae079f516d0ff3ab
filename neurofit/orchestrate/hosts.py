"""Hosts that a submit leaves out, because tasks died there again and again and the host was to blame."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from neurofit.backends.base import Host
from neurofit.backends.runner import Runner
from neurofit.errors import QueueError
from neurofit.store.hosts import HostRecord, read_hosts
from neurofit.study import Study
from neurofit.text import count, roughly


@dataclass(frozen=True)
class Exclusion:
    """A runner without the hosts that are left out, and what is said about them."""

    runner: Runner
    hosts: tuple[str, ...] = ()  # that are left out, as the queue names them
    sentences: tuple[str, ...] = ()


def exclusion(study: Study, runner: Runner) -> Exclusion:
    """The runner without the hosts on which three tasks died within a day because of the host, for a day.

    The queue is asked for its hosts only if there are such hosts: others than its own would make it refuse the jobs.
    If all of its hosts are such, none is left out.
    """
    now = time.time()
    bad = [host for host in read_hosts(study) if host.backend == runner.kind and host.is_excluded(now)]
    if not bad:
        return Exclusion(runner)
    try:
        known = runner.backend.hosts()
    except QueueError:
        known = []
    named = {name: host for host in bad if (name := _named(host.name, known))}
    backend = runner.backend.without_hosts(tuple(named))
    if backend is None or not known:
        return Exclusion(
            runner, sentences=tuple(f"{_what(host)} This runner cannot leave out a host." for host in bad)
        )
    if named.keys() >= {host.name for host in known}:
        every = ", ".join(named)
        sentence = (
            f"Jobs died on every host of this queue ({every}), so none is left out: is the study on a disk that they "
            "share? `neurofit runners hosts` lists the causes."
        )
        return Exclusion(runner, sentences=(sentence,))
    sentences = tuple(
        f"{_what(host)} It is left out for another {roughly(until - now)}; --no-exclude uses it."
        for host in named.values()
        if (until := host.excluded_until) is not None
    )
    return Exclusion(replace(runner, backend=backend), tuple(named), sentences)


def of_hosts(study: Study) -> list[dict[str, Any]]:
    """The hosts on which jobs died because of the host, the newest death first."""
    now = time.time()
    records: list[dict[str, Any]] = [
        {
            "host": host.name,
            "queue": host.backend,
            "deaths": len(host.deaths),
            "cause": host.deaths[-1].cause,
            "experiments": sorted({death.experiment for death in host.deaths}),
            "seconds_ago": round(max(now - host.deaths[-1].t, 0.0), 1),
            "excluded_seconds": round(max((host.excluded_until or 0.0) - now, 0.0), 1),
        }
        for host in read_hosts(study)
    ]
    return sorted(records, key=lambda record: record["seconds_ago"])


def _what(host: HostRecord) -> str:
    return f"{count(len(host.deaths), 'job')} died on {host.name}: {host.deaths[-1].cause}."


def _named(name: str, known: Collection[Host]) -> str | None:
    """The queue's name of a host; None if the queue has no such host, or several."""
    if name in {host.name for host in known}:
        return name
    found = [host.name for host in known if _short(name) in (_short(host.name), _short(host.hostname))]
    return found[0] if len(found) == 1 else None


def _short(name: str) -> str:
    return name.partition(".")[0]
