"""Whose shell and whose home a task runs under changes no number, and is written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from neurofit import environment

CONFIG = """
import json, os
_values = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
_file = os.path.join(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"), "keras.json")
if os.path.exists(_file):
    _values.update(json.load(open(_file)))
def backend(): return os.environ.get("KERAS_BACKEND") or _values.get("backend", "tensorflow")
def floatx(): return _values["floatx"]
def epsilon(): return _values["epsilon"]
def image_data_format(): return _values["image_data_format"]
def set_floatx(value): _values["floatx"] = value
def set_epsilon(value): _values["epsilon"] = value
def set_image_data_format(value): _values["image_data_format"] = value
"""
SCRIPT = """
import os, locale
import neurofit as nf
def fit(task, *, a=1):
    from keras.src.backend import config
    locale.setlocale(locale.LC_NUMERIC, "")
    assert __debug__
    return {
        "last": int(config.image_data_format() == "channels_last"), "single": int(config.floatx() == "float32"),
        "epsilon": config.epsilon(), "tensorflow": int(config.backend() == "tensorflow"),
        "comma": locale.atof("1.5"), "tf32": int("NVIDIA_TF32_OVERRIDE" in os.environ),
        "onednn": int(os.environ["TF_ENABLE_ONEDNN_OPTS"]),
        "order": ["abcdefgh".index(one) for one in set("abcdefgh")][0], "hash": hash("a") % 1000003,
    }
experiment = nf.Experiment(fit)
if __name__ == "__main__":
    experiment.main()
"""
AMBIENT = {
    "KERAS_BACKEND": "jax",
    "NVIDIA_TF32_OVERRIDE": "1",
    "PYTHONHASHSEED": "17",
    "PYTHONOPTIMIZE": "1",
    "TF_DETERMINISTIC_OPS": "1",
    "LC_ALL": "de_DE.UTF-8",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
PYTHON = [sys.executable]
WAYS = {
    "python jobs/x.py": [*PYTHON, "jobs/x.py"],
    "run": [*PYTHON, "-m", "neurofit", "run", "x"],
    "submit": [*PYTHON, "-m", "neurofit", "submit", "x", "--yes"],
}


@pytest.fixture
def study(bench, own_home) -> Path:
    """With a Keras that reads a home, and a home with settings of its own."""
    package = bench.root / "keras" / "src" / "backend"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parents[1]):
        (folder / "__init__.py").touch()
    (package / "config.py").write_text(CONFIG)
    (bench.study.jobs / "x.py").write_text(SCRIPT)
    bench.runner()
    (own_home / ".keras").mkdir()
    settings = {
        "floatx": "float64",
        "epsilon": 0.5,
        "image_data_format": "channels_first",
        "backend": "torch",
    }
    (own_home / ".keras" / "keras.json").write_text(json.dumps(settings))
    return bench.root


def do(study: Path, way: str, **ambient: str) -> tuple[dict, str]:
    """The outcome of the only task, and what was printed."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(environment.WATCHED)}
    options = {"cwd": study, "capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 60}
    answer = subprocess.run(WAYS[way], env={**plain, **ambient}, **options)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (outcome,) = study.glob("training_data/x/runs/*/*/attempt-01/outcome.json")
    return json.loads(outcome.read_text()), answer.stdout + answer.stderr


@pytest.mark.parametrize("way", WAYS)
def test_the_users_shell_and_home_change_no_number_and_are_written_down(study, way):
    outcome, _ = do(study, way, **AMBIENT)
    metrics = outcome["metrics"]
    assert (metrics["last"], metrics["single"], metrics["epsilon"], metrics["tensorflow"]) == (1, 1, 1e-7, 1)
    assert metrics["comma"] == 1.5 and metrics["tf32"] == 0
    known = subprocess.run(
        [*PYTHON, "-c", "print(hash('a') % 1000003)"],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
    )
    assert metrics["hash"] == int(known.stdout)
    found = outcome["environment"]
    assert found["keras"] == {**environment.KERAS, "backend": "tensorflow"}
    assert found["ignored"]["keras.json image_data_format"] == "channels_first"
    assert {name: found["ignored"].get(name) for name in AMBIENT} == {
        **AMBIENT,
        "TF_ENABLE_ONEDNN_OPTS": None,
    }


@pytest.mark.parametrize("way", WAYS)
def test_onednn_is_on_unless_the_environment_turns_it_off(study, way):
    assert do(study, way)[0]["metrics"]["onednn"] == 1
    (outcome,) = study.glob("training_data/x/runs/*/*/*/outcome.json")
    assert json.loads(outcome.read_text())["environment"]["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "1"


@pytest.mark.parametrize("way", WAYS)
def test_turning_onednn_off_is_kept_and_recorded(study, way):
    outcome, _ = do(study, way, TF_ENABLE_ONEDNN_OPTS="0")
    assert outcome["metrics"]["onednn"] == 0
    assert outcome["environment"]["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "0"


@pytest.mark.parametrize("way", WAYS)
def test_what_the_script_sets_itself_is_code_and_stays(study, way):
    top = 'import os\nos.environ["NVIDIA_TF32_OVERRIDE"] = "0"\nos.environ["KERAS_BACKEND"] = "jax"\n'
    late = "    config.set_floatx('float16')\n    assert "
    path = study / "jobs" / "x.py"
    path.write_text(top + path.read_text().replace("    assert ", late))
    outcome, _ = do(study, way, NVIDIA_TF32_OVERRIDE="1")
    assert (outcome["metrics"]["tf32"], outcome["metrics"]["tensorflow"], outcome["metrics"]["single"]) == (
        1,
        0,
        0,
    )
    found = outcome["environment"]
    assert found["variables"]["NVIDIA_TF32_OVERRIDE"] == "0" and found["keras"]["floatx"] == "float16"


@pytest.mark.parametrize("way", ["python jobs/x.py", "run"])
def test_a_script_that_imports_keras_at_its_top_is_covered_too(study, way):
    path = study / "jobs" / "x.py"
    path.write_text(
        "import sys; sys.path.insert(0, '.')\nfrom keras.src.backend import config\n" + path.read_text()
    )
    assert do(study, way)[0]["metrics"]["last"] == 1


def test_what_does_not_count_is_reported_once_and_how_to_set_it(study):
    _, said = do(study, "python jobs/x.py", **AMBIENT)
    assert said.count("TF_DETERMINISTIC_OPS=1 in the environment is ignored") == 1
    assert 'os.environ["TF_DETERMINISTIC_OPS"]' in said and "LC_ALL" not in said
    assert "image_data_format=channels_first in keras.json is ignored" in said


def test_a_program_in_a_debugger_or_a_notebook_is_not_started_again(monkeypatch):
    monkeypatch.setattr(sys, "gettrace", lambda: None)  # these tests may be run under coverage
    own = environment._is_own_program
    assert own(["python", "jobs/x.py", "--a", "1"], ["jobs/x.py", "--a", "1"])
    assert own(["python", "-u", "-X", "dev", "-Wignore", "jobs/x.py"], ["jobs/x.py"])
    assert own(["python", "-m", "neurofit", "run", "x"], ["/lib/neurofit/__main__.py", "run", "x"])
    assert own(["python", "-m", "neurofit.worker", "s", "0"], ["/lib/neurofit/worker/__main__.py", "s", "0"])
    assert own(["python", "/bin/neurofit", "run", "x"], ["/bin/neurofit", "run", "x"])
    assert not own(["python", "-m", "pdb", "jobs/x.py"], ["jobs/x.py"])
    assert not own(["python", "/debugpy", "--connect", "5", "jobs/x.py"], ["jobs/x.py"])
    assert not own(["python", "/bin/ipython"], ["jobs/x.py"])
    assert not own(["python", "-E", "jobs/x.py"], ["jobs/x.py"])
    assert not own(["python", "-c", "..."], ["-c"])


@given(
    st.dictionaries(st.sampled_from([*environment.VALUES, "XLA_FLAGS", "HOME", "LANG"]), st.text("ab=- 1"))
)
def test_a_settled_environment_is_settled(found):
    wanted, ignored = environment.settled(found)
    assert environment.settled(wanted) == (wanted, {})
    assert all(found[name] == value for name, value in ignored.items())
    assert all(wanted.get(name) == value for name, value in environment.VALUES.items())


def test_where_cuda_lies_stays():
    wanted, ignored = environment.settled(
        {"XLA_FLAGS": "--xla_gpu_cuda_data_dir=/cuda --xla_gpu_autotune_level=0"}
    )
    assert wanted["XLA_FLAGS"] == "--xla_gpu_cuda_data_dir=/cuda" and "XLA_FLAGS" in ignored


@pytest.mark.slow
def test_the_real_keras_starts_from_its_own_defaults(bench, own_home):
    (own_home / ".keras").mkdir()
    settings = {
        "floatx": "float64",
        "epsilon": 0.5,
        "image_data_format": "channels_first",
        "backend": "tensorflow",
    }
    (own_home / ".keras" / "keras.json").write_text(json.dumps(settings))
    bench.script(
        "k",
        """
        def fit(task):
            import keras
            layer = keras.layers.Conv2D(2, 3)
            layer.build((None, 8, 9, 1))
            return {"last": int(layer.data_format == "channels_last"), "single": int(layer.kernel.dtype == "float32"),
                    "epsilon": keras.config.epsilon()}
        experiment = nf.Experiment(fit)
    """,
    )
    assert bench.run("k") == {"done": 1}
    (record,) = bench.outcomes("k")
    assert record["metrics"] == {"last": 1, "single": 1, "epsilon": 1e-7}
    program = "import neurofit as nf; nf.models; import keras; print(keras.config.image_data_format())"
    answer = subprocess.run([*PYTHON, "-c", program], capture_output=True, text=True)
    assert answer.stdout.strip() == "channels_last"


def test_tokens_of_other_programs_are_not_recorded(monkeypatch):
    monkeypatch.setenv("TF_TOKEN_registry_example", "secret")
    monkeypatch.setenv("TF_VAR_password", "secret")
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    variables = environment.record()["variables"]
    assert "secret" not in variables.values() and variables["TF_DETERMINISTIC_OPS"] == "1"
