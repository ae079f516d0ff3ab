"""Profiles: `runners/NAME.yaml` names a backend and its settings for one queue.

backend: local        # or a class of your own beside the profile: mysite.py:MyQueue
workers: 4
resources: {cpus: 1, memory_gb: 4}
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from neurofit.backends import BUILT_IN
from neurofit.backends.base import Backend, Resources
from neurofit.errors import RunnerError, nearest

COUNTS = ("workers", "max_running", "tasks_per_job", "resources.cpus")  # of which there is at least one


@dataclass(frozen=True)
class Runner:
    """A named backend with its settings."""

    name: str
    kind: str
    backend: Backend
    path: Path | None  # None: a bare backend with defaults


def names(folder: Path) -> list[str]:
    """Profiles in `folder`, by name."""
    return sorted(path.stem for path in folder.glob("*.yaml") if not path.name.startswith("."))


def load(folder: Path, name: str) -> Runner:
    """The runner called `name`: a profile in `folder`, or a bare backend. Raises RunnerError."""
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
    raise RunnerError(f"No runner '{name}' in {folder}.{nearest(name, known)} Runners there: {', '.join(known)}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
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
        raise RunnerError(f"{path}: backend '{kind}' cannot be loaded: {type(error).__name__}: {error}") from error
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


def _value(hint: Any, value: Any, path: Path, key: str) -> Any:
    if hint is Resources:
        if not isinstance(value, dict):
            raise RunnerError(f"{path}: '{key}' is {value!r}, expected e.g. {{cpus: 1, memory_gb: 4}}.")
        return _build(Resources, value, path, key)
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    origins = [typing.get_origin(kind) or kind for kind in kinds]
    if tuple in origins:
        lines = value.splitlines() if isinstance(value, str) else value
        if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            return tuple(lines)
    elif isinstance(value, bool) and bool not in origins:
        pass
    elif isinstance(value, tuple(origins)) or (float in origins and isinstance(value, int)):
        least = 1 if key in COUNTS else 0
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not value >= least:
            raise RunnerError(f"{path}: '{key}' is {value}, expected a number from {least} on.")
        return value
    expected = " or ".join("nothing" if kind is type(None) else getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise RunnerError(f"{path}: '{key}' is {value!r}, expected {expected}.")
