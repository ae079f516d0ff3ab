from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from neurofit.errors import StoreError, StudyError
from neurofit.experiments import snapshot
from neurofit.study import Study


def tree(root: Path, files: dict[str, str] | list[str]) -> Study:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name] if isinstance(files, dict) else "")
    return Study(root)


# ---- what belongs to the code


NAMES = """
import json, lib.read
from pathlib import Path
HERE = Path(__file__).parent
def fit(task, *, name="a", part=1):
    (HERE / "table.csv").read_text(); open(HERE / f"group/{name}.json"); (HERE.parent / "lib" / "weights.npy").stat()
    HERE.glob("*.txt"); (HERE / "configs").iterdir(); (HERE / "shapes" / name / "x.ini").exists()
    run(["python", HERE / "tool.py"]); build("nets.deep.Cnn")
    open(HERE / "large.bin"); open("/etc/passwd"); open(HERE / ".hidden")
    task.study / "data" / "x.csv"; "../../secret.csv"
    return {"test": 1}
"""
NAMED = {
    "jobs/exp3.py": NAMES,
    "lib/read.py": "",
    "jobs/table.csv": "",
    "jobs/group/a.json": "",
    "jobs/group/b.json": "",
    "lib/weights.npy": "",
    "jobs/one.txt": "",
    "jobs/configs/deep/c.yaml": "",
    "jobs/shapes/a/x.ini": "",
    "jobs/tool.py": "import toolbox",
    "toolbox.py": "",
    "nets/__init__.py": "",
    "nets/deep.py": "",
}
NOT_NAMED = [
    "jobs/token",
    "jobs/other.csv",
    "jobs/exp4.py",
    "lib/unused.py",
    "jobs/.hidden",
    "data/x.csv",
    "jobs/data/x.csv",
    "test/x.py",
    "jobs/group/c.yaml",
    "secret.csv",
    "training_data/exp3/runs/x.json",
    "jobs/configs/.git/x",
    "setup.py",
]


def test_what_a_script_imports_and_names_is_collected_and_nothing_else(tmp_path):
    study = tree(tmp_path, NAMED | dict.fromkeys(NOT_NAMED, ""))
    (tmp_path / "jobs" / "large.bin").write_bytes(b"x" * (snapshot.LARGEST_BYTES + 1))
    found = snapshot.collect(study, study.jobs / "exp3.py")
    assert list(found) == sorted(NAMED)
    assert found["jobs/exp3.py"] == tmp_path / "jobs/exp3.py"


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module(name)",
        "__import__(f'lib.{x}')",
        "import_module('.a', 'lib')",
    ],
)
def test_a_script_that_computes_its_imports_has_all_python_files_of_the_study(tmp_path, text):
    code = ["lib/data/read.py", "lib/tests/x.py", "setup.py", "jobs/group/_near.py"]
    left_out = [
        "lib/notes.txt",
        "data/big.py",
        "training_data/exp3/code/jobs/exp3.py",
        "docs/conf.py",
        "tests/test_x.py",
        "build/x.py",
        "dist/x.py",
        ".git/hook.py",
        ".hidden.py",
        "jobs/.secret",
        "jobs/__pycache__/x.pyc",
        "lib/__pycache__/x.py",
        "venv/pyvenv.cfg",
        "venv/lib/site.py",
        "web/node_modules/gyp.py",
        "neurofit/__init__.py",
        "neurofit/experiments/grid/grid.py",
    ]
    study = tree(tmp_path, {"jobs/exp3.py": text, **dict.fromkeys([*code, *left_out], "")})
    assert list(snapshot.collect(study, study.jobs / "exp3.py")) == sorted([*code, "jobs/exp3.py"])


def test_what_a_script_imports_is_collected_wherever_it_lies(tmp_path):
    study = tree(
        tmp_path,
        {
            "jobs/exp3.py": "from data.read import x\nimport json, numpy",
            "data/read.py": "",
            "data/other.py": "",
        },
    )
    assert list(snapshot.collect(study, study.jobs / "exp3.py")) == ["data/read.py", "jobs/exp3.py"]


