"""Without an extra, what needs it says which one to install, and everything else works."""

from __future__ import annotations

import subprocess
import sys

import pytest

from neurofit.errors import MissingExtra, described, install, missing_extra

REMEDY = install("models")


def python(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_an_import_that_fails_for_want_of_an_extra_is_known():
    error = ModuleNotFoundError("No module named 'keras'", name="keras")
    assert missing_extra(error) == "models"
    assert described(error).endswith(f"{REMEDY}.")


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'torch'", name="torch"),
        ModuleNotFoundError("No module named 'tensorflow.python'", name="tensorflow.python"),  # damaged
        ImportError("cannot import name 'x' from 'keras'", name="keras"),
        ValueError("keras"),
    ],
)
def test_other_errors_are_not_about_an_extra(error):
    assert missing_extra(error) is None and "pip install" not in described(error)


@pytest.mark.parametrize("name", ["layers", "regularizers", "losses"])
def test_a_public_name_that_needs_an_extra_says_which(without_models, name):
    answer = python(f"import neurofit as nf; nf.models.{name}", without_models)
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith("neurofit.errors.MissingExtra: neurofit.models")
    assert last.endswith(f"needs keras, which is not installed: {REMEDY}.") or "tensorflow" in last


def test_an_hdf5_file_that_needs_an_extra_says_which_and_is_still_listed(without_models, tmp_path):
    path = tmp_path / "data" / "majaj_2015" / "IT_data.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not looked at")
    answer = python(
        f"import neurofit as nf; nf.datasets.load('majaj_2015', {str(path.parents[1])!r})", without_models
    )
    last = answer.stderr.strip().splitlines()[-1]
    assert last == f"neurofit.errors.MissingExtra: {path} needs h5py, which is not installed: {REMEDY}."
    listed = f"print([one.present for one in nf.datasets.known({str(path.parents[1])!r}) if one.present])"
    answer = python(f"import neurofit as nf; {listed}", without_models)
    assert answer.stdout == "[['simulated'], ['majaj_2015']]\n"


def test_what_is_optional_can_still_be_tried(without_models):
    code = "import neurofit as nf\ntry: nf.models.layers\nexcept ImportError: print('without')"
    assert python(code, without_models).stdout == "without\n"


def test_a_script_that_needs_an_extra_is_refused_with_one_line_that_names_it(without_models, bench):
    bench.script("deep", "layers = nf.models.layers\nexperiment = nf.Experiment(lambda task: {'m': 1})")
    answer = bench.command("submit", "deep", env=without_models)
    assert answer.returncode == 1 and REMEDY in answer.stderr and "Traceback" not in answer.stderr


def test_a_task_that_needs_an_extra_fails_with_the_command_that_installs_it(without_models, bench):
    bench.script(
        "deep", "def fit(task):\n    import keras\n    return {'m': 1}\nexperiment = nf.Experiment(fit)"
    )
    answer = bench.command("submit", "deep", env=without_models)
    assert answer.returncode == 3 and REMEDY in answer.stdout


def test_a_fit_of_the_package_is_queued_and_says_what_it_needs(without_models, bench):
    bench.script(
        "deep",
        """
        fit = nf.models.Fit(nf.models.architectures.hsm, data="simulated", split=nf.datasets.Split(0.8, 0.1, 0.1))
        experiment = nf.Experiment(fit)
        """,
    )
    answer = bench.command("submit", "deep", env=without_models)
    assert answer.returncode in (1, 3) and REMEDY in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_plain_fit_runs_without_any_extra(without_models, bench):
    bench.script("plain", "experiment = nf.Experiment(lambda task: {'m': task.repetition}, repetitions=2)")
    bench.runner()
    assert bench.command("submit", "plain", env=without_models).returncode == 0
    table = bench.command("results", "plain", "--format", "csv", env=without_models)
    assert table.returncode == 0 and table.stdout.count("done") == 2


def test_a_runner_is_checked_without_any_extra(without_models, bench):
    bench.runner()
    answer = bench.command("runners", "check", "local", env=without_models)
    assert answer.returncode == 0, answer.stdout
    assert "tensorflow is not installed, as here" in answer.stdout


def test_a_library_that_is_installed_here_is_missing_in_a_job(without_models, bench):
    text = f"backend: local\nsetup: ['export PYTHONPATH={without_models['PYTHONPATH']}']\n"
    bench.runner(text=text)
    answer = bench.command("runners", "check", "local")
    assert answer.returncode == 1 and "No module named 'tensorflow'" in answer.stdout


def test_a_missing_extra_is_an_error_of_neurofit_and_of_an_import():
    error = MissingExtra("x needs keras", name="keras")
    assert isinstance(error, ModuleNotFoundError) and error.name == "keras" and str(error) == "x needs keras"
