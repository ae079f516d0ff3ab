"""Who may import whom, as docs/architecture.md says."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "neurofit"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

GROUND = {  # used by all, using each other
    "collector",
    "condition",
    "environment",
    "errors",
    "exit_codes",
    "files",
    "job_cache",
    "lazy",
    "neurofit",
    "new_study",
    "overlap",
    "packed",
    "process",
    "protocols",
    "recording",
    "structure",
    "study",
    "metric_names",
    "spans",
    "startup_lines",
    "t_interval",
    "text",
    "transient",
    "unpacked",
    "yaml_text",
}
MAY_IMPORT = {
    "cli": {
        "cli",
        "orchestrate",
        "plotting",
        "report",
        "exports",
        "tables",
        "status",
        "store",
        "experiments",
        "backends",
        "datasets",
        "features",
        "remote",
    },
    "report": {"report", "plotting", "orchestrate", "tables", "status", "store", "experiments"},
    "exports": {"exports", "suggestions", "tables", "status", "store", "experiments"},
    "orchestrate": {
        "orchestrate",
        "suggestions",
        "tables",
        "status",
        "store",
        "experiments",
        "backends",
        "worker",
    },
    "plotting": {"plotting", "suggestions", "tables", "status", "store", "experiments"},
    "tables": {"tables", "status", "store", "experiments"},
    "status": {"status", "store", "experiments", "backends"},
    "remote": {"remote", "store", "experiments"},
    "worker": {"worker", "suggestions", "store", "experiments"},
    "suggestions": {"suggestions", "store", "experiments"},
    "programs": {"programs", "worker", "experiments"},
    "store": {"store", "experiments"},
    "experiments": {"experiments"},
    "backends": {"backends"},
    "models": {"models", "features", "datasets", "scores"},
    "features": {"features", "datasets", "scores", "store"},
    "datasets": {"datasets", "scores"},
    "scores": {"scores"},
    "__main__": {"cli"},
    "jobs": {"experiments"},
    "reports": {"plotting"},  # the old name
}
DRAWING = (
    "plotting/distributions.py",
    "plotting/lines.py",
    "plotting/maps.py",
    "plotting/neurons.py",
    "plotting/over_axis.py",
    "plotting/pictures.py",
    "plotting/recordings.py",
    "plotting/score_pictures.py",
    "plotting/searches.py",
    "plotting/stimuli.py",
    "plotting/style.py",
)
ONLY_IN = {
    "tensorflow": ("models/", "features/forward.py"),
    "keras": ("models/", "features/forward.py", "features/networks.py"),
    "h5py": ("datasets/hdf5.py",),
    "pynwb": ("datasets/nwb.py",),
    "pyarrow": ("tables/parquet.py",),
    "lazy_loader": ("lazy.py",),
    "submitit": ("backends/slurm/job.py",),
    "click": ("cli/",),
    "rich": ("cli/", "features/progress.py", "text.py"),  # the last asks it for the width of texts
    "pandas": ("tables/", "datasets/"),
    "jinja2": ("report/writing.py",),
    "matplotlib": DRAWING,
    "tensorboard": ("plotting/events.py", "exports/tensorboard_logs.py"),
    "mlflow": ("exports/mlflow_store.py",),
    "wandb": ("exports/wandb_runs.py",),
    "optuna": (
        "suggestions/replay.py",
        "suggestions/optuna_trials.py",
        "suggestions/importances.py",
        "exports/optuna_study.py",
    ),
    "cmaes": ("suggestions/suggesting.py",),
    "subprocess": (
        "backends/",
        "worker/",
        "orchestrate/provenance.py",  # git
        "remote/connection.py",  # ssh
        "suggestions/gaussian_process.py",  # torch, in a process of its own
    ),
    "multiprocessing": ("backends/", "worker/"),
}


@cache
def statements(module: str) -> list[ast.Import | ast.ImportFrom]:
    """Every import, at the top or in a function."""
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(module: str) -> Iterator[str]:
    """Every module that is imported, at the top or in a function."""
    for node in statements(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            assert node.level == 0, f"{module}: imports are written in full"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "neurofit")


def half(name: str) -> str:
    """'experiments' of neurofit.store.layout, 'neurofit' of the package itself."""
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


@cache
def graph() -> dict[str, set[str]]:
    """Module → the modules of the package that it imports anywhere, for types alone too."""
    modules = {
        module.removesuffix(".py").removesuffix("/__init__").replace("/", "."): module for module in MODULES
    }
    edges: dict[str, set[str]] = {}
    for name, module in modules.items():
        edges[name] = set()
        for node in statements(module):
            for one in _names(node):
                inside = one.removeprefix("neurofit.")
                wanted = inside if inside in modules else inside.rpartition(".")[0]
                if one.startswith("neurofit.") and wanted in modules and wanted != name:
                    edges[name].add(wanted)
    return edges


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Nodes that reach one another; none where there is no circle."""
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert not circle(graph())


FOLDERS = sorted({Path(module).parent.as_posix() for module in MODULES if "/" in module} | {"."})


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_in_one_folder_files_and_folders_makes_no_circle(folder):
    depth = 0 if folder == "." else folder.count("/") + 1
    inside = "" if folder == "." else folder.replace("/", ".") + "."

    def member(name: str) -> str | None:
        return name.split(".")[depth] if name.startswith(inside) and name.count(".") >= depth else None

    edges: dict[str, set[str]] = {}
    for name, wanted in graph().items():
        if (own := member(name)) is not None:
            edges.setdefault(own, set()).update(
                {other for one in wanted if (other := member(one)) and other != own}
            )
    assert not circle(edges)
