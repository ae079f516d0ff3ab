from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurofit import new_study, study
from neurofit.errors import StudyError
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


def test_a_submitted_copy_of_the_code_is_not_a_study_of_its_own(tmp_path):
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


@pytest.mark.process
def test_looking_for_a_study_and_loading_a_script_load_nothing_slow(tmp_path):
    new_study.create(tmp_path)
    code = """
import sys
from pathlib import Path
from neurofit import study
from neurofit.experiments import scripts, selector, snapshot
here = study.find(Path(sys.argv[1]))
experiment = scripts.load(here, here.jobs / "example.py", "example")
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