def test_links_are_followed_only_inside_the_study(tmp_path):
    tree(tmp_path / "outside", ["x.py", "token"])
    study = tree(
        tmp_path / "study", {"jobs/exp3.py": "__import__(x); 'token'; 'beside'", "lib/a.py": "", "lib/b": ""}
    )
    (study.root / "linked").symlink_to("lib")
    (study.root / "away").symlink_to(tmp_path / "outside")
    (study.root / "lib" / "round").symlink_to("..")
    (study.root / "lib" / "file.py").symlink_to(tmp_path / "outside" / "x.py")
    (study.root / "lib" / "broken.py").symlink_to("nowhere")
    (study.jobs / "token").symlink_to(tmp_path / "outside" / "token")
    (study.jobs / "beside").symlink_to("../lib/b")
    assert list(snapshot.collect(study, study.jobs / "exp3.py")) == [
        "jobs/beside",
        "jobs/exp3.py",
        "lib/a.py",
        "linked/a.py",
    ]


def test_an_import_that_leads_out_of_the_study_is_an_error_unless_declared(tmp_path):
    tree(tmp_path / "outside", ["x.py"])
    study = tree(tmp_path / "study", {"jobs/exp3.py": "import common"})
    (study.jobs / "common.py").symlink_to(tmp_path / "outside" / "x.py")
    with pytest.raises(
        StudyError, match=r"common\.py resolves to .*outside/x\.py, outside of the study.*files="
    ):
        snapshot.collect(study, study.jobs / "exp3.py")
    assert "jobs/common.py" in snapshot.collect(study, study.jobs / "exp3.py", ["jobs/common.py"])


def test_declared_files_come_along_and_are_checked(tmp_path):
    study = tree(tmp_path, ["jobs/exp3.py", "lib/a.csv", "lib/deep/b.csv", "lib/large.bin"])
    assert list(snapshot.collect(study, study.jobs / "exp3.py", ["lib/**/*.csv"])) == [
        "jobs/exp3.py",
        "lib/a.csv",
        "lib/deep/b.csv",
    ]
    with pytest.raises(StudyError, match=r"files='lib/c\.csv' matches no file in"):
        snapshot.collect(study, study.jobs / "exp3.py", ["lib/c.csv"])
    with pytest.raises(StudyError, match="outside of the study"):
        snapshot.collect(study, study.jobs / "exp3.py", ["/etc/passwd"])
    (tmp_path / "lib" / "large.bin").write_bytes(b"x" * (snapshot.LARGEST_DECLARED_BYTES + 1))
    with pytest.raises(StudyError, match=r"large\.bin has 10 MB.*Keep it in data/"):
        snapshot.collect(study, study.jobs / "exp3.py", ["lib/large.bin"])


def test_too_much_is_an_error_that_says_where_most_of_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "MOST_FILES", 10)
    study = tree(
        tmp_path, {"jobs/exp3.py": "__import__(x)", **{f"tmp/{number}.py": "" for number in range(20)}}
    )
    with pytest.raises(StudyError, match=r"more than 10 files.*most files are in tmp/.*into data/"):
        snapshot.collect(study, study.jobs / "exp3.py")
    monkeypatch.setattr(snapshot, "MOST_FILES", 100)
    monkeypatch.setattr(snapshot, "MOST_BYTES", 5)
    with pytest.raises(StudyError, match="files or 0 MB"):
        snapshot.collect(study, study.jobs / "exp3.py")


# ---- copies


def everything(study: Study) -> dict[str, Path]:
    """All files of jobs/ and lib/, as if a script used them."""
    found = [
        path for folder in ("jobs", "lib") for path in (study.root / folder).rglob("*") if path.is_file()
    ]
    return {path.relative_to(study.root).as_posix(): path for path in sorted(found)}


