from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from neurofit.errors import NameUnknown, ScriptError
from neurofit.experiments import import_path, scripts
from neurofit.experiments.experiment import call
from neurofit.experiments.scripts import Entry
from neurofit.study import Study

PLAIN = '''
"""What does x do?"""
import neurofit as nf

def fit(task, *, x=1):
    return {"x": x}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]), repetitions=2)
'''.lstrip()


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study in a temporary folder; what loading does to this process is undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(import_path, "_ours", {})
    monkeypatch.setattr(import_path, "_before", {})
    before = set(sys.modules)
    (tmp_path / "jobs").mkdir()
    yield Study(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(study: Study, name: str, text: str = PLAIN) -> Path:
    path = study.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(study: Study, name: str = "exp3"):
    return scripts.load(study, study.jobs / f"{name}.py", name)


class Live:
    def __init__(self, **params):
        self.params = params


# ---- which there are


def test_scripts_are_found_in_groups_but_for_helpers_and_hidden_files(study):
    for name in ("exp3.py", "b/exp1.py", "b/c/deep.py", "a b.py"):
        write(study, f"jobs/{name}")
    for name in (
        "_helper.py",
        "__init__.py",
        ".hidden.py",
        "b/__pycache__/x.py",
        ".git/x.py",
        "_lib/x.py",
        "notes.txt",
    ):
        write(study, f"jobs/{name}")
    assert [entry.name for entry in scripts.discover(study)] == ["a b", "b/c/deep", "b/exp1", "exp3"]
    assert scripts.discover(study)[3] == Entry("exp3", study.jobs / "exp3.py")


def test_a_study_without_jobs_has_no_scripts(tmp_path):
    assert scripts.discover(Study(tmp_path / "none")) == []


def test_a_script_is_named_by_name_last_parts_or_path(study):
    for name in ("exp3", "group/exp3", "group/exp4", "other/deep/exp5"):
        write(study, f"jobs/{name}.py")
    assert scripts.find(study, "exp3").name == "exp3"
    assert scripts.find(study, "group/exp3").name == "group/exp3"
    assert scripts.find(study, "exp4").name == "group/exp4"
    assert scripts.find(study, "deep/exp5").name == "other/deep/exp5"
    for path in (
        "jobs/group/exp4.py",
        "./jobs/group/exp4",
        str(study.jobs / "group/exp4.py"),
        "group/exp4.py",
    ):
        assert scripts.find(study, path).name == "group/exp4"


def test_a_name_that_could_be_several_is_an_error_that_lists_them(study):
    write(study, "jobs/a/exp3.py")
    write(study, "jobs/b/exp3.py")
    with pytest.raises(NameUnknown, match="'exp3' could be any of: a/exp3, b/exp3"):
        scripts.find(study, "exp3")


def test_an_unknown_name_is_an_error_that_lists_the_known_and_offers_the_nearest(study):
    with pytest.raises(NameUnknown, match="has no scripts"):
        scripts.find(study, "exp3")
    write(study, "jobs/baseline.py")
    write(study, "jobs/group/exp3.py")
    with pytest.raises(
        NameUnknown, match=r"No experiment 'basline' in .*Did you mean 'baseline'.*: baseline, group/exp3\."
    ):
        scripts.find(study, "basline")
    with pytest.raises(NameUnknown, match="Did you mean 'exp3'"):
        scripts.find(study, "exp33")
    for outside in ("", "../exp3", "p3", "/etc/passwd", "x" * 5000, "a\nb", "a\0b"):
        with pytest.raises(NameUnknown):
            scripts.find(study, outside)


def test_the_head_of_a_script_is_read_without_executing_it(study):
    assert (
        scripts.head(write(study, "jobs/a.py", '"""First line.\n\nMore."""\nraise SystemExit'))
        == "First line."
    )
    for odd in ("", "x = 1", "def", '""""""', "'\0'"):
        assert scripts.head(write(study, "jobs/b.py", odd)) == ""
    assert scripts.head(study.jobs / "missing.py") == ""


# ---- loading


def test_an_experiment_is_loaded_with_its_name_and_place(study):
    path = write(study, "jobs/group/exp3.py")
    experiment = load(study, "group/exp3")
    assert (experiment.name, experiment.path, experiment.hint) == ("group/exp3", path, None)
    assert len(experiment.runs()) == 2


def test_the_one_experiment_may_have_any_name_and_experiment_comes_first(study):
    write(study, "jobs/exp3.py", PLAIN.replace("experiment =", "mine ="))
    assert len(load(study).runs()) == 2
    write(study, "jobs/exp3.py", PLAIN + "other = nf.Experiment(fit)\n")
    assert len(load(study).runs()) == 2
    write(study, "jobs/exp3.py", PLAIN + "same = experiment\ndel experiment\n")
    assert len(load(study).runs()) == 2


def test_no_experiment_is_an_error_that_shows_the_lines_to_add(study):
    write(study, "jobs/exp3.py", "x = 1")
    with pytest.raises(
        ScriptError, match=r"(?s)exp3\.py has no experiment. Add:.*experiment = nf\.Experiment\(fit"
    ) as caught:
        load(study)
    lines = str(caught.value).partition("\n\n")[2]
    write(study, "jobs/exp3.py", "\n".join(line[4:] for line in lines.splitlines()))
    assert len(load(study).runs()) == 3


def test_several_experiments_are_an_error(study):
    write(study, "jobs/exp3.py", PLAIN + "a = nf.Experiment(fit)\nb = nf.Experiment(fit)\ndel experiment\n")
    with pytest.raises(ScriptError, match=r"several experiments: a, b\. Name the one to run 'experiment'"):
        load(study)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x = 1\n1 / 0\n",
            r"exp3\.py, line 2: ZeroDivisionError: division by zero\n.*exp3\.py, line 2, in <module>\n    1 / 0",
        ),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("import sys; sys.exit()", "line 1: SystemExit"),
        ("raise BaseException", "line 1: BaseException"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("x = (1,\n\ny = ]", r"exp3\.py, line \d: SyntaxError"),
        ("def f():\nreturn", r"exp3\.py, line 2: IndentationError"),
        ("import numpi_that_is_not_there", "ModuleNotFoundError: No module named 'numpi_that_is_not_there'"),
        ("import _broken", r"_broken\.py, line 1: SyntaxError"),
        (
            "import _helper\n_helper.f()",
            r"(?s)exp3\.py, line 2: KeyError: 'x'.*_helper\.py, line 2, in f\n    return \{\}\['x'\]",
        ),
        ("import neurofit as nf\n\nnf.grid(a=3)", "exp3.py, line 3: axis 'a' must be a list, got 3"),
        (PLAIN.replace("(x=", "(y="), r"exp3\.py, line 7: Run 0: the fit has no argument 'y'"),
        ("class E(Exception):\n  def __str__(s): raise ValueError\nraise E", "line 3: E"),
        ("'\0'", r"exp3\.py"),
        ("x = '\udcff'", r"exp3\.py"),
    ],
)
def test_a_script_that_raises_is_an_error_with_the_place_in_the_users_code(study, text, message):
    write(study, "jobs/_helper.py", "def f():\n    return {}['x']\n")
    write(study, "jobs/_broken.py", "def (")
    (study.jobs / "exp3.py").write_bytes(text.encode("utf-8", "surrogateescape"))
    before = set(sys.modules)  # scripts that other tests loaded stay
    with pytest.raises(ScriptError, match=message) as caught:
        load(study)
    assert "definition.py" not in str(caught.value)
    assert not [name for name in sys.modules if name.startswith("neurofit.jobs.") and name not in before]


