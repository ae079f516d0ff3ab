import numpy as np
import pytest
from scipy.io import savemat

from neurofit.datasets import Split, load, split
from neurofit.datasets.recordings.duplicates import rotated_copies
from neurofit.datasets.recordings.matlab import read_npy
from neurofit.errors import DataError
from neurofit.scores import correlation

NEURONS = {"01": 26, "02": 37, "03": 34, "04": 28, "05": 44, "06": 16}
REGIONS = {"region1": (10, 103), "region2": (8, 55), "region3": (12, 102)}


@pytest.fixture
def region(tmp_path):
    """region(**arrays): a data/ with one small region in the Antolík layout, of which some arrays are
    replaced.
    """

    def write(**arrays):
        rng = np.random.default_rng(0)
        trials = rng.random((5, 4, 3))
        given = {
            "training_inputs": rng.random((8, 9)) * 2.55e-4,
            "training_set": rng.random((8, 3)),
            "validation_inputs": rng.random((4, 9)) * 2.55e-4,
            "validation_set": trials.mean(axis=0),
            "raw_validation_set": trials,
        }
        folder = tmp_path / "antolik_2016" / "region1"
        folder.mkdir(parents=True)
        for name, array in {**given, **arrays}.items():
            np.save(folder / f"{name}.npy", array)
        return tmp_path

    return write


@pytest.fixture
def macaque(tmp_path):
    """macaque(**arrays): a data/ with recording 01, of these arrays."""

    def write(**arrays):
        (tmp_path / "macaque_v1").mkdir()
        savemat(tmp_path / "macaque_v1" / "01mean50ms_smallim_d2_crop.mat", arrays)
        return tmp_path

    return write


@pytest.mark.parametrize(("number", "neurons"), NEURONS.items())
def test_the_macaque_recordings_are_as_published(recordings, number, neurons):
    dataset = load(f"macaque_v1/{number}", recordings)
    assert dataset.inputs["image"].shape == (270, 33, 33, 1)
    assert dataset.responses.shape == (270, neurons)
    assert dataset.inputs["image"].mean() == pytest.approx(117.47, abs=0.01)
    assert dataset.valid.all()


def test_copies_of_a_photograph_are_one_group_in_every_recording(recordings):
    first, second = (load(f"macaque_v1/{number}", recordings).groups for number in ("01", "02"))
    assert first.tolist() == second.tolist()
    assert len(set(first.tolist())) == 94  # science.md 3.1: 94 to 141 by threshold


def test_joined_macaque_recordings_share_images_and_split_by_photograph(recordings):
    both = load("macaque_v1/01+02", recordings)
    assert (both.n_images, both.n_neurons) == (270, 26 + 37)
    parts = split(both, Split(train=180, validation=38, test=52), 0)
    assert not set(parts.train.groups) & set(parts.test.groups)


@pytest.mark.slow
def test_pixel_ridge_is_as_good_as_it_was_measured_to_be(recordings):
    # science.md 3.1: random splits 180/38/52, seeds 0-9, alpha chosen on the 38: .248 for session 02
    dataset = load("macaque_v1/02", recordings)
    pixels = dataset.inputs["image"].reshape(270, -1).astype(float)
    scores = []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(270)
        train, validation, test = order[:180], order[180:218], order[218:]
        scaled = (pixels - pixels[train].mean(axis=0)) / (pixels[train].std(axis=0) + 1e-9)
        predictions = _ridge(scaled[train], dataset.responses[train], scaled, 10.0 ** np.arange(1, 7))
        chosen = max(
            predictions, key=lambda p: np.nanmean(correlation(dataset.responses[validation], p[validation]))
        )
        scores.append(np.nanmean(correlation(dataset.responses[test], chosen[test])))
    assert np.mean(scores) == pytest.approx(0.248, abs=0.03)


@pytest.mark.parametrize(("name", "shape"), REGIONS.items())
def test_the_test_images_of_antolik_can_be_had_alone(recordings, name, shape):
    dataset = load(f"antolik_2016/{name}/test", recordings)
    trials, neurons = shape
    assert dataset.trials.shape == (50, trials, neurons)
    assert dataset.image_shape == (31, 31, 1)
    np.testing.assert_allclose(dataset.trials.mean(axis=1), dataset.responses)


@pytest.mark.parametrize(
    ("name", "expected"), [("region1", 0.2407), ("region2", 0.1821), ("region3", 0.2091)]
)
def test_reliabilities_of_antolik_are_the_measured_ones(recordings, name, expected):
    # science.md 6, column FEV; cut at 0, which moves the mean up a little
    reliability = load(f"antolik_2016/{name}/test", recordings).neurons["reliability"]
    assert reliability.mean() == pytest.approx(expected, abs=0.002)


