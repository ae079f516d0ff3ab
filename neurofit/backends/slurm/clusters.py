"""Which clusters jobs may go to if a site has several, from a profile, the environment or a script, and where jobs are.

`sbatch --clusters=a,b` gives a job to the cluster that would start it first, and prints that cluster's name. Every
other program has to be asked about that cluster with `-M`.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from neurofit.backends.base import Queued
from neurofit.backends.commands import ask
from neurofit.backends.slurm import answers, programs
from neurofit.errors import QueueError, RunnerError

Thing = TypeVar("Thing")

ALL = "all"  # stands for every cluster that accounting knows
VARIABLES = ("SLURM_CLUSTERS", "SBATCH_CLUSTERS")  # if both are set, sbatch reads the first
NAMES = re.compile(r"[\w.-]+(,[\w.-]+)*", re.ASCII)


def in_options(lines: Iterable[str]) -> str | None:
    """The clusters that options of sbatch name, such as `alpha,beta`; the last such option counts."""
    found, is_next = None, False
    for word in (word for line in lines for word in _words(line)):
        if is_next:
            found, is_next = word, False
        elif word in ("-M", "--clusters", "--cluster"):
            is_next = True
        elif match := re.fullmatch(r"(?:-M|--clusters?=)(\S+)", word):
            found = match[1]
    return found


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # an unclosed quote
        return line.split()


def chosen(directives: Iterable[str], environment: Mapping[str, str]) -> str | None:
    """The clusters that a submission may go to: those of its profile, otherwise of the environment.

    None stands for this host's own cluster.

    Raises
    ------
    RunnerError
        The environment variable is not a list of names.
    """
    named = in_options(directives)
    if named is not None:
        return named
    name = next((name for name in VARIABLES if environment.get(name)), None)
    if name is None:
        return None
    if not NAMES.fullmatch(environment[name]) or environment[name].startswith("-"):
        raise RunnerError(
            f"{name} is {environment[name]!r}, expected names of clusters, for example {name}=beta."
        )
    return environment[name]


def in_script(text: str) -> str | None:
    """The clusters that the options in a script for sbatch name."""
    options = []
    for line in text.splitlines():
        if line.startswith("#SBATCH "):
            options.append(line.removeprefix("#SBATCH "))
        elif line.strip() and not line.startswith("#"):
            break
    return in_options(options)


def of_script(folder: Path) -> str | None:
    """The clusters that the scripts of a submission name."""
    path = next(iter(sorted((folder / "slurm").glob("[0-9]*.sh"))), None)
    try:
        return in_script(path.read_text(errors="replace")) if path else None
    except OSError as error:
        raise QueueError(
            f"{path}: cannot be read ({error.strerror}), so it is not known which cluster has the jobs."
        ) from error


def names(named: str | None) -> tuple[str, ...]:
    """Names of clusters; empty: this host's own.

    Raises
    ------
    QueueError
        All clusters are meant, and accounting cannot be asked for their names.
    """
    if named is None:
        return ()
    if named != ALL:
        return tuple(named.split(","))
    return answers.read_clusters(ask(["sacctmgr", "-nP", "show", "cluster", "format=cluster"]))


def places(entry: Queued) -> tuple[str, ...]:
    """The clusters that a call's jobs may be on; empty: this host's own, unless another one was noted."""
    process = entry.process or {}
    if "clusters" in process:
        return (process["cluster"],) if process["clusters"] else ()
    return names(of_script(entry.folder))  # noted by version 0.1, which assumed this host's own cluster


def grouped(things: Iterable[tuple[Thing, tuple[str, ...]]]) -> dict[str | None, list[Thing]]:
    """Group things by the clusters that they are on. None: this host's own, which needs no accounting."""
    groups: dict[str | None, list[Thing]] = {}
    here = None
    for thing, of_thing in things:
        if of_thing and here is None:
            here = own()
        for name in of_thing or (None,):
            groups.setdefault(None if name == here else name, []).append(thing)
    return groups


def own() -> str:
    """Name of this host's cluster; empty if its controller does not answer."""
    with contextlib.suppress(QueueError):
        return programs.config()["ClusterName"]
    return ""
