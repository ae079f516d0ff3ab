"""Tasks as TensorBoard logs with arguments for its page HPARAMS; written with the package tensorboard alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurofit.exports.records import TaskRecord, as_text, by_step
from neurofit.store.state import State

OWN = "neurofit."  # before the names of what is no argument


def write(folder: Path, tasks: Sequence[TaskRecord], final: Path, progress: Callable[[int], None]) -> None:
    """Write a log per task, `EXPERIMENT/run-17/rep-3/`, and the ranges of all arguments in the folder itself.

    Parameters
    ----------
    folder : Path
    tasks : sequence of TaskRecord
    final : Path
        Where the folder will be; logs do not depend on it.
    progress : callable
        Called with the number of tasks that are written.
    """
    from tensorboard.plugins.hparams import summary_v2 as hp

    arguments = _aligned([_named(one) for one in tasks])
    names = dict.fromkeys(name for values in arguments for name in values)
    metrics = dict.fromkeys(name for one in tasks for name in one.metrics)
    hparams = [
        hp.HParam(name, _domain(hp, [values[name] for values in arguments if name in values]))
        for name in names
    ]
    with _log(folder, time.time()) as add:
        add(hp.hparams_config_pb(hparams, [hp.Metric(name, display_name=name) for name in metrics]), 0)
    for done, (task, values) in enumerate(zip(tasks, arguments), start=1):
        _write_task(folder, task, values)
        progress(done)


def _write_task(folder: Path, task: TaskRecord, values: Mapping[str, Any]) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, summary_v2 as hp

    when = task.started or task.ended or time.time()
    with _log(folder / task.experiment / f"run-{task.run}" / f"rep-{task.repetition}", when) as add:
        add(hp.hparams_pb(dict(values), trial_id=task.selector, start_time_secs=when), 0)
        for step, numbers in by_step(task):
            add(
                Summary(value=[Summary.Value(tag=name, simple_value=one) for name, one in numbers.items()]),
                step,
            )
        last = max((points[-1][0] for points in task.curves.values() if points), default=0)
        add(
            Summary(value=[Summary.Value(tag=name, simple_value=one) for name, one in task.metrics.items()]),
            last,
        )
        for name, text in (
            ("facts", as_text(task.facts) if task.facts else ""),
            ("error", task.origin.get("error", "")),
        ):
            if text:
                add(_text(f"{OWN}{name}", text), 0)
        if task.state != State.RUNNING:
            known = {State.DONE: api_pb2.STATUS_SUCCESS, State.STOPPED: api_pb2.STATUS_UNKNOWN}
            status = known.get(State(task.state), api_pb2.STATUS_FAILURE)
            add(_end(status, task.ended or when), 0)


def _named(task: TaskRecord) -> dict[str, Any]:
    own = {f"{OWN}{name}": task.origin.get(name) for name in ("experiment", "id", "state", "code")}
    numbers = {f"{OWN}run": task.run, f"{OWN}repetition": task.repetition, f"{OWN}attempt": task.attempt}
    return {**task.arguments, **numbers, **{name: value for name, value in own.items() if value is not None}}


def _aligned(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The arguments with values of one kind each, all numbers, all booleans or all text, as HPARAMS needs them."""
    kinds: dict[str, set[type]] = {}
    for values in tasks:
        for name, value in values.items():
            kinds.setdefault(name, set()).add(float if type(value) is int else type(value))
    plain = {name for name, found in kinds.items() if len(found) == 1 and found <= {float, bool, str}}
    return [
        {name: value if name in plain else as_text(value) for name, value in values.items()}
        for values in tasks
    ]


def _domain(hp: Any, values: Sequence[Any]) -> Any:
    if isinstance(values[0], float | int) and not isinstance(values[0], bool):
        return hp.RealInterval(float(min(values)), float(max(values)))
    return hp.Discrete(sorted(set(values)))


def _end(status: int, when: float) -> Any:
    """The end of a session; the function that tensorboard has for it needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=when)
    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    tag = metadata.SESSION_END_INFO_TAG
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])


def _text(name: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    block = "\n".join(f"    {line}" for line in text.splitlines())  # as it is, and not as Markdown
    metadata = create_summary_metadata(display_name=name, description="")
    tensor = make_tensor_proto([block.encode()])
    return Summary(value=[Summary.Value(tag=name, metadata=metadata, tensor=tensor)])


@contextmanager
def _log(folder: Path, when: float) -> Iterator[Callable[[Any, int], None]]:
    """An event file: `add(summary, step)`."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"events.out.tfevents.{int(when)}.neurofit", "wb") as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=when, file_version="brain.Event:2").SerializeToString())
        yield lambda summary, step: records.write(
            Event(wall_time=when, step=step, summary=summary).SerializeToString()
        )
        records.flush()
