"""A study in a temporary folder, with a home of its own; real files, real processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from functools import partial
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from neurofit.backends import runner
from neurofit.files import write_whole
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.submit import Submitted, submit
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.study import CODE_ROOT, Study

pytest_plugins = ["tiers"]
pytest.register_assert_rewrite(
    "contract", "held", "numpy_network", "queue_tests", "search_studies", "studies"
)  # say what differs
REPOSITORY = Path(__file__).resolve().parents[1]

# No test is a stopwatch: on a busy machine making an example may take seconds.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "fast", hypothesis.settings.get_profile("patient"), max_examples=20
)  # --hypothesis-profile fast
hypothesis.settings.load_profile("patient")

for number in (signal.SIGINT, signal.SIGHUP):  # a shell ignores them for what it starts with &
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """Caches and configuration of the tests are nobody else's; matplotlib lists its fonts once for all of them."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.getbasetemp() / "matplotlib"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.delenv(CODE_ROOT, raising=False)  # a task that was done in this process leaves it
    return home


class Workbench:
    """A study to write scripts into, submit them, and wait for them."""

    def __init__(self, root: Path) -> None:
        for name in ("jobs", "runners", "training_data"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.study = Study(root)

    @property
    def root(self) -> Path:
        return self.study.root

    def script(self, name: str, text: str) -> str:
        """Write `jobs/NAME.py`; `import neurofit as nf` is there already."""
        path = self.study.jobs / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import neurofit as nf\n" + textwrap.dedent(text), encoding="utf-8")
        return name

    def runner(self, name: str = "local", text: str = "backend: local\nworkers: 2\n") -> runner.Runner:
        write_whole(self.study.runners / f"{name}.yaml", text)  # other processes of a test may be reading it
        return runner.load(self.study.runners, name)

    def submit(self, name: str, profile: runner.Runner | None = None, **options) -> Submitted | None:
        plan = make(self.study, load(self.study, name), SubmitOptions(**options))
        return submit(plan, profile or self.runner())

    def status(self, name: str) -> ExperimentStatus:
        return read_status(self.study, name)

    def counts(self, name: str) -> Counter[str]:
        return Counter({str(state): number for state, number in self.status(name).counts().items()})

    def wait(self, name: str, *, seconds: float = 300.0, until=None) -> Counter[str]:
        """Counts of tasks by state, once nothing is queued or running (or once `until(counts)`)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            counts = self.counts(name)
            if until(counts) if until else not (counts["queued"] or counts["running"]):
                return counts
            time.sleep(0.05)
        raise AssertionError(f"{name} after {seconds} s: {dict(counts)}")

    def run(self, name: str, **options) -> Counter[str]:
        self.submit(name, **options)
        return self.wait(name)

    def command(self, *words: str, **options) -> subprocess.CompletedProcess[str]:
        """`neurofit WORDS` as a user types it, in the study's folder."""
        options = {
            "cwd": self.root,
            "capture_output": True,
            "text": True,
            "timeout": 300,
            "stdin": subprocess.DEVNULL,
            **options,
        }
        return subprocess.run([sys.executable, "-m", "neurofit", *words], **options)

    def outcomes(self, name: str) -> list[dict]:
        from neurofit.tables.rows import read_rows

        return read_rows(self.status(name))

    def saved(self, name: str) -> dict[tuple[int, int], dict[str, np.ndarray]]:
        """(run, repetition) → every weight of the model, its predictions and its history, by name."""
        import h5py

        found = {}
        for record in self.outcomes(name):
            folder = self.study.training_data / name / record["log"]
            arrays = found[record["run"], record["repetition"]] = {
                "predictions": np.load(folder / "predictions.npz")["predictions"],
                "history": np.array((folder / "history.csv").read_text()),
            }
            with h5py.File(folder / "weights.weights.h5") as file:
                file.visititems(partial(_keep_array, arrays))
        return found


def _keep_array(into: dict, name: str, item) -> None:
    if hasattr(item, "shape"):
        into[name] = item[()]


@pytest.fixture
def bench(tmp_path, processes) -> Workbench:
    return Workbench(tmp_path / "study")


ABSENT = """
import sys
class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("h5py", "keras", "tensorflow"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Absent)
"""


@pytest.fixture
def without_models(tmp_path, processes) -> dict[str, str]:
    """The environment of a host on which TensorFlow, Keras and h5py are not installed."""
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "sitecustomize.py").write_text(ABSENT)
    paths = [str(tmp_path / "absent"), str(REPOSITORY)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture(scope="session")
def make_bench():
    """Makes a workbench in a folder, for fixtures that many tests share."""
    return Workbench


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers and recordings beside the repository."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("there is no folder of reference data beside the repository")
    return folder


@pytest.fixture
def study_0_1_0(tmp_path, processes) -> Study:
    """A study that neurofit 0.1.0 wrote, with finished and with queued tasks (tests/fixtures/README.md)."""
    root = tmp_path / "study"
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "study_0_1_0", root)
    (root / "data").mkdir()
    for path in root.rglob("*"):
        if path.is_file() and path.suffix != ".pkl":
            text = path.read_text(encoding="utf-8")
            path.write_text(
                text.replace("@STUDY@", str(root)).replace("@PYTHON@", sys.executable), encoding="utf-8"
            )
    for record in root.glob("training_data/*/submissions/*/submission.json"):
        for name in ("stops", "logs", "journal"):
            (record.parent / name).mkdir(exist_ok=True)  # git keeps no empty folder
        inode = record.parent.stat().st_ino
        record.write_text(re.sub(r'"inode":\d+', f'"inode":{inode}', record.read_text(encoding="utf-8")))
    return Study(root)