def test_regions_with_a_plus_are_stacked_and_shared_images_are_one_group(recordings):
    both = load("antolik_2016/region1/test+region2/test", recordings)
    assert both.responses.shape == (100, 158)
    assert both.mask.sum() == 50 * 103 + 50 * 55
    assert len(set(both.groups.tolist())) == 50  # the same animal, the same images


def test_a_region_has_its_validation_images_as_the_official_test_set(region):
    dataset = load("antolik_2016/region1", region())
    assert dataset.official.tolist() == ["train"] * 8 + ["test"] * 4
    assert dataset.image_ids[[0, 8]].tolist() == ["train/0000", "test/0000"]
    assert dataset.trials.shape == (12, 5, 3)
    assert np.isfinite(dataset.trials[0]).sum() == 3
    np.testing.assert_array_equal(dataset.trials[:8, 0], dataset.responses[:8])
    parts = split(dataset, Split(validation=0.25), 0)
    assert [part.n_images for _, part in parts.items()] == [6, 2, 4]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"training_set": np.ones((7, 3))}, r"8 images but 7 rows of responses: 'training_inputs' \(8, 9\)"),
        (
            {"raw_validation_set": np.ones((5, 6, 3))},
            "6 images but 4 rows of responses: 'raw_validation_set'",
        ),
        (
            {"training_set": np.ones((8, 4))},
            "differ in their number of neurons: training_set 4, validation_set 3",
        ),
        (
            {"training_inputs": np.ones((8, 10))},
            "training_inputs has 10 pixels per image, which is not a square number",
        ),
        ({"validation_set": np.ones(4)}, r"validation_set\.npy: .* is float64 \(4,\), expected numbers"),
        ({"validation_set": np.full((4, 3), "x")}, r"validation_set.npy: 'validation_set' is <U1"),
    ],
)
def test_files_of_a_region_that_do_not_fit_are_named(region, arrays, message):
    with pytest.raises(DataError, match=message):
        load("antolik_2016/region1", region(**arrays))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"images": np.ones((6, 9, 9))},
            r"01mean.*\.mat: no array 'activity' in this file; expected images",
        ),
        (
            {"images": np.ones((6, 9, 9)), "activity": np.ones((5, 2))},
            "6 images but 5 rows of responses: 'images'",
        ),
        (
            {"images": np.ones((6, 81)), "activity": np.ones((6, 2))},
            r"'images' is float64 \(6, 81\), expected numbers",
        ),
    ],
)
def test_a_macaque_file_that_is_not_as_expected_is_named(macaque, arrays, message):
    with pytest.raises(DataError, match=message):
        load("macaque_v1/01", macaque(**arrays))


def test_an_npy_file_cut_short_anywhere_is_a_data_error(tmp_path):
    path = tmp_path / "training_set.npy"
    np.save(path, np.ones((8, 3)))
    content = path.read_bytes()
    for length in range(0, len(content), 9):
        path.write_bytes(content[:length])
        with pytest.raises(
            DataError, match=rf"training_set\.npy \({length} bytes\) cannot be read as a NumPy array"
        ):
            read_npy(path)


def test_altered_bytes_of_an_npy_file_are_read_or_a_data_error(tmp_path):
    path = tmp_path / "training_set.npy"
    np.save(path, np.ones((8, 3)))
    content = path.read_bytes()
    for place in range(128):
        for flip in (0xFF, 0x01, 0x20):
            path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            try:
                read_npy(path)
            except DataError as error:
                assert "training_set.npy" in str(error)


def test_pickled_objects_are_not_read(tmp_path):
    np.save(tmp_path / "training_set.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read as a NumPy array"):
        read_npy(tmp_path / "training_set.npy")


def test_turned_copies_are_found_and_other_images_are_not():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(5, 17, 17)), axis=1), axis=2)
    images = np.stack(
        [smooth[0], np.rot90(smooth[0]), smooth[1], np.rot90(smooth[1], 2), rng.normal(size=(17, 17))]
    )
    assert rotated_copies(images).tolist() == [0, 0, 1, 1, 2]


def test_a_grey_image_is_a_copy_of_nothing():
    assert rotated_copies(np.ones((2, 9, 9))).tolist() == [0, 1]


def _ridge(x, y, to, alphas) -> list[np.ndarray]:
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    projected = left.T @ (y - y.mean(axis=0))
    weights = [right.T @ ((singular / (singular**2 + alpha))[:, None] * projected) for alpha in alphas]
    return [to @ weight + y.mean(axis=0) for weight in weights]
