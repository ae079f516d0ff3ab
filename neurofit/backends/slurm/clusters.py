"""Which clusters jobs may go to, where a site has several: what a profile, the environment or a script says.
Pure.

`sbatch --clusters=a,b` lets the cluster that would start a job first have it, and answers with its name;
every other program has to be asked about that one with `-M`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from neurofit.errors import RunnerError

ALL = "all"  # sbatch's word for every cluster that the accounting knows
VARIABLES = ("SLURM_CLUSTERS", "SBATCH_CLUSTERS")  # of both, sbatch takes the first
NAMES = re.compile(r"[\w.-]+(,[\w.-]+)*", re.ASCII)


def in_options(lines: Iterable[str]) -> str | None:
    """The clusters that options of sbatch name, `beta` or `alpha,beta`; of several such options the last
    counts.
    """
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
    except ValueError:  # a quote without its other half
        return line.split()


def chosen(directives: Iterable[str], environment: Mapping[str, str]) -> str | None:
    """Where a submission goes: as its profile says, else as the environment does; None: to this host's own
    cluster.

    Raises
    ------
    RunnerError : the environment holds something that is not a list of names
    """
    named = in_options(directives)
    if named is not None:
        return named
    name = next((name for name in VARIABLES if environment.get(name)), None)
    if name is None:
        return None
    if not NAMES.fullmatch(environment[name]) or environment[name].startswith("-"):
        raise RunnerError(f"{name} is {environment[name]!r}, expected names of clusters, e.g. {name}=beta.")
    return environment[name]


def in_script(text: str) -> str | None:
    """The clusters that a script for sbatch names in its options."""
    options = []
    for line in text.splitlines():
        if line.startswith("#SBATCH "):
            options.append(line.removeprefix("#SBATCH "))
        elif line.strip() and not line.startswith("#"):
            break
    return in_options(options)
