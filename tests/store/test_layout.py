"""What is found under `training_data/`, whatever else lies there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from neurofit.store.layout import ExperimentFiles, discover_experiments
from neurofit.study import Study


def experiment(study: Study, name: str) -> Path:
    folder = study.training_data / name
    folder.mkdir(parents=True)
    (folder / "runs.jsonl").touch()
    return folder


@pytest.fixture
def study(tmp_path) -> Study:
    (tmp_path / "training_data").mkdir()
    return Study(tmp_path)


@contextlib.contextmanager
def somebody():
    """A folder, and this process as a user who may be kept out of a part of it."""
    folder = Path(tempfile.mkdtemp())
    mine = os.geteuid()
    try:
        if mine == 0:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        yield folder
    finally:
        os.seteuid(mine)
        for inner in [folder, *folder.rglob("*")]:
            if inner.is_dir() and not inner.is_symlink():
                inner.chmod(0o700)
        shutil.rmtree(folder)


def test_experiments_are_found_in_groups_and_behind_links(study, tmp_path):
    experiment(study, "one")
    experiment(study, "group/two")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "three").mkdir(parents=True)
    (elsewhere / "three" / "runs.jsonl").touch()
    (study.training_data / "disk").symlink_to(elsewhere)
    (study.training_data / "renamed").symlink_to("one")
    found = discover_experiments(study)
    assert found.names == ["disk/three", "group/two", "one", "renamed"] and found.unseen == []


def test_a_group_called_runs_is_seen_beside_the_runs_of_an_experiment(study):
    folder = experiment(study, "exp")
    (folder / "runs" / "000-0123abcd" / "rep-00").mkdir(parents=True)
    (folder / "submissions" / "20261120-183012-local-k3f9").mkdir(parents=True)
    experiment(study, "exp/runs/inner")
    experiment(study, "exp/submissions/inner")
    experiment(study, "runs/other")
    assert discover_experiments(study).names == [
        "exp",
        "exp/runs/inner",
        "exp/submissions/inner",
        "runs/other",
    ]


def test_links_that_lead_back_are_followed_once(study):
    experiment(study, "group/exp")
    for name in "abcdefghijklmnop":
        (study.training_data / name).symlink_to(".")
        (study.training_data / "group" / name).symlink_to("..")
    assert discover_experiments(study).names == ["group/exp"]  # two links to one folder were 2 ** 40 paths


def test_a_link_that_leads_nowhere_is_named(study):
    experiment(study, "seen")
    (study.training_data / "gone").symlink_to("/nowhere/at/all")
    (study.training_data / "loop").symlink_to("loop")
    found = discover_experiments(study)
    assert found.names == ["seen"]
    assert (
        len(found.unseen) == 2
        and "training_data/gone" in found.unseen[0]
        and "/nowhere/at/all" in found.unseen[0]
    )


def test_a_folder_that_cannot_be_read_is_named():
    with somebody() as folder:
        study = Study(folder)
        experiment(study, "seen")
        experiment(study, "group/hidden")
        (study.training_data / "group").chmod(0)
        found = discover_experiments(study)
        assert found.names == ["seen"]
        assert len(found.unseen) == 1 and "training_data/group" in found.unseen[0]
        assert "Permission denied" in found.unseen[0]


def test_no_training_data_is_nothing_unseen_but_a_file_in_its_place_is(tmp_path):
    study = Study(tmp_path)
    assert discover_experiments(study).unseen == []
    study.training_data.touch()
    assert "Not a directory" in discover_experiments(study).unseen[0]


def test_stray_names_in_submissions_are_no_submissions(study):
    files = ExperimentFiles(study, "exp")
    files.submissions_folder.mkdir(parents=True)
    (files.submissions_folder / "notes.txt").touch()
    (files.submissions_folder / "zz").mkdir()
    (files.submissions_folder / "20261120-183012-local-k3f9").mkdir()
    renamed = files.submissions_folder / "old-20261120-183012-local-k3f9"
    renamed.mkdir()
    (renamed / "submission.json").touch()
    assert [one.name for one in files.submissions()] == ["20261120-183012-local-k3f9"]
    assert files.misnamed() == [renamed]
