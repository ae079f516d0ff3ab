"""What `neurofit init` creates."""

from __future__ import annotations

import os

import pytest

from neurofit import new_study, study
from neurofit.errors import StudyError
from neurofit.experiments import scripts


def test_a_new_study_has_its_folders_and_an_example(tmp_path):
    root = tmp_path / "a study" / "of V1"
    announced = new_study.missing(root)
    assert not root.exists()
    assert new_study.create(root) == announced
    assert {path.relative_to(root).as_posix() for path in announced} == {
        ".",
        "jobs",
        "runners",
        "data",
        "training_data",
        "jobs/example.py",
        "data/README.md",
        ".gitignore",
    }
    assert study.find(root).root == root


def test_making_a_study_twice_changes_nothing(tmp_path):
    new_study.create(tmp_path)
    (tmp_path / "jobs" / "example.py").write_text("mine")
    (tmp_path / ".gitignore").unlink()
    assert new_study.create(tmp_path) == [tmp_path / ".gitignore"]
    assert (tmp_path / "jobs" / "example.py").read_text() == "mine"
    assert new_study.create(tmp_path) == []


def test_a_new_study_gets_the_profiles_that_it_is_given(tmp_path):
    profiles = {"local": "backend: local\n", "slurm-gpu": "backend: slurm\n"}
    assert new_study.missing(tmp_path, profiles) == new_study.create(tmp_path, profiles)
    assert (tmp_path / "runners" / "slurm-gpu.yaml").read_text() == "backend: slurm\n"
    (tmp_path / "runners" / "local.yaml").write_text("mine")
    assert (
        new_study.create(tmp_path, profiles) == []
        and (tmp_path / "runners" / "local.yaml").read_text() == "mine"
    )


def test_the_example_is_an_experiment(tmp_path):
    new_study.create(tmp_path)
    here = study.find(tmp_path)
    (entry,) = scripts.discover(here)
    experiment = scripts.load(here, entry.path, entry.name)
    assert (entry.name, len(experiment.runs()), experiment.repetitions) == ("example", 3, 3)
    assert scripts.head(entry.path) == "How many random points does it take to find pi?"
    compile(new_study.EXAMPLE_JOB, "example.py", "exec")


def test_the_example_fit_returns_numbers_and_logs_some(tmp_path):
    new_study.create(tmp_path)
    here = study.find(tmp_path)
    experiment = scripts.load(here, here.jobs / "example.py", "example")
    rows = []

    class Task:
        from neurofit.experiments.seeds import Seeds

        seeds = Seeds(0)

        def log(self, step, **numbers):
            rows.append((step, numbers))

    metrics = experiment.fit(Task(), points=1000)
    assert abs(metrics["pi"] - 3.14) < 0.2
    assert len(rows) == 10


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "jobs").write_text("")
    with pytest.raises(StudyError, match="jobs: File exists"):
        new_study.create(tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StudyError, match=r"Permission denied.*you can write to"):
        new_study.create(tmp_path / "new")