def test_copies_are_no_more_readable_than_what_they_copy(tmp_path):
    names = ["jobs/exp3.py", "jobs/token", "jobs/tool.sh", "lib/private/x.csv", "lib/shared.py"]
    study = tree(tmp_path / "study", names)
    modes = {"exp3.py": 0o644, "token": 0o600, "tool.sh": 0o750}
    for name, mode in modes.items():
        (study.jobs / name).chmod(mode)
    (study.root / "lib" / "shared.py").chmod(0o664)
    (study.root / "lib" / "private" / "x.csv").chmod(0o644)
    (study.root / "lib" / "private").chmod(0o700)
    copy = snapshot.take(everything(study), tmp_path / "store")

    def found(name: str) -> int:
        return (copy / name).stat().st_mode & 0o777

    assert {name: found(f"jobs/{name}") for name in modes} == modes
    assert found("lib/shared.py") == 0o664 and found("lib/private/x.csv") == 0o600
    (study.jobs / "exp3.py").chmod(0o600)
    assert snapshot.take(everything(study), tmp_path / "store") == copy
    assert found("jobs/exp3.py") == 0o600


def test_a_copy_is_whole_named_by_content_and_made_once(tmp_path):
    study = tree(
        tmp_path / "study", {"jobs/exp3.py": "x = 1", "lib/a b\n.py": "y = 2", "jobs/tool.sh": "#!/bin/sh"}
    )
    (study.jobs / "tool.sh").chmod(0o755)
    files = everything(study)
    copy = snapshot.take(files, tmp_path / "store" / "code")
    assert copy == tmp_path / "store" / "code" / snapshot.digest(files)[:12]
    assert {
        path.relative_to(copy).as_posix(): path.read_text() for path in copy.rglob("*") if path.is_file()
    } == {
        "jobs/exp3.py": "x = 1",
        "lib/a b\n.py": "y = 2",
        "jobs/tool.sh": "#!/bin/sh",
    }
    assert os.access(copy / "jobs" / "tool.sh", os.X_OK)
    assert not os.access(copy / "jobs" / "exp3.py", os.X_OK)
    before = copy.stat().st_ino
    assert snapshot.take(files, tmp_path / "store" / "code") == copy
    assert copy.stat().st_ino == before
    assert list(copy.parent.iterdir()) == [copy]


def test_a_digest_changes_with_names_contents_and_permissions_and_with_nothing_else(tmp_path):
    study = tree(tmp_path, {"jobs/a.py": "x", "jobs/b.py": "y"})

    def digest() -> str:
        return snapshot.digest(everything(study))

    seen = [digest()]
    os.utime(study.jobs / "a.py", (1, 1))
    assert digest() == seen[0]
    (study.jobs / "a.py").write_text("z")
    seen.append(digest())
    (study.jobs / "a.py").rename(study.jobs / "c.py")
    seen.append(digest())
    (study.jobs / "c.py").chmod(0o755)
    seen.append(digest())
    assert len(set(seen)) == 4
    assert snapshot.digest(dict(reversed(everything(study).items()))) == seen[-1]


