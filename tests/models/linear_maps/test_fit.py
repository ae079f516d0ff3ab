"""A linear map as the fit of an experiment. No TensorFlow."""

import json

import numpy as np
import pytest

import neurofit as nf
from neurofit.datasets import Dataset
from neurofit.errors import DataError, GridError, ShapeError
from neurofit.models.baselines import pixels
from neurofit.models.linear_maps import MapFit, MapRecipe, SavedMap

GROUPED = MapRecipe(fold_rule="grouped", alphas=(0.1, 1.0, 10.0, 100.0))


def toy() -> Dataset:
    """80 images in 40 groups; neurons that are linear in the pixels, with noise."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(80, 5, 5, 1))
    responses = images.reshape(80, 25) @ rng.normal(size=(25, 4)) + 2 * rng.normal(size=(80, 4)) + 9
    return Dataset("toy", {"image": images}, responses, groups=np.arange(80) // 2)


def halves(images, *, power=1.0):
    """Two bands: the upper rows of the pixels, and the others."""
    flat = images.reshape(len(images), -1) ** power
    return [flat[:, :10], flat[:, 10:]]


FIT = MapFit({"pixels": pixels, "halves": halves}, data=toy, mapping=GROUPED)


@pytest.mark.parametrize(
    "axes",
    [
        {"kind": "ridge"},
        {"kind": "ridge", "per_neuron": True},
        {"kind": "ols"},
        {"kind": "pca_ridge", "components": [5, 20]},
        {"kind": "pls", "components": [2, 4]},
        {"kind": "banded", "band_samples": 2, "architecture": "halves"},
        {"kind": "ridge", "architecture": "halves"},
    ],
)
def test_every_map_can_be_an_axis_and_leaves_a_map_that_predicts_other_images(desk, axes):
    metrics = desk.run(FIT, **{"architecture": "pixels", **axes})
    assert metrics["test/correlation"] > 0.5
    folder = desk.last.folder
    with np.load(folder / "predictions.npz") as kept:
        test = kept["part"] == "test"
        expected, images = kept["predictions"][test], kept["image_id"][test]
    found = FIT.predict(folder, toy().take(images), desk.root)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-4)
    assert json.loads((folder / "recipe.json").read_text())["mapping"]["kind"] == axes["kind"]
    assert isinstance(FIT.load(folder), SavedMap)


def test_an_alpha_at_the_edge_is_a_warning_of_the_task_which_tables_print(desk):
    desk.run(FIT, architecture="pixels", alphas=[1e-4, 1e-2])
    facts = desk.last.facts
    assert facts["warnings"] == [
        "alpha is the highest of its grid (0.01) for some neurons: extend the grid of alphas."
    ]
    assert (facts["at_edge"]["highest"], facts["alpha"]) == (4, 1e-2)
    row = {"run": 1, "state": "done", "facts": facts}
    from neurofit.tables.notes import notes

    assert any("alpha is the highest of its grid (0.01)" in note for note in notes([row]))


def test_copies_of_an_image_are_in_one_fold_unless_labels_are_given(desk):
    desk.run(FIT, architecture="pixels")
    assert "warnings" not in desk.last.facts
    labelled = MapFit(pixels, data=toy, labels=lambda part: np.arange(part.n_images) % 3)
    with pytest.raises(DataError, match=r"folds=5, grouped by 3 labels"):
        desk.run(labelled, fold_rule="grouped")
    assert labelled.settings()["labels"] != FIT.settings().get("labels")
    assert desk.run(labelled, fold_rule="stratified")["test/correlation"] > 0.5


def test_folds_are_stratified_by_a_label_of_the_data_set(desk):
    def cells():
        data = toy()
        return data.derived(labels={"object": np.arange(data.n_images) % 3})

    named = MapFit(pixels, data=cells, labels="object", mapping=MapRecipe(alphas=(1.0, 10.0)))
    assert named.settings()["labels"] == "object"
    assert desk.run(named)["test/correlation"] > 0.5
    with pytest.raises(DataError, match=r"toy: no label 'objct'. Labels: object. Did you mean 'object'\?"):
        desk.run(MapFit(pixels, data=cells, labels="objct"))


def test_arguments_of_features_and_settings_of_maps_are_axes_and_wrong_ones_are_refused():
    experiment = nf.Experiment(
        FIT, grid=nf.grid(architecture=["halves"], power=[1, 2], kind=["ols", "banded"], folds=[4])
    )
    assert len(experiment.runs()) == 4
    with pytest.raises(GridError, match=r"kind='rigde'.*Did you mean 'ridge'"):
        FIT.check({"architecture": "pixels", "kind": "rigde"})
    with pytest.raises(GridError, match="components=5 is for the kinds"):
        FIT.check({"architecture": "pixels", "components": 5})


def test_folds_are_grouped_by_default_and_stratified_ones_need_labels():
    plain = MapFit(pixels, data=toy)
    assert plain.mapping.fold_rule == "grouped" and plain.settings()["mapping"] == {"fold_rule": "grouped"}
    with pytest.raises(GridError, match="fold_rule='stratified' needs labels"):
        plain.check({"fold_rule": "stratified"})
    MapFit(pixels, data=toy, labels=len).check({"fold_rule": "stratified"})


def test_a_map_refuses_images_of_another_size(desk):
    desk.run(FIT, architecture="pixels")
    with pytest.raises(ShapeError):
        FIT.predict(desk.last.folder, np.zeros((3, 6, 6, 1)), desk.root)
