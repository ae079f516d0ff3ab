"""Profiles: `runners/NAME.yaml` names a backend and its settings for one queue.

backend: local        # or a class of your own beside the profile: mysite.py:MyQueue
workers: 4
resources: {cpus: 1, memory_gb: 4}
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import math
import re
import reprlib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from neurofit import yaml_text
from neurofit.backends import BUILT_IN
from neurofit.backends.base import Backend, Resources, minutes_of
from neurofit.errors import RunnerError, described, nearest

BOUNDS: dict[
    str, tuple[float, float]
] = {  # smallest and largest value of a setting, by the last part of its name
    "workers": (1, 10_000),
    "max_running": (1, 1_000_000),
    "tasks_per_job": (1, 1_000_000),
    "cpus": (1, 100_000),
    "gpus": (0, 10_000),
    "memory_gb": (1 / 1024, 1_000_000),
    "walltime_minutes": (1 / 60, 5_256_000),  # ten years
    "task_minutes": (1 / 60, 5_256_000),
    "grace_seconds": (0, 31_536_000),
}
LONGEST_NAME = 200
CLOCKS = "minutes, H:MM:SS or D-H:MM:SS"


@dataclass(frozen=True)
class Runner:
    """A named backend with its settings."""

    name: str
    kind: str
    backend: Backend
    path: Path | None  # None: a bare backend with defaults


def names(folder: Path) -> list[str]:
    """Profiles in `folder`, by name."""
    return sorted(path.stem for path in folder.glob("*.yaml") if is_name(path.stem))


def is_name(name: str) -> bool:
    """Whether a runner can be called so: submissions, and their folders, have its name in theirs."""
    plain = name.isprintable() and "/" not in name and not name.startswith(".")
    return bool(name) and plain and len(name.encode(errors="replace")) <= LONGEST_NAME


def load(folder: Path, name: str) -> Runner:
    """The runner called `name`: a profile in `folder`, or a bare backend. Raises RunnerError."""
    if not is_name(name):
        raise RunnerError(
            f"{_shown(name)} cannot be a runner: expected the name of a file in {folder}, without .yaml. It "
            "is part of "
            "file names, so it has no '/' and no control characters, and no dot first; at most "
            f"{LONGEST_NAME} bytes."
        )
    path = folder / f"{name}.yaml"
    if path.is_file():
        settings = _read(path)
        kind = settings.pop("backend", None)
        if not isinstance(kind, str):
            raise RunnerError(
                f"{path}: 'backend' is missing; it says which kind of queue this is, e.g. `backend: local`."
            )
        return Runner(name, kind, _build(find_backend(kind, folder, path), settings, path), path)
    if name in BUILT_IN:
        return Runner(name, name, find_backend(name, folder, None)(), None)
    known = [*names(folder), *BUILT_IN]
    raise RunnerError(
        f"No runner '{name}' in {folder}.{nearest(name, known)} Runners there: {', '.join(known)}."
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = yaml_text.load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunnerError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(settings, dict):
        raise RunnerError(f"{path}: expected settings, one `key: value` a line.")
    return settings


def find_backend(kind: str, folder: Path, path: Path | None) -> type[Backend]:
    """The class: built in, `file.py:Class` beside the profile, or another package's entry point."""
    if kind in BUILT_IN:
        module, _, name = BUILT_IN[kind].partition(":")
        return getattr(importlib.import_module(module), name)
    if ".py:" in kind:
        return _site_backend(kind, folder, path)
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group="neurofit.backends")}
    if kind in found:
        return found[kind].load()
    known = [*BUILT_IN, *found]
    raise RunnerError(
        f"{path or folder}: there is no backend '{kind}'.{nearest(kind, known)} Backends: "
        f"{', '.join(known)}, or file.py:Class."
    )


