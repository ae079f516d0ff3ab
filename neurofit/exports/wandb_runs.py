"""Tasks as offline runs of Weights & Biases, which `wandb sync` takes; written by the package wandb alone."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from neurofit.exports.quiet import without_traces
from neurofit.exports.records import TaskRecord, by_step
from neurofit.store.state import State

FOLDER = "wandb"  # which wandb makes in the folder that it is given
QUIET = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
_LONGEST_TAG = 64
_STATES = {State.DONE: 0, State.RUNNING: 0}


def write(folder: Path, tasks: Sequence[TaskRecord], final: Path, progress: Callable[[int], None]) -> None:
    """Write a folder `wandb/offline-run-…` per task, in a project per experiment and a group per run.

    The id of a run depends on the task and its attempt alone, so that a second export of it is the same run.

    Parameters
    ----------
    folder : Path
    tasks : sequence of TaskRecord
    final : Path
        Where the folder will be; runs do not depend on it.
    progress : callable
        Called with the number of tasks that are written.
    """
    with without_traces("WANDB_", QUIET, folder) as home:
        places = {f"WANDB_{name}_DIR": str(home) for name in ("CACHE", "CONFIG", "DATA", "ARTIFACT")}
        os.environ.update(places)
        import wandb

        try:
            for done, task in enumerate(tasks, start=1):
                _write_task(wandb, folder, task)
                progress(done)
        finally:
            wandb.teardown()  # ends the process that writes, once all is written
    for path in (folder / FOLDER).iterdir():
        if path.is_symlink() or path.is_file():  # the newest run and logs of this writing
            path.unlink()
    for path in (folder / FOLDER).glob("offline-run-*/*"):
        if path.is_dir() and path.name in ("tmp", "logs"):
            shutil.rmtree(path)


def _write_task(wandb: Any, folder: Path, task: TaskRecord) -> None:
    settings = wandb.Settings(
        mode="offline",
        console="off",
        disable_code=True,
        disable_git=True,
        silent=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        x_update_finish_state=task.state != State.RUNNING,
        x_start_time=task.started,
    )
    run = wandb.init(
        project=re.sub(r"[/\\#?%:]", "-", task.experiment)[:128],
        id=_id(task),
        name=task.selector,
        group=f"{task.experiment}:{task.run}",
        tags=[one[:_LONGEST_TAG] for one in (task.experiment, task.state)],
        notes=task.origin.get("error"),
        config={**task.arguments, "neurofit": task.origin},
        dir=str(folder),
        reinit="create_new",
        settings=settings,
    )
    for step, numbers in by_step(task):
        run.log(numbers, step=step)
    run.summary.update({**task.metrics, "facts": task.facts})
    run.finish(exit_code=_STATES.get(State(task.state), 1))


def _id(task: TaskRecord) -> str:
    known = f"{task.experiment}/{task.id}/{task.repetition}/{task.attempt}"
    return hashlib.sha256(known.encode()).hexdigest()[:16]
