"""A study knows its storage: what is not mounted is not taken for new."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from neurofit.errors import StudyError
from neurofit.orchestrate import clean
from neurofit.store import storage

QUICK = """
def fit(task, *, x=1):
    with open(task.study.parent / "began", "a") as file:
        file.write(f"{x}\\n")
    return {"x": x}
experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]))
"""


@pytest.fixture
def done(bench):
    """A study on a scratch disk of which all is done."""
    (bench.root / "training_data").rmdir()
    bench.scratch = bench.root.with_name("scratch")
    bench.scratch.mkdir()
    bench.study.training_data.symlink_to(bench.scratch)
    bench.script("quick", QUICK)
    assert bench.run("quick") == {"done": 2}
    return bench


def began(bench) -> list[str]:
    return sorted((bench.root.parent / "began").read_text().split())


def unmounted(bench) -> None:
    bench.scratch.rename(bench.root.with_name("elsewhere"))


def test_a_submit_without_its_storage_runs_nothing_again_and_says_what_is_gone(done):
    unmounted(done)
    for empty in (False, True):  # a link that leads nowhere; an empty mount point
        if empty:
            done.scratch.mkdir()
        said = done.command("submit", "quick")
        assert said.returncode == 1 and "is not the storage with the results of this study" in said.stderr
        assert (
            f"It was at {done.scratch} when" in said.stderr and "neurofit init --new-storage" in said.stderr
        )
    assert began(done) == ["1", "2"]
    assert not any(done.scratch.iterdir())


def test_no_command_takes_what_is_done_for_new_without_the_storage(done):
    unmounted(done)
    done.scratch.mkdir()
    for words in (
        ["status"],
        ["status", "quick"],
        ["results", "quick"],
        ["run", "quick:0/0"],
        ["cancel", "quick"],
    ):
        said = done.command(*words)
        assert said.returncode == 1 and "is not the storage" in said.stdout + said.stderr, words
    assert began(done) == ["1", "2"]
    said = done.command("clean", "--yes")
    assert "is not the storage" in said.stderr


def test_the_storage_that_comes_back_is_known_again(done):
    unmounted(done)
    done.root.with_name("elsewhere").rename(done.scratch)
    assert done.command("submit", "quick").returncode == 0
    assert done.counts("quick") == {"done": 2} and began(done) == ["1", "2"]


def test_another_storage_in_its_place_is_recognised(done, tmp_path):
    other = type(done)(tmp_path / "other")
    other.script("quick", QUICK)
    other.run("quick")
    unmounted(done)
    other.study.training_data.rename(done.scratch)
    with pytest.raises(StudyError, match="another storage is in its place"):
        done.submit("quick")


def test_what_was_deleted_on_purpose_is_confirmed_once(done):
    shutil.rmtree(done.scratch)
    done.scratch.mkdir()
    assert done.command("submit", "quick").returncode == 1
    assert done.command("init", "--new-storage", "--dry-run").returncode == 0
    assert done.command("submit", "quick").returncode == 1
    said = done.command("init", "--new-storage")
    assert said.returncode == 0 and "training_data" in said.stdout
    assert done.command("submit", "quick").returncode == 0
    assert began(done) == ["1", "1", "2", "2"]


def test_a_folder_that_was_deleted_on_purpose_is_made_again(bench):
    bench.script("quick", QUICK)
    bench.run("quick")
    shutil.rmtree(bench.study.training_data)
    assert "the folder does not exist" in bench.command("status").stderr
    assert bench.command("init", "--new-storage").returncode == 0
    assert bench.run("quick") == {"done": 2}


def test_a_clone_starts_normally_and_git_sees_nothing_of_it(done):
    def git(*words: str) -> str:
        who = ["-c", "user.name=m", "-c", "user.email=m@x"]
        return subprocess.run(
            ["git", *who, *words], cwd=done.root, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    (done.root / ".gitignore").write_text("/training_data\n__pycache__/\n")
    git("add", ".")
    git("commit", "-qm", "study")
    assert ".neurofit" not in git("ls-files") and git("status", "--porcelain", "--ignored=no") == ""
    git("clone", "-q", ".", str(done.root.with_name("clone")))
    clone = type(done)(done.root.with_name("clone"))
    assert clone.run("quick") == {"done": 2}


def test_a_clone_that_is_linked_to_the_storage_knows_it_from_then_on(done):
    clone = type(done)(done.root.with_name("clone"))
    clone.script("quick", QUICK)
    clone.study.training_data.rmdir()
    clone.study.training_data.symlink_to(done.scratch)
    assert clone.submit("quick") is None and clone.counts("quick") == {"done": 2}
    unmounted(done)
    with pytest.raises(StudyError, match="broken link"):
        clone.submit("quick")


def test_a_study_of_0_1_0_is_marked_by_its_next_submit(done):
    shutil.rmtree(done.root / ".neurofit")
    (done.scratch / storage.MARKER).unlink()
    assert done.counts("quick") == {"done": 2} and not (done.root / ".neurofit").exists()
    done.submit("quick")
    beside = json.loads((done.root / ".neurofit/storage.json").read_text())
    assert beside["id"] == json.loads((done.scratch / storage.MARKER).read_text())["id"]


def test_a_study_whose_folder_cannot_be_written_goes_on_without(done):
    shutil.rmtree(done.root / ".neurofit")
    (done.root / ".neurofit").write_text("in the way")
    assert done.run("quick", rerun=True) == {"done": 2}


def test_clean_removes_nothing_where_the_storage_is_gone(done):
    unmounted(done)
    done.scratch.mkdir()
    found = clean.survey(done.study)
    assert any("is not the storage" in line for line in found.left_alone)
