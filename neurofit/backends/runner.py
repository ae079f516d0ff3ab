"""Runner profiles: `runners/NAME.yaml` names a backend and its settings for one queue.

backend: local        # or a class in a file beside the profile: mysite.py:MyQueue
workers: 4
resources: {cpus: 1, memory_gb: 4}

A profile is structured into the backend's dataclass by msgspec, from the types of its fields.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import math
import re
import reprlib
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.backends import BUILT_IN, notify
from neurofit.backends.base import Backend, minutes_of
from neurofit.errors import RunnerError, UsageError, described, nearest
from neurofit.text import control_character

BOUNDS: dict[str, tuple[float, float]] = {  # smallest and largest value, by the last part of a setting's name
    "workers": (1, 10_000),
    "max_running": (1, 1_000_000),
    "tasks_per_job": (1, 1_000_000),
    "cpus": (1, 100_000),
    "gpus": (0, 10_000),
    "tasks_per_gpu": (1, 64),
    "gpu_memory_gb": (1 / 1024, 10_000),
    "memory_gb": (1 / 1024, 1_000_000),
    "walltime_minutes": (1 / 60, 5_256_000),  # ten years
    "task_minutes": (1 / 60, 5_256_000),
    "grace_seconds": (0, 31_536_000),
}
LONGEST_NAME = 200  # bytes
TIME_FORMATS = "minutes, H:MM:SS or D-H:MM:SS"
EXAMPLES = {"resources": "expected settings such as {cpus: 1, memory_gb: 4}"}
TYPE_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "NoneType": "null",
    "tuple[str, ...]": "lines of text",
}
BASES = {"0x": 16, "0o": 8, "0b": 2}


@dataclass(frozen=True)
class Runner:
    """A named backend with its settings."""

    name: str
    kind: str  # what the profile calls its backend: "slurm", "mysite.py:MyQueue"
    backend: Backend
    path: Path | None  # None: a built-in backend with its defaults


def names(folder: Path) -> list[str]:
    """Names of the profiles in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml") if is_name(path.stem))


def is_name(name: str) -> bool:
    """Whether a runner may have this name, which becomes part of the names of folders."""
    plain = name.isprintable() and "/" not in name and not name.startswith(".")
    return bool(name) and plain and len(name.encode(errors="replace")) <= LONGEST_NAME


def load(folder: Path, name: str) -> Runner:
    """Load the runner called `name`.

    Parameters
    ----------
    folder : Path
        The study's `runners/`.
    name : str
        A profile in `folder`, or a built-in backend, which then has its defaults.

    Raises
    ------
    RunnerError
        There is no such runner, or its profile is not valid.
    """
    if not is_name(name):
        raise RunnerError(
            f"{_shown(name)} cannot be a runner: expected the name of a file in {folder}, without .yaml. "
            "The name becomes part of file names, so it may not contain '/' or control characters, may not "
            f"start with a dot, and has at most {LONGEST_NAME} bytes."
        )
    path = folder / f"{name}.yaml"
    if path.is_file():
        settings = _read(path)
        kind = settings.pop("backend", None)
        if not isinstance(kind, str):
            raise RunnerError(
                f"{path}: 'backend' is missing. It names the kind of queue, for example `backend: local`."
            )
        backend = _built(find_backend(kind, folder, path), settings, path)
        notify.words_of(backend.notify, path)
        if (misfit := backend.misfit()) is not None:
            raise RunnerError(f"{path}: {misfit}")
        return Runner(name, kind, backend, path)
    if name in BUILT_IN:
        return Runner(name, name, find_backend(name, folder, None)(), None)
    known = list(dict.fromkeys([*names(folder), *BUILT_IN]))
    raise RunnerError(
        f"There is no runner '{name}' in {folder}.{nearest(name, known)} Runners: {', '.join(known)}."
    )


def runs_here(runner: Runner) -> bool:
    """Whether jobs are processes of this machine, so that a submit waits for them."""
    return runner.backend.runs_here()


def with_workers(runner: Runner, workers: int | None) -> Runner:
    """The runner with another number of workers.

    Raises
    ------
    UsageError : its backend has none
    """
    if workers is None:
        return runner
    backend = runner.backend.with_workers(workers)
    if backend is None:
        raise UsageError(
            f"--workers is for pools of this machine; runner '{runner.name}' queues to {runner.kind}, where "
            "its max_running limits the jobs."
        )
    if (misfit := backend.misfit()) is not None:
        raise UsageError(f"--workers {workers} does not fit runner '{runner.name}': {misfit}")
    return dataclasses.replace(runner, backend=backend)


