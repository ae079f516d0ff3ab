"""Commands that submit tasks again, with the runner that they were queued with: never a grid onto a login
node.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from neurofit.commands import command
from neurofit.experiments.grids.selection import naming, naming_all
from neurofit.experiments.store.submissions import HERE, TaskKey

if TYPE_CHECKING:
    from neurofit.orchestrate.status.standing import Standing

DEFAULT_RUNNER = "local"


def runner_option(runner: Any) -> str | None:
    """What `--backend` has to say to get this runner; None where nothing has to be said."""
    return runner if isinstance(runner, str) and runner not in ("", DEFAULT_RUNNER, HERE) else None


def runner_of(found: Standing, keys: Collection[TaskKey]) -> str | None:
    """The `--backend` that the newest submission of any of these tasks needs; None for the default."""
    wanted = set(keys)
    names = {found.of(key).submission for key in wanted}
    newest = next((part for part in reversed(found.parts) if part.files.name in names), None)
    return runner_option(newest.record.get("runner")) if newest else None


def submit_again(
    name: str, tasks: Collection[TaskKey], *, whole: bool = False, of: int | None = None, **options: Any
) -> str:
    """`neurofit submit exp3:1,4-7 …`: the runs of these tasks, or with `whole` the experiment.

    Parameters
    ----------
    of : repetitions that each run has, so that only some of them are named where only those are meant
    """
    return command("submit", naming_all(name) if whole else naming(name, tasks, of), **options)
