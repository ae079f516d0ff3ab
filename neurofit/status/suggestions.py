"""Commands that submit tasks again, with the runner that they were queued with: never a grid onto a login
node.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from neurofit.experiments.selector import naming, naming_all
from neurofit.store.submissions import HERE, TaskKey
from neurofit.text import command

DEFAULT_RUNNER = "local"


def runner_option(runner: Any) -> str | None:
    """What `--backend` has to say to get this runner; None where nothing has to be said."""
    return runner if isinstance(runner, str) and runner not in ("", DEFAULT_RUNNER, HERE) else None


def submit_again(
    name: str, tasks: Collection[TaskKey], *, whole: bool = False, of: int | None = None, **options: Any
) -> str:
    """`neurofit submit exp3:1,4-7 …`: the runs of these tasks, or with `whole` the experiment.

    Parameters
    ----------
    of : repetitions that each run has, so that only some of them are named where only those are meant
    """
    return command("submit", naming_all(name) if whole else naming(name, tasks, of), **options)
