"""The programs that an export can be for, and what each needs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofit.errors import (
    MissingExtra,
    NeurofitError,
    StoreError,
    UsageError,
    described,
    install,
    is_installed,
)
from neurofit.exports import mlflow_store, place, tensorboard_logs, wandb_runs
from neurofit.exports.records import TaskRecord

Write = Callable[[Path, Sequence[TaskRecord], Path, Callable[[int], None]], None]


@dataclass(frozen=True)
class Format:
    """One program.

    Parameters
    ----------
    needs : tuple of str
        Modules that are imported to write it.
    extra : str
        The extra that installs them.
    write : callable
    open : str
        The command that opens an export, with {folder}.
    """

    needs: tuple[str, ...]
    extra: str
    write: Write
    open: str


FORMATS = {
    "tensorboard-hparams": Format(
        ("tensorboard",), "tensorboard", tensorboard_logs.write, "tensorboard --logdir {folder}"
    ),
    "mlflow": Format(
        ("mlflow", "sqlalchemy", "alembic"),
        "mlflow",
        mlflow_store.write,
        f"mlflow ui --backend-store-uri sqlite:///{{folder}}/{mlflow_store.FILE}",
    ),
    "wandb": Format(
        ("wandb",), "wandb", wandb_runs.write, f"wandb sync {{folder}}/{wandb_runs.FOLDER}/offline-run-*"
    ),
}


def require(kind: str) -> None:
    """Check that the libraries of a format are installed.

    Raises
    ------
    MissingExtra
    """
    wanted = FORMATS[kind]
    missing = [name for name in wanted.needs if not is_installed(name)]
    if missing:
        raise MissingExtra(
            f"An export to {kind} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            f"installed: {install(wanted.extra)}.",
            name=missing[0],
        )


def export(
    kind: str, tasks: Sequence[TaskRecord], path: Path, progress: Callable[[int], None] = lambda done: None
) -> str:
    """Write tasks for a program into a folder, whole or not at all.

    Parameters
    ----------
    kind : str
        One of FORMATS.
    tasks : sequence of TaskRecord
    path : Path
        As `place.check` accepted it.
    progress : callable, optional
        Called with the number of tasks that are written.

    Returns
    -------
    str
        The command that opens it.

    Raises
    ------
    UsageError
        There is no task.
    StoreError
        The folder cannot be written, or the library of the format fails.
    """
    if not tasks:
        raise UsageError("None of the selected tasks has started, so there is nothing to export.")
    about = {
        "format": 1,
        "to": kind,
        "tasks": len(tasks),
        "experiments": sorted({one.experiment for one in tasks}),
    }
    with place.written(path, about) as folder:
        try:
            FORMATS[kind].write(folder, tasks, path.resolve(), progress)
        except (NeurofitError, OSError):
            raise
        except Exception as error:  # of another project's library
            raise StoreError(
                f"{path}: the installed libraries for {kind} cannot write it: {described(error)}. Nothing was kept."
            ) from error
    return FORMATS[kind].open.format(folder=shlex.quote(str(path)))