def test_copies_made_at_once_are_one(tmp_path):
    study = tree(tmp_path / "study", {f"jobs/{number}.py": str(number) for number in range(50)})
    files, store, made = everything(study), tmp_path / "store", []
    threads = [threading.Thread(target=lambda: made.append(snapshot.take(files, store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert list(store.iterdir()) == [made[0]]
    assert len(list((made[0] / "jobs").iterdir())) == 50


def test_a_copy_that_cannot_be_written_leaves_nothing(tmp_path):
    study = tree(tmp_path / "study", {"jobs/exp3.py": "x"})
    (tmp_path / "store").write_text("a file in the way")
    with pytest.raises(StoreError, match="could not be copied"):
        snapshot.take(everything(study), tmp_path / "store")
    clash = {"a": study.jobs / "exp3.py", "a/b": study.jobs / "exp3.py"}
    with pytest.raises(StoreError, match="could not be copied"):
        snapshot.take(clash, tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


def test_a_file_that_vanished_is_an_error_that_names_it(tmp_path):
    study = tree(tmp_path, {"jobs/exp3.py": "x"})
    files = everything(study)
    (study.jobs / "exp3.py").unlink()
    with pytest.raises(StudyError, match=r"exp3\.py cannot be read: No such file"):
        snapshot.take(files, tmp_path / "store")


# ---- what a script uses


FILES = {
    "jobs/group/exp3.py": """
import json, numpy as np, neurofit as nf
import lib.deep.one
from lib import two, missing
from _near import x
from jobs.helpers import *
import importlib
def fit(task):
    from late import f
    importlib.import_module("dynamic")
    import plain_folder.inner
""",
    "jobs/group/_near.py": "from . import _beside",
    "jobs/group/_beside.py": "import group.exp3",
    "jobs/helpers.py": "import queue",
    "jobs/queue.py": "never = 'the standard library comes first'",
    "lib/__init__.py": "",
    "lib/two.py": "from .deep import three\nfrom ..nowhere import x",
    "lib/unused.py": "",
    "lib/deep/__init__.py": "from lib.deep.three import *",
    "lib/deep/one.py": "from .. import two\nfrom ..two import a",
    "lib/deep/three.py": "def (",
    "late.py": "import late",
    "dynamic.py": "",
    "plain_folder/inner.py": "",
    "jobs/plain_folder/other.py": "",
    "numpy.txt": "",
    "neurofit/__init__.py": "",
    "neurofit/experiments/x.py": "",
    "unused.py": "",
}
USED = [
    "dynamic.py",
    "jobs/group/_beside.py",
    "jobs/group/_near.py",
    "jobs/group/exp3.py",
    "jobs/helpers.py",
    "late.py",
    "lib/__init__.py",
    "lib/deep/__init__.py",
    "lib/deep/one.py",
    "lib/deep/three.py",
    "lib/two.py",
    "plain_folder/inner.py",
]


def test_a_closure_is_the_script_and_all_that_it_imports(tmp_path):
    study = tree(tmp_path, FILES)
    assert snapshot.closure(study.root, study.jobs / "group/exp3.py") == USED
    assert snapshot.closure(study.root, Path("jobs/group/exp3.py")) == USED


@pytest.mark.parametrize(
    "text", ["", "def (", "'\0'", "import", "from .......... import x", "import a.b.c", "__import__(3)"]
)
def test_a_script_that_imports_nothing_of_the_study_is_its_own_closure(tmp_path, text):
    study = tree(tmp_path, {"jobs/exp3.py": text})
    assert snapshot.closure(study.root, study.jobs / "exp3.py") == ["jobs/exp3.py"]


def test_a_script_outside_the_study_is_an_error(tmp_path):
    study = tree(tmp_path / "study", {"jobs/exp3.py": ""})
    with pytest.raises(StudyError, match="is not in the study"):
        snapshot.closure(study.root, tmp_path / "exp3.py")


def test_the_code_hash_changes_only_with_what_is_used(tmp_path):
    study = tree(tmp_path, FILES)
    exp3 = study.jobs / "group/exp3.py"
    first = snapshot.code_hash(study.root, exp3)
    assert len(first) == 12
    for name in ("unused.py", "lib/unused.py", "jobs/queue.py", "neurofit/__init__.py"):
        (study.root / name).write_text("changed = True")
    exp3.chmod(0o755)
    assert snapshot.code_hash(study.root, exp3) == first
    seen = {first}
    for name in USED:
        with (study.root / name).open("a") as file:
            file.write("\n# changed")
        seen.add(snapshot.code_hash(study.root, exp3))
    assert len(seen) == len(USED) + 1


def test_a_copy_has_the_code_hash_of_what_it_copies(tmp_path):
    study = tree(tmp_path / "study", FILES | {"jobs/exp4.py": "import tests.tool", "tests/tool.py": ""})
    for script in ("jobs/group/exp3.py", "jobs/exp4.py"):
        copy = snapshot.take(snapshot.collect(study, Path(script)), tmp_path / "store")
        assert snapshot.code_hash(copy, copy / script) == snapshot.code_hash(study.root, study.root / script)


def test_a_changed_copy_is_repaired(tmp_path):
    study = tree(tmp_path / "study", {"jobs/exp3.py": "x = 1\n", "jobs/lib.py": "y = 2\n"})
    files = everything(study)
    copy = snapshot.take(files, tmp_path / "store")
    (copy / "jobs" / "exp3.py").write_text("x = 666\n")
    (copy / "jobs" / "lib.py").unlink()
    assert snapshot.take(files, tmp_path / "store") == copy
    assert (copy / "jobs" / "exp3.py").read_text() == "x = 1\n"
    assert (copy / "jobs" / "lib.py").read_text() == "y = 2\n"