def test_a_script_that_cannot_be_read_is_an_error(study):
    with pytest.raises(ScriptError, match=r"exp3\.py cannot be read: No such file"):
        load(study)


def test_ctrl_c_passes(study):
    write(study, "jobs/exp3.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load(study)


def test_a_script_is_not_a_main_module_and_its_prints_stay_off_stdout(study, capsys):
    write(study, "jobs/exp3.py", PLAIN + "print('loaded', __name__ == '__main__', __file__)\n")
    load(study)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"loaded False {study.jobs / 'exp3.py'}\n"


def test_a_script_edited_within_the_same_second_is_loaded_again(study):
    for count in (1, 2, 3):
        write(study, "jobs/exp3.py", PLAIN.replace("repetitions=2", f"repetitions={count}"))
        assert load(study).repetitions == count
    assert not (study.jobs / "__pycache__").exists()


def test_dataclasses_and_inspection_work_in_a_script(study):
    extra = "from dataclasses import dataclass\nimport inspect\n@dataclass\nclass A:\n    x: 'int' = 1\n"
    extra += "assert inspect.getsource(A)\n"
    write(study, "jobs/exp3.py", PLAIN + extra)
    load(study)


# ---- imports of the study's own modules

USES = """
import neurofit as nf
from study_lib import VALUE
from _near import NEAR
from jobs.group._near import NEAR as SAME

def fit(task):
    import study_late
    return {"value": VALUE, "late": study_late.VALUE}

experiment = nf.Experiment(fit, grid=nf.grid(x=[VALUE]))
"""


def study_with_modules(root: Path, value: int) -> Study:
    study = Study(root)
    write(study, "study_lib/__init__.py", f"VALUE = {value}")
    write(study, "study_late.py", f"VALUE = {value}")
    write(study, "jobs/group/_near.py", "NEAR = 1")
    write(study, "jobs/group/exp3.py", USES)
    return study


def test_a_script_imports_from_its_folder_jobs_and_the_root_also_late(study):
    study_with_modules(study.root, 5)
    experiment = load(study, "group/exp3")
    assert call(experiment.fit, Live()) == {"value": 5, "late": 5}


def test_the_same_script_is_loaded_from_a_copy_with_the_copys_modules(study, tmp_path):
    study_with_modules(study.root, 5)
    copy = study_with_modules(tmp_path / "training_data" / "code", 7).root
    assert call(load(study, "group/exp3").fit, Live()) == {"value": 5, "late": 5}
    experiment = scripts.load(copy, copy / "jobs/group/exp3.py", "group/exp3")
    assert call(experiment.fit, Live()) == {"value": 7, "late": 7}
    assert call(load(study, "group/exp3").fit, Live()) == {"value": 5, "late": 5}
    assert not [entry for entry in sys.path if entry.startswith(str(copy))]


def test_forgetting_a_root_leaves_what_it_did_not_bring(study, tmp_path):
    write(study, "jobs/exp3.py")
    here = sys.modules.get(__name__)
    load(study)
    scripts.load(study_with_modules(tmp_path / "other", 1), tmp_path / "other/jobs/group/exp3.py", "x")
    load(study)
    assert "neurofit" in sys.modules
    assert here is None or sys.modules[__name__] is here


def test_a_script_named_like_a_standard_module_hides_nothing(study):
    write(study, "jobs/queue.py", PLAIN)
    write(
        study,
        "jobs/exp3.py",
        PLAIN + "from concurrent.futures import thread\nassert thread.queue.SimpleQueue\n",
    )
    for name in ("queue", "concurrent.futures.thread"):
        sys.modules.pop(name, None)
    load(study)


def test_a_module_of_the_study_comes_before_an_installed_one(study):
    write(study, "click.py", "MINE = True")
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "click"}
    write(study, "jobs/exp3.py", PLAIN + "import click\nassert click.MINE\n")
    try:
        load(study)
    finally:
        sys.modules.pop("click", None)
        sys.modules.update(hidden)


def test_loading_often_does_not_grow_the_path(study):
    write(study, "jobs/exp3.py")
    write(study, "jobs/group/exp4.py")
    load(study)
    load(study, "group/exp4")
    length = len(sys.path)
    load(study)
    assert len(sys.path) == length


# ---- what is slow


def test_a_slow_import_at_the_top_is_hinted_at_with_its_cost(study):
    write(study, "torch.py", "import time; time.sleep(0.1)")
    write(study, "jobs/exp3.py", "import torch\n" + PLAIN)
    hint = load(study).hint
    assert "imports torch at the top: loading it took 0." in hint
    assert "Move the import into the function" in hint
    assert load(study).hint is None  # it is there by now


@pytest.mark.process
def test_a_script_can_be_run_by_python_too(study):
    """`__name__` decides: loading does not run `main`, Python does."""
    text = PLAIN + "if __name__ == '__main__':\n    print('main', len(experiment.runs()))\n"
    path = write(study, "jobs/exp3.py", text)
    load(study)
    root = Path(scripts.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, env={"PYTHONPATH": str(root)}
    )
    assert (done.stdout, done.stderr) == ("main 2\n", "")