def with_resources(
    runner: Runner,
    *,
    memory_gb: float | None = None,
    walltime_minutes: float | None = None,
    cpus: int | None = None,
) -> Runner:
    """The runner with the resources that are given; None leaves one as it is."""
    given: dict[str, Any] = {"memory_gb": memory_gb, "walltime_minutes": walltime_minutes, "cpus": cpus}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        return runner
    resources = dataclasses.replace(runner.backend.resources, **changes)
    return dataclasses.replace(runner, backend=dataclasses.replace(runner.backend, resources=resources))


def _read(path: Path) -> dict[Any, Any]:
    import yaml  # slow to import; a command that reads no profile does without

    from neurofit import yaml_text

    try:
        settings = yaml_text.load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunnerError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(settings, dict):
        raise RunnerError(f"{path}: expected one `setting: value` per line.")
    return settings


def find_backend(kind: str, folder: Path, path: Path | None) -> type[Backend]:
    """Find the class of a backend.

    Parameters
    ----------
    kind : str
        A built-in backend, `file.py:Class` beside the profile, or an entry point of another package.
    folder : Path
        The study's `runners/`.
    path : Path or None
        The profile, for errors.

    Raises
    ------
    RunnerError
        There is no such backend, or it cannot be loaded.
    """
    if kind in BUILT_IN:
        module, _, name = BUILT_IN[kind].partition(":")
        return _checked(getattr(importlib.import_module(module), name), kind, path)
    if ".py:" in kind:
        return _site_backend(kind, folder, path)
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group="neurofit.backends")}
    if kind in points:
        return _checked(points[kind].load(), kind, path)
    known = [*BUILT_IN, *points]
    raise RunnerError(
        f"{path or folder}: there is no backend '{kind}'.{nearest(kind, known)} Backends: "
        f"{', '.join(known)}, or file.py:Class."
    )


