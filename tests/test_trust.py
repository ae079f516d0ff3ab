"""Code of another user above the current folder is not executed without a word."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from neurofit import new_study, study
from neurofit.errors import StudyError

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
OTHER = 12345


@pytest.fixture
def theirs(tmp_path, monkeypatch) -> Path:
    """A study with a script of another user, as in /tmp; we are below it."""
    monkeypatch.delenv("SUDO_UID", raising=False)
    new_study.create(tmp_path / "study", {"local": "backend: local\n"})
    (tmp_path / "study/jobs/example.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    os.chown(tmp_path / "study/jobs/example.py", OTHER, OTHER)
    (tmp_path / "study/ours/deep").mkdir(parents=True)
    return tmp_path / "study"


@pytest.mark.parametrize(
    "what",
    [".", "jobs", "jobs/example.py", "runners", "runners/mysite.py", "runners/local.yaml", "neurofit.yaml"],
)
def test_whatever_decides_what_is_executed_counts(tmp_path, what):
    new_study.create(tmp_path / "study", {"local": "backend: local\n"})
    (tmp_path / "study/runners/mysite.py").touch()
    (tmp_path / "study/neurofit.yaml").touch()
    (tmp_path / "study/ours").mkdir()
    assert study.find(tmp_path / "study/ours").root == tmp_path / "study"
    os.chown(tmp_path / "study" / what, OTHER, OTHER)
    with pytest.raises(StudyError, match=r"belongs to another user \(number 12345\).*cd "):
        study.find(tmp_path / "study/ours")


@pytest.mark.process
def test_no_command_executes_it_from_below(theirs):
    for words in (["list"], ["show", "example"], ["submit", "example"], ["status"], ["runners"]):
        said = subprocess.run(
            [sys.executable, "-m", "neurofit", *words],
            cwd=theirs / "ours/deep",
            capture_output=True,
            text=True,
        )
        assert said.returncode == 1 and "belongs to another user" in said.stderr
    assert not (theirs.parent / "executed").exists()


def test_who_stands_in_the_study_has_named_it(theirs):
    assert study.find(theirs).root == theirs


@pytest.mark.process
def test_what_the_message_says_allows_it_once_for_all(theirs):
    with pytest.raises(StudyError) as refused:
        study.find(theirs / "ours/deep")
    subprocess.run(["sh", "-c", str(refused.value).splitlines()[-1].strip()], check=True)
    assert study.trusted_file().is_file() and study.find(theirs / "ours/deep").root == theirs


def test_the_environment_allows_it_and_a_list_of_another_user_does_not(theirs, monkeypatch):
    monkeypatch.setenv("NEUROFIT_TRUSTED_STUDIES", f"/elsewhere:{shlex.quote(str(theirs))}")
    assert study.find(theirs / "ours").root == theirs
    monkeypatch.delenv("NEUROFIT_TRUSTED_STUDIES")
    study.trusted_file().parent.mkdir(parents=True)
    study.trusted_file().write_text(f"{theirs}\n")
    assert study.find(theirs / "ours").root == theirs
    os.chown(study.trusted_file(), OTHER, OTHER)
    with pytest.raises(StudyError):
        study.find(theirs / "ours")


def test_a_script_that_the_user_executes_is_executed(theirs):
    from neurofit.experiments import scripts
    from neurofit.experiments.experiment import Experiment

    experiment = Experiment(lambda task: {"m": 1})
    found, _ = scripts.placed(experiment, theirs / "jobs/example.py")
    assert found.root == theirs


def test_under_sudo_the_users_own_files_are_trusted(theirs, monkeypatch):
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    assert study.find(theirs / "ours").root == theirs
