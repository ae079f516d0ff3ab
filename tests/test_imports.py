"""Who may import whom, as docs/architecture.md says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "neurofit"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

GROUND = {  # used by all, using each other
    "commands",
    "environment",
    "errors",
    "files",
    "lazy",
    "neurofit",
    "process",
    "study",
    "text",
    "transient",
    "yaml_text",
}
MAY_IMPORT = {
    "cli": {"cli", "orchestrate", "experiments", "backends", "datasets", "reports"},
    "orchestrate": {"orchestrate", "experiments", "backends", "worker", "reports"},
    "experiments": {"experiments"},
    "backends": {"backends"},
    "worker": {"worker", "experiments"},
    "models": {"models", "datasets", "scores"},
    "datasets": {"datasets", "scores"},
    "scores": {"scores"},
    "reports": {"reports"},
    "__main__": {"cli"},
    "jobs": {"experiments"},
}
EXCEPTIONS = {("experiments/definition.py", "neurofit.cli")}  # Experiment.main is an entry point

ONLY_IN = {
    "tensorflow": ("models/",),
    "keras": ("models/",),
    "submitit": ("backends/submitit_job.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "pandas": ("experiments/tables/", "orchestrate/tables.py", "datasets/"),
    "matplotlib": ("reports/",),
    "tensorboard": ("reports/events.py",),
    "subprocess": ("backends/", "worker/", "orchestrate/provenance.py"),  # the last asks git
    "multiprocessing": ("backends/", "worker/"),
}


def imported(module: str) -> Iterator[str]:
    """Every module that is imported, at the top or in a function."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written in full"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "neurofit")


def half(name: str) -> str:
    """'experiments' of neurofit.experiments.store.layout, 'neurofit' of the package itself."""
    return (name.split(".") + ["neurofit"])[1]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    own = Path(module).parts[0].removesuffix(".py")
    allowed = GROUND | MAY_IMPORT.get(own, set())
    wrong = [
        name
        for name in imported(module)
        if name.split(".")[0] == "neurofit"
        and name != "neurofit"
        and half(name) not in allowed
        and not half(name).startswith("__")
        and (module, name) not in EXCEPTIONS
    ]
    assert not wrong, f"{module} must not import {wrong}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_third_party_is_met_in_one_place(library):
    wrong = [
        module
        for module in MODULES
        if library in {name.split(".")[0] for name in imported(module)}
        and not module.startswith(ONLY_IN[library])
    ]
    assert not wrong


def test_every_folder_of_the_package_has_a_rule():
    folders = {Path(module).parts[0] for module in MODULES if "/" in module}
    assert folders <= MAY_IMPORT.keys()