def _site_backend(kind: str, folder: Path, path: Path | None) -> type[Backend]:
    """A class in a file beside the profile."""
    file, _, name = kind.rpartition(":")
    module_name = f"neurofit_site_{Path(file).stem}"
    try:
        spec = importlib.util.spec_from_file_location(module_name, folder / file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{folder / file} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # where dataclasses look up annotations that are text
        spec.loader.exec_module(module)
        found = getattr(module, name)
    except Exception as error:  # a site's own code may raise anything
        raise RunnerError(f"{path}: backend '{kind}' cannot be loaded: {described(error)}") from error
    return _checked(found, kind, path)


def _checked(found: Any, kind: str, path: Path | None) -> type[Backend]:
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise RunnerError(f"{path}: '{kind}' is not a subclass of neurofit.backends.base.Backend.")
    return found


def out_of_bounds(setting: str, number: float) -> str | None:
    """What a setting's value should be if it cannot be `number`; otherwise None.

    Parameters
    ----------
    setting : str
        Name of the setting, for example `resources.memory_gb`.
    """
    smallest, largest = BOUNDS.get(setting.rpartition(".")[2], (0, math.inf))
    try:
        if math.isfinite(number) and smallest <= number <= largest:
            return None
    except OverflowError:  # an integer that is too large for a float
        pass
    if not math.isfinite(largest):
        return f"expected a number of at least {smallest:g}"
    if setting.endswith("_minutes"):
        return f"expected {TIME_FORMATS}, from 0:00:01 to {largest:.0f} minutes"
    shown = f"{smallest:g}" if smallest == round(smallest) else f"{smallest:.2g}"
    return f"expected a number from {shown} to {largest:.0f}"


def _built(kind: type, settings: Mapping[Any, Any], path: Path, inside: str = "") -> Any:
    """An instance of the dataclass `kind`; a setting that it does not have, or of another type, is an error."""
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for key in settings:
        if key not in fields:
            hint = f"{nearest(str(key), fields)} Settings: {', '.join(fields)}."
            raise RunnerError(f"{path}: {inside or kind.__name__} has no setting '{key}'.{hint}")
    for name, field in fields.items():
        has_default = (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        if name not in settings and not has_default:
            raise RunnerError(f"{path}: the setting '{_joined(inside, name)}' is missing.")
    try:
        hints = typing.get_type_hints(kind)
    except (NameError, TypeError) as error:
        raise RunnerError(
            f"{path}: the types of the settings of {kind.__name__} cannot be read: {error}"
        ) from error
    values = {
        key: _converted(hints[key], value, path, _joined(inside, key)) for key, value in settings.items()
    }
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:  # a site's own __post_init__
        raise RunnerError(f"{path}: {kind.__name__} refuses its settings: {error}") from error


def _joined(inside: str, key: str) -> str:
    return f"{inside}.{key}" if inside else key


def _converted(hint: Any, value: Any, path: Path, key: str) -> Any:
    """The value of one setting as its type says."""
    import msgspec

    kinds = _alternatives(hint)
    nested = next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)
    if isinstance(nested, type) and not (value is None and type(None) in kinds):
        if not isinstance(value, dict):
            example = EXAMPLES.get(key, f"expected settings of {nested.__name__}")
            raise RunnerError(f"{path}: '{key}' is {_shown(value)}, {example}.")
        return _built(nested, value, path, key)
    try:
        found = msgspec.convert(_prepared(value, kinds, key), hint, dec_hook=_decoded)
    except (msgspec.ValidationError, TypeError) as error:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and float in kinds
        wanted = (out_of_bounds(key, value) if number else None) or f"expected {_expected(kinds, key)}"
        detail = f" ({error})" if len(_inside(value)) > 1 else ""
        advice = _advice(value, kinds)
        raise RunnerError(f"{path}: '{key}' is {_shown(value)}, {wanted}{detail}.{advice}") from None
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        if refused := out_of_bounds(key, found):
            raise RunnerError(f"{path}: '{key}' is {_shown(value)}, {refused}.")
        return value if value == found else found  # 4 stays 4 where a float is allowed
    for text in _inside(found):
        if isinstance(text, str):
            _must_be_one_line(text, path, key)
    return found


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types in a union; the type itself if it is not one."""
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


def _prepared(value: Any, kinds: tuple[Any, ...], key: str) -> Any:
    """The value with what YAML cannot say: a clock time as minutes, and a block of text as lines."""
    if float in kinds and key.endswith("_minutes") and isinstance(value, str):
        minutes = minutes_of(value)
        return value if minutes is None else minutes
    if tuple[str, ...] in kinds and str not in kinds:
        if value is None and type(None) not in kinds:
            return []
        if isinstance(value, str):
            return value.rstrip("\n").split("\n") if value else []
    return value


def _decoded(kind: type, value: Any) -> Any:
    """A type that msgspec does not know, from the text in a profile."""
    if issubclass(kind, Path) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"a profile cannot hold a {kind.__name__}")


def _inside(value: Any) -> list[Any]:
    """The value, or what a list or a mapping holds."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _expected(kinds: tuple[Any, ...], key: str) -> str:
    """The types of a setting in words."""
    words = []
    for kind in kinds:
        if typing.get_origin(kind) is typing.Literal:
            words += [repr(choice) for choice in typing.get_args(kind)]
        elif kind is float and key.endswith("_minutes"):
            words.append(TIME_FORMATS)
        else:
            name = str(kind) if typing.get_origin(kind) else getattr(kind, "__name__", str(kind))
            words.append(TYPE_NAMES.get(name, name))
    return " or ".join(words)


def _must_be_one_line(text: str, path: Path, key: str) -> None:
    """A line break in a setting would add a line to a job's script, or to the options of its queue."""
    bad = control_character(text)
    if bad is not None:
        raise RunnerError(
            f"{path}: '{key}' is {_shown(text)}, which contains a line break or another control character "
            f"({bad!r}). Write it on one line, without such characters."
        )


def _advice(value: Any, kinds: tuple[Any, ...]) -> str:
    """What to write instead, for the usual mistakes."""
    if not isinstance(value, str) or not {int, float} & set(kinds):
        return ""
    if re.fullmatch(r"0[0-9]+", value):
        return f" Write {value.lstrip('0') or '0'}: some readers of YAML take a leading zero for octal."
    if value[:2].lower() in BASES and re.fullmatch(r"0[xob][0-9a-f]{1,12}", value, re.IGNORECASE):
        try:
            return f" Write {int(value, BASES[value[:2].lower()])}."
        except ValueError:  # 0b2
            return ""
    if re.fullmatch(r"\d+:\d\d", value):
        return f" Write {value}:00 for hours and minutes, or 0:{value} for minutes and seconds."
    return ""


def _shown(value: Any) -> str:
    """A value in a message, shortened."""
    return reprlib.repr(value)
