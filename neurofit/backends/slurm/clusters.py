"""Which clusters jobs may go to if a site has several: from a profile, the environment or a script. Pure functions.

`sbatch --clusters=a,b` gives a job to the cluster that would start it first, and prints that cluster's name. Every
other program has to be asked about that cluster with `-M`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from neurofit.errors import RunnerError

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
