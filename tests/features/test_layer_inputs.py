"""A layer's activations as the input of a model: what they are, and how other images are predicted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy_network import stimuli

from neurofit import features, process
from neurofit.datasets import Dataset
from neurofit.errors import DataError, UsageError


def cells(images) -> Dataset:
    """Every image but the first ten, backwards."""
    ids = images.ids[:9:-1]
    return Dataset(
        "cells",
        {"image": images.read(slice(None)).astype(np.float32)[:9:-1]},
        np.random.default_rng(0).normal(size=(len(ids), 3)),
        image_ids=ids,
        official=np.repeat(["train", "test"], [len(ids) - 20, 20]),
        labels={"object": np.arange(len(ids)) % 7},
    )


def test_activations_replace_images_in_the_order_of_the_data_set(study, images, network):
    recorded = cells(images)
    found = features.with_activations(recorded, images, network, "all", study=study)
    expected = images.read(slice(None)).astype(np.float32)[:9:-1] / 255 * 2
    np.testing.assert_allclose(found.inputs["image"], expected, rtol=1e-6)
    assert found.name == "cells, sums (given) all" and found.image_shape == (6, 5, 3)
    for kept in ("responses", "image_ids", "groups", "official"):
        assert np.array_equal(getattr(found, kept), getattr(recorded, kept))
    assert np.array_equal(found.label("object"), recorded.label("object"))


def test_a_layer_without_maps_is_a_map_of_one_pixel(study, images, network):
    found = features.with_activations(cells(images), images, network, "rows", study=study)
    assert found.image_shape == (1, 5, 3)


def test_what_does_not_go_together_is_refused(study, images, network):
    few = stimuli(50)
    with pytest.raises(
        DataError, match=r"50 of its images, such as 'image 99', are not in the stimulus set noise"
    ):
        features.with_activations(cells(images), few, network, "all", study=study)
    with pytest.raises(DataError, match=r"means 2 layers \(channels, all\); expected one"):
        features.with_activations(cells(images), images, network, "*l*", study=study)


def test_memory_is_forecast_before_anything_is_computed(study, images, network, monkeypatch):
    monkeypatch.setattr(process, "memory_available", lambda: 100_000)
    with pytest.raises(UsageError, match=r"'all' of sums is \(100, 6, 5, 3\).* needs about 0\.00 GB"):
        features.with_activations(cells(images), images, network, "all", study=study)
    assert not network.passes
