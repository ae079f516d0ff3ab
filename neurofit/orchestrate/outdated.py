"""Tasks that were done with other code or data than the study has now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from neurofit.errors import NeurofitError, StoreError
from neurofit.experiments import snapshot
from neurofit.status.experiment_status import ExperimentStatus, TaskStatus
from neurofit.store import inputs
from neurofit.store.state import State
from neurofit.store.submissions import TaskKey
from neurofit.study import Study
from neurofit.text import command


@dataclass(frozen=True)
class Outdated:
    """How many of the tasks that are done used other code or data than the study has now."""

    done: int = 0
    code: int = 0
    data: int = 0
    either: int = 0
    changed: tuple[str, ...] = ()  # data files that changed

    @property
    def what(self) -> str:
        """'other code', 'other data', or 'other code or data'."""
        kinds = [kind for kind, number in (("code", self.code), ("data", self.data)) if number]
        return f"other {' or '.join(kinds)}"

    def sentence(self, selector: str) -> str | None:
        """A note for the user, or None if nothing is outdated.

        Parameters
        ----------
        selector : str
            Names these tasks in the suggested command.
        """
        if not self.either:
            return None
        more = f" and {len(self.changed) - 1} more" if len(self.changed) > 1 else ""
        files = f" (changed: {self.changed[0]}{more})" if self.changed else ""
        return (
            f"{self.either:,} of {self.done:,} tasks that are done used {self.what} than the study has now{files}. "
            f"`{command('submit', selector, rerun=True)}` runs them again."
        )


def outdated(study: Study, tasks: Iterable[TaskStatus], code: str | None) -> Outdated:
    """Compare the attempts that count with the study as it is now.

    Each data file is hashed at most once. A file that is missing now is not compared.

    Parameters
    ----------
    code : str or None
        Hash of the experiment's code now (`code_now`). None: unknown, so code is not compared.
    """
    digests: dict[str, str | None] = {}
    with_code = with_data = either = done = 0
    changed: dict[str, None] = {}
    for used, number in _alike(tasks):
        other_code = code is not None and used.code not in (None, code)
        other_data = [
            name
            for name, digest in (used.inputs or {}).items()
            if _digest_now(study, name, digests) not in (None, digest)
        ]
        changed.update(dict.fromkeys(other_data))
        done += number
        with_code, with_data = with_code + number * other_code, with_data + number * bool(other_data)
        either += number * (other_code or bool(other_data))
    return Outdated(done, with_code, with_data, either, tuple(changed))


def _alike(tasks: Iterable[TaskStatus]) -> list[tuple[TaskStatus, int]]:
    """Attempts that count, one for each code and data that were used, in their order; and how many have used these."""
    counted = [one for task in tasks if (one := task if task.state is State.DONE else task.result)]
    # equal data that are two objects are compared twice, which does no harm
    used = [(one.code, id(one.inputs)) for one in counted]
    numbers, first = Counter(used), dict(zip(reversed(used), reversed(counted)))
    return [(first[what], number) for what, number in numbers.items()]


def _digest_now(study: Study, name: str, digests: dict[str, str | None]) -> str | None:
    if name not in digests:
        try:
            digests[name] = inputs.digest(study.root / name)
        except (OSError, ValueError, StoreError):
            digests[name] = None
    return digests[name]


def code_now(study: Study, name: str) -> str | None:
    """Hash of an experiment's code as it is now; None if the script is missing or unreadable.

    Does not load the script.
    """
    path = study.jobs / f"{name}.py"
    try:
        return snapshot.code_hash(study.root, path) if path.is_file() else None
    except (NeurofitError, OSError):
        return None


def outdated_now(study: Study, status: ExperimentStatus, keys: Collection[TaskKey]) -> Outdated:
    """`outdated` for an experiment whose script is not loaded."""
    tasks = status.of_each(keys)
    has_results = any(task.counted for task in tasks)
    return outdated(study, tasks, code_now(study, status.name) if has_results else None)
