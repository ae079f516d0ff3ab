"""What `neurofit data check` finds in data sets with planted faults."""

from __future__ import annotations

import json

import numpy as np
import pytest

from neurofit import datasets
from neurofit.datasets.examination import examine


def cells(images=60, neurons=6, trials=4, seed=0, **given):
    random = np.random.default_rng(seed)
    pixels = random.normal(size=(images, 20, 30))
    rates = 5 + 4 * random.normal(size=(images, 1, neurons))
    values = rates + random.normal(size=(images, trials, neurons))
    return {"images": pixels, "trials": np.abs(values), "name": "cells", **given}


def found(**given):
    return examine(datasets.from_arrays(**given))


def test_a_sound_data_set_has_no_warnings_and_its_facts_are_right():
    one = found(**cells(images=200, groups=np.arange(200) // 2))
    assert one.warnings == [] and one.alike == [] and one.across == 0
    assert one.facts["images"].startswith("200 of 20×30×1, values ")
    assert one.facts["trials"] == "4 per image" and one.facts["groups"].startswith("100 of 1 to 2 images")
    assert sum(one.parts.values()) == 200 and one.parts["test"] == 40
    assert one.signal.shape == one.consistency.shape == (6,) and (one.signal > 0.6).all()
    json.dumps(one.as_json())


def test_images_that_are_alike_are_found_unless_they_share_a_group():
    given = cells()
    noise = 0.01 * np.random.default_rng(1).normal(size=(30, 20, 30))
    given["images"][30:] = 3 * given["images"][:30] + noise + 7  # the same pictures, brighter
    one = found(**given)
    assert {(a, b) for a, b, _ in one.alike} == {(row, row + 30) for row in range(30)}
    (warning,) = one.warnings
    assert f"{one.across} pairs of images that are alike" in warning and one.across > 3
    assert found(**given, groups=np.arange(60) % 30).warnings == []


def test_an_official_split_is_the_one_that_is_looked_at():
    given = cells(official=["train"] * 40 + ["test"] * 20)
    given["images"][59] = given["images"][0] + 1e-3
    one = found(**given)
    assert one.parts["test"] == 20 and one.across == 1 and "such as 0 and 59" in one.warnings[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given["trials"].__setitem__((..., 2), 3.0), "1 neuron never changed its response"),
        (lambda given: given["trials"].__imul__(-1), "of the responses are negative"),
        (
            lambda given: given["images"].__setitem__(5, 1.0),
            "1 image of the input 'image' is of one value, such as 5",
        ),
        (
            lambda given: given["trials"].__setitem__((slice(40), ..., 1), np.nan),
            "Most responses of 1 neuron are missing",
        ),
    ],
    ids=["constant", "negative", "flat", "missing"],
)
def test_what_is_suspicious_is_said(change, message):
    given = cells()
    change(given)
    assert any(message in one for one in found(**given).warnings), found(**given).warnings


def test_neurons_without_signal_are_weak_and_others_are_not():
    given = cells(images=400, neurons=10)
    random = np.random.default_rng(3)
    given["trials"][..., :4] = random.normal(10, 1, size=(400, 4, 4))
    one = found(**given)
    assert any(text.startswith("4 neurons of 10 are weak") for text in one.warnings)
    np.testing.assert_allclose(one.signal[:4], 0, atol=0.08)


def test_without_trials_the_reliability_is_not_known():
    given = cells()
    given["responses"] = given.pop("trials").mean(axis=1)
    one = found(**given)
    assert one.signal is None and "not known" in one.facts["trials"]
    assert set(one.per_neuron()) == {"mean response", "share of responses that are missing"}


def test_a_data_set_of_two_images_is_said_to_be_too_small_to_split():
    assert any("cannot be split" in text for text in found(**cells(images=2)).warnings)


@pytest.mark.process
def test_on_the_command_line_with_a_picture(bench):
    said = bench.command("data", "check", "simulated", "-o", "picture.png")
    assert said.returncode == 0, said.stderr
    assert "1,350 of 31×31×1" in said.stdout and "Saved picture.png." in said.stdout
    assert (bench.root / "picture.png").read_bytes().startswith(b"\x89PNG")
    hinted = bench.command("data", "check", "simulated").stderr
    assert "neurofit data check simulated --output simulated.png" in hinted
    record = json.loads(bench.command("data", "check", "simulated", "--json").stdout)
    assert record["neurons"] == 48 and len(record["signal_share"]) == 48
    wrong = bench.command("data", "check", "simulate")
    assert wrong.returncode and "Did you mean 'simulated'" in wrong.stderr and "Traceback" not in wrong.stderr
