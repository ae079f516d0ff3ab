"""Features are listed, and removed on request, but never while a task or another process may use them."""

from __future__ import annotations

import json
import os
import time

import pytest
from numpy_network import NumpyNetwork, stimuli

from neurofit import features
from neurofit.orchestrate import clean
from neurofit.store.features import FOLDER, listed
from neurofit.store.work_claims import HeldClaim, claim, claims

QUICK = """
def fit(task, *, x=1):
    return {"x": x}
experiment = nf.Experiment(fit, grid=nf.grid(x=[1]))
"""


@pytest.fixture
def extracted(bench):
    """Two layers that nobody has used for two hours."""
    (bench.root / "data").mkdir(exist_ok=True)
    features.extract(NumpyNetwork(), stimuli(), ["all", "rows"], study=bench.study)
    age(bench)
    return bench


def age(bench, seconds=7200.0):
    old = time.time() - seconds
    folder = bench.study.training_data / FOLDER
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.utime(os.path.join(above, name), (old, old))


def cleaned(bench):
    found = clean.survey(bench.study, features=True)
    clean.remove(bench.study, found.waste)
    return found


def test_features_are_removed_only_on_request(extracted):
    clean.remove(extracted.study, clean.survey(extracted.study).waste)
    assert len(listed(extracted.study)) == 2
    (waste,) = cleaned(extracted).waste
    assert waste.kind == clean.FEATURES and len(waste.paths) == 2 and waste.size_bytes > 4 * 100 * 105
    assert listed(extracted.study) == []
    assert list((extracted.study.training_data / FOLDER).iterdir()) == []


def test_features_that_were_opened_a_moment_ago_stay(extracted):
    kept = features.open(NumpyNetwork(), stimuli(), "all", study=extracted.study)
    found = cleaned(extracted)
    assert found.left_alone == [
        "1 layer(s) of features were kept: they were used within the last hour, or are being computed."
    ]
    assert [one.files.key for one in listed(extracted.study)] == [kept.key]


def test_features_that_are_being_computed_stay(extracted):
    for one in listed(extracted.study):
        assert isinstance(claim(one.files.folder), HeldClaim)
    age(extracted)
    for one in listed(extracted.study):
        (claims(one.files.folder)[-1] / "heartbeat").touch()
    assert all(one.holder is not None for one in listed(extracted.study))
    cleaned(extracted)
    assert len(listed(extracted.study)) == 2


def test_features_stay_while_a_task_is_queued(extracted, processes):
    extracted.script("quick", QUICK)
    extracted.script(
        "slow",
        "import time\n" + QUICK.replace("return", "time.sleep(60 if task.params['x'] == 1 else 0); return"),
    )
    extracted.submit("slow")
    try:
        found = cleaned(extracted)
        assert any(
            line.startswith("Features were kept, because a task may use them: slow")
            for line in found.left_alone
        )
        assert len(listed(extracted.study)) == 2
    finally:
        extracted.command("cancel", "slow", "--yes")
        extracted.wait("slow")
    age(extracted)
    cleaned(extracted)
    assert listed(extracted.study) == []


def test_a_folder_that_was_being_removed_when_a_process_died_is_a_leftover(extracted):
    folder = extracted.study.training_data / FOLDER
    one = next(path for path in folder.iterdir() if path.name[0] != ".")
    away = one.with_name(f".{one.name}.1-ab.partial")
    one.rename(away)
    age(extracted)
    assert [waste.paths for waste in clean.survey(extracted.study).waste] == [[away]]


def test_the_command_lists_what_there_is(extracted, processes):
    table = extracted.command("data", "features").stdout
    for word in (
        "sums",
        "given",
        "all",
        "rows",
        "100 of noise",
        "90",
        "36.1 kB",
        "2.0 h",
        "2 layers, 42.3 kB.",
    ):
        assert word in table
    answer = json.loads(extracted.command("data", "features", "--json").stdout)["features"]
    assert {one["layer"] for one in answer} == {"all", "rows"} and all(one["complete"] for one in answer)
    next(path for path in (extracted.study.training_data / FOLDER).rglob("features.json")).write_text("{")
    table = extracted.command("data", "features").stdout
    assert "damaged" in table
    answer = json.loads(extracted.command("clean", "--features", "--yes", "--json").stdout)
    assert answer["removed"] == 1, "the folder that changed a moment ago stays"


def test_a_study_without_features_says_so(bench, processes):
    assert bench.command("data", "features").stdout == "This study has no features.\n"
    assert json.loads(bench.command("data", "features", "--json").stdout) == {"features": []}


def test_weights_are_fetched_only_of_known_networks(bench, processes):
    answer = bench.command("data", "fetch-weights", "ResNet5")
    assert answer.returncode == 1 and "No network 'ResNet5'. Did you mean 'ResNet50'?" in answer.stderr
    answer = bench.command("data", "fetch-weights", "ResNet50", "--dry-run")
    assert answer.stdout == "data/weights/ResNet50.keras would be downloaded.\n"


@pytest.mark.slow
def test_weights_that_cannot_be_downloaded_are_an_error_that_says_what_to_do(bench, own_home):
    environment = {**os.environ, "KERAS_HOME": str(own_home / "keras"), "https_proxy": "http://127.0.0.1:9"}
    answer = bench.command("data", "fetch-weights", "MobileNet", env=environment)
    assert answer.returncode == 1 and "The weights of MobileNet could not be downloaded" in answer.stderr
    assert not (bench.root / "data" / "weights").exists()
