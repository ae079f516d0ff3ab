"""Questions to SLURM's programs, and their answers."""

from __future__ import annotations

from collections.abc import Iterable

from neurofit.backends.commands import ask, has
from neurofit.backends.slurm import answers
from neurofit.errors import QueueError

WHOLE_LISTS = {"SLURM_BITSTR_LEN": "0"}  # otherwise SLURM cuts lists of array indices after 64 characters


def config(cluster: str | None = None) -> dict[str, str]:
    """The configuration of a cluster; None: this host's own."""
    return answers.read_config(ask(["scontrol", *answers.of(cluster), "show", "config"]))


def partition(name: str | None, cluster: str | None = None) -> dict[str, str]:
    """The settings of a partition; of the site's default if it is not named."""
    named = [name] if name else []
    return answers.read_partition(ask(["scontrol", *answers.of(cluster), "show", "partition", *named]))


def nodes(name: str | None, cluster: str | None = None) -> list[answers.Node]:
    """The nodes of that partition; empty if SLURM does not list them."""
    try:
        return answers.read_sinfo(ask(answers.sinfo(name, cluster)), name)
    except QueueError:
        return []


def squeue(users: set[str], cluster: str | None = None) -> list[answers.Waiting]:
    """What the queue has of these users."""
    answer = ask(answers.squeue(users, cluster), environment=WHOLE_LISTS)
    return answers.read_squeue(answer, cluster)


def sacct(questions: Iterable[list[str]]) -> list[answers.Accounted]:
    """What accounting answers to these command lines; empty without its program."""
    if not has("sacct"):
        return []
    return [line for words in questions for line in answers.read_sacct(ask(words, environment=WHOLE_LISTS))]