def _site_backend(kind: str, folder: Path, path: Path | None) -> type[Backend]:
    file, _, name = kind.rpartition(":")
    try:
        spec = importlib.util.spec_from_file_location(f"neurofit_site_{Path(file).stem}", folder / file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = getattr(module, name)
    except Exception as error:  # whatever a site's own file does wrong
        raise RunnerError(f"{path}: backend '{kind}' cannot be loaded: {described(error)}") from error
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise RunnerError(f"{path}: '{name}' in {file} is no neurofit.backends.base.Backend.")
    return found


def _build(kind: type, settings: dict[str, Any], path: Path, inside: str = "") -> Any:
    """An instance of the dataclass `kind`; unknown keys and wrong types are errors that name the key."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in settings.items():
        if key not in fields:
            hint = f"{nearest(str(key), fields)} Settings: {', '.join(fields)}."
            raise RunnerError(f"{path}: {inside or kind.__name__} has no setting '{key}'.{hint}")
        values[key] = _value(hints[key], value, path, f"{inside}{'.' if inside else ''}{key}")
    return kind(**values)


def refused(key: str, number: float) -> str | None:
    """What was expected of the setting `key`, if it cannot have this number; otherwise None."""
    least, most = BOUNDS.get(key.rpartition(".")[2], (0, math.inf))
    if math.isfinite(number) and least <= number <= most:
        return None
    if not math.isfinite(most):
        return f"expected a number from {least:g}"
    if key.endswith("_minutes"):
        return f"expected {CLOCKS}, from 0:00:01 to {most:.0f} minutes"
    smallest = f"{least:g}" if least == round(least) else f"{least:.2g}"
    return f"expected a number from {smallest} to {most:.0f}"


def _value(hint: Any, value: Any, path: Path, key: str) -> Any:
    if hint is Resources:
        if not isinstance(value, dict):
            raise RunnerError(f"{path}: '{key}' is {_shown(value)}, expected e.g. {{cpus: 1, memory_gb: 4}}.")
        return _build(Resources, value, path, key)
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    origins = [typing.get_origin(kind) or kind for kind in kinds]
    if tuple in origins:
        lines = value.rstrip("\n").split("\n") if isinstance(value, str) and value else value or []
        if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            for line in lines:
                _must_be_one_line(line, path, key)
            return tuple(lines)
    elif isinstance(value, bool) and bool not in origins:
        pass
    elif isinstance(value, str) and float in origins and key.endswith("_minutes"):
        if (minutes := minutes_of(value)) is not None:
            return _within_bounds(minutes, value, path, key)
    elif isinstance(value, tuple(origins)) or (float in origins and isinstance(value, int)):
        if isinstance(value, str):
            _must_be_one_line(value, path, key)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            return _within_bounds(value, value, path, key)
        return value
    expected = " or ".join(
        "nothing" if kind is type(None) else getattr(kind, "__name__", str(kind)) for kind in kinds
    )
    if key.endswith("_minutes"):
        expected = f"{CLOCKS}, or nothing"
    raise RunnerError(f"{path}: '{key}' is {_shown(value)}, expected {expected}.{_advice(value, origins)}")


def _within_bounds(number: float, written: Any, path: Path, key: str) -> float:
    try:
        expected = refused(key, number)
    except OverflowError:  # an integer beyond what a float can hold
        expected = refused(key, math.inf)
    if expected:
        raise RunnerError(f"{path}: '{key}' is {_shown(written)}, {expected}.")
    return number


def _must_be_one_line(text: str, path: Path, key: str) -> None:
    """A line break in a setting would be a second line of a job's script, or of a queue's options."""
    bad = next((sign for sign in text if (ord(sign) < 32 and sign != "\t") or ord(sign) == 127), None)
    if bad is not None:
        raise RunnerError(
            f"{path}: '{key}' is {_shown(text)}, which has a line break or another control character "
            f"({bad!r}). "
            "Give one line without them."
        )


def _advice(value: Any, origins: list[Any]) -> str:
    number = int in origins or float in origins
    if number and isinstance(value, str) and re.fullmatch(r"0[0-9]+", value):
        return f" Write {value.lstrip('0') or '0'}: a leading zero means octal to some readers of YAML."
    if number and isinstance(value, str) and re.fullmatch(r"\d+:\d\d", value):
        return f" Write {value}:00 for hours and minutes, or 0:{value} for minutes and seconds."
    return ""


def _shown(value: Any) -> str:
    """A value in a message: cut, whatever aliases made of it."""
    return reprlib.repr(value)
