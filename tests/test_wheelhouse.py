"""Installation on a host without a network: all from a folder of wheels, with the package index switched off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurofit.errors import install

REPOSITORY = Path(__file__).resolve().parents[1]
LARGEST_MB = 400  # of the core with all that it needs
FIT = """
import neurofit as nf
def fit(task, *, x=1):
    return {"m": x}
experiment = nf.Experiment(fit, nf.grid(x=[1, 2]))
"""


def done(*words: str | Path, **options) -> str:
    ran = subprocess.run(
        words, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL, **options
    )
    assert ran.returncode == 0, f"{words}: {ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.mark.slow
@pytest.mark.process
def test_the_core_is_installed_from_a_folder_alone_and_brings_an_experiment_to_a_table(tmp_path):
    said = done(
        REPOSITORY / "scripts" / "wheelhouse",
        tmp_path / "wheels",
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert "pip install --no-index --find-links FOLDER 'neurofit'" in said
    done(sys.executable, "-m", "venv", tmp_path / "venv")
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    alone |= {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    python = tmp_path / "venv" / "bin" / "python"
    wheels = ["--no-index", "--find-links", tmp_path / "wheels"]
    done(python, "-m", "pip", "--quiet", "install", *wheels, "neurofit", env=alone)
    (installed,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    size = sum(path.lstat().st_size for path in installed.rglob("*")) / 1e6
    assert size < LARGEST_MB, f"{size:.0f} MB"
    command = tmp_path / "venv" / "bin" / "neurofit"
    study = tmp_path / "study"
    study.mkdir()
    (study / "jobs").mkdir()
    (study / "training_data").mkdir()
    (study / "jobs" / "small.py").write_text(FIT)
    done(command, "submit", "small", cwd=study, env=alone)
    done(command, "status", "small", "--wait", "120", cwd=study, env=alone)
    table = done(command, "results", "small", "--format", "csv", cwd=study, env=alone)
    assert len(table.splitlines()) == 3, table


@pytest.mark.process
def test_without_a_folder_the_script_says_how_it_is_used():
    ran = subprocess.run([REPOSITORY / "scripts" / "wheelhouse"], capture_output=True, text=True)
    assert ran.returncode == 2 and "scripts/wheelhouse FOLDER" in ran.stderr


def test_a_hint_names_the_packages_of_an_extra_and_not_neurofit_which_may_come_from_a_clone():
    assert install("plots") == "pip install 'matplotlib>=3.8'"
    assert install("parquet") == "pip install 'pyarrow>=15.0'"
    assert install("nothing") == "install neurofit with its extra 'nothing'"
