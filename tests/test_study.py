from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurofit import study
from neurofit.errors import StudyError
from neurofit.experiments import scripts
from neurofit.study import Study


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
    return root


def test_a_study_knows_its_folders():
    here = Study(Path("/s"))
    assert (here.jobs, here.runners) == (Path("/s/jobs"), Path("/s/runners"))
    assert (here.data, here.training_data) == (Path("/s/data"), Path("/s/training_data"))


@pytest.mark.parametrize("beside", ["runners", "training_data"])
def test_a_study_is_found_from_anywhere_inside_it(tmp_path, beside):
    folders(tmp_path, "jobs/group", beside, "lib/deep")
    for start in (".", "jobs", "jobs/group", "lib/deep", "lib/deep/missing.py"):
        assert study.find(tmp_path / start).root == tmp_path


def test_a_folder_with_only_jobs_counts_where_one_stands_or_from_its_jobs(tmp_path):
    folders(tmp_path, "jobs/group", "elsewhere")
    for start in (".", "jobs", "jobs/group", "jobs/group/exp3.py"):
        assert study.find(tmp_path / start).root == tmp_path
    with pytest.raises(StudyError, match="neurofit init"):
        study.find(tmp_path / "elsewhere")


def test_the_nearest_study_counts(tmp_path):
    folders(tmp_path, "jobs", "runners", "inner/jobs", "inner/runners")
    assert study.find(tmp_path / "inner" / "jobs").root == tmp_path / "inner"


def test_a_submitted_copy_of_the_code_is_no_study_of_its_own(tmp_path):
    copy = "training_data/exp3/submissions/x/code"
    folders(tmp_path, "jobs", f"{copy}/jobs", f"{copy}/runners")
    for start in (copy, f"{copy}/jobs"):
        assert study.find(tmp_path / start).root == tmp_path


def test_links_are_left_as_given(tmp_path):
    folders(tmp_path, "real/jobs", "real/runners")
    (tmp_path / "link").symlink_to("real")
    assert study.find(tmp_path / "link" / "jobs").root == tmp_path / "link"


def test_a_relative_start_is_found_from_here(tmp_path, monkeypatch):
    folders(tmp_path, "jobs", "runners", "lib")
    monkeypatch.chdir(tmp_path / "lib")
    assert study.find(Path(".")).root == tmp_path


def test_a_new_study_has_its_folders_and_an_example(tmp_path):
    root = tmp_path / "a study" / "of V1"
    announced = study.missing(root)
    assert not root.exists()
    assert study.create(root) == announced
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
    study.create(tmp_path)
    (tmp_path / "jobs" / "example.py").write_text("mine")
    (tmp_path / ".gitignore").unlink()
    assert study.create(tmp_path) == [tmp_path / ".gitignore"]
    assert (tmp_path / "jobs" / "example.py").read_text() == "mine"
    assert study.create(tmp_path) == []


def test_a_new_study_gets_the_profiles_that_it_is_given(tmp_path):
    profiles = {"local": "backend: local\n", "slurm-gpu": "backend: slurm\n"}
    assert study.missing(tmp_path, profiles) == study.create(tmp_path, profiles)
    assert (tmp_path / "runners" / "slurm-gpu.yaml").read_text() == "backend: slurm\n"
    (tmp_path / "runners" / "local.yaml").write_text("mine")
    assert (
        study.create(tmp_path, profiles) == [] and (tmp_path / "runners" / "local.yaml").read_text() == "mine"
    )


def test_the_example_is_an_experiment(tmp_path):
    study.create(tmp_path)
    here = study.find(tmp_path)
    (entry,) = scripts.discover(here)
    experiment = scripts.load(here, entry.path, entry.name)
    assert (entry.name, len(experiment.runs()), experiment.repetitions) == ("example", 3, 3)
    assert scripts.head(entry.path) == "How many random points does it take to find pi?"
    compile(study.EXAMPLE_JOB, "example.py", "exec")


def test_the_example_fit_returns_numbers_and_logs_some(tmp_path):
    study.create(tmp_path)
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
        study.create(tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StudyError, match=r"Permission denied.*you can write to"):
        study.create(tmp_path / "new")


@pytest.mark.process
def test_looking_for_a_study_and_loading_a_script_load_nothing_slow(tmp_path):
    study.create(tmp_path)
    code = """
import sys
from pathlib import Path
from neurofit import study
from neurofit.experiments.grid import selection
from neurofit.experiments.scripts import script, snapshot
here = study.find(Path(sys.argv[1]))
experiment = script.load(here, here.jobs / "example.py", "example")
snapshot.code_hash(here.root, experiment.path)
slow = {"numpy", "pandas", "tensorflow", "keras", "click", "rich"}
print(sorted(slow & {name.partition(".")[0] for name in sys.modules}))
"""
    root = Path(study.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
