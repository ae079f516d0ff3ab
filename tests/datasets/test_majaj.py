"""The IT recordings: reading the file, its labels, and files that are not as they should be."""

import itertools
import json

import h5py
import numpy as np
import pytest

from neurofit import datasets
from neurofit.datasets.recordings.majaj import CATEGORIES, CATEGORY_OF, FILE, dataset
from neurofit.errors import DataError, NameUnknown, NeurofitError

SMALL = datasets.ExampleOptions(images=128, size=39, neurons=5)


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """A small file, which tests read and must not change."""
    return datasets.make_example("majaj_2015", tmp_path_factory.mktemp("it") / "data" / "majaj_2015", SMALL)


@pytest.fixture
def data(example):
    return example.parents[1]


@pytest.fixture
def broken(tmp_path, example):
    """broken(change): a data/ with a copy of the file that `change` was applied to."""
    numbers = itertools.count()

    def make(change=None):
        folder = tmp_path / str(next(numbers)) / "data" / "majaj_2015"
        folder.mkdir(parents=True)
        (folder / FILE).write_bytes(example.read_bytes())
        if change is not None:
            with h5py.File(folder / FILE, "r+") as file:
                change(file)
        return folder.parent

    return make


def test_the_data_set_has_training_images_and_validation_images_as_its_test_set(data, example):
    cells = datasets.load("majaj_2015", data)
    assert cells.inputs["image"].shape == (128 + 14, 39, 39, 3)
    assert cells.responses.shape == (142, 5)
    assert cells.official.tolist() == ["train"] * 128 + ["test"] * 14
    assert cells.label("object")[0] in CATEGORY_OF and cells.label("category")[0] in CATEGORIES
    assert cells.image_ids[[0, 128]].tolist() == ["train/0000", "val/0000"]
    with h5py.File(example) as file:
        np.testing.assert_array_equal(cells.inputs["image"][3], file["stimulus_train"][3].transpose(1, 2, 0))
        np.testing.assert_array_equal(cells.responses[128:], file["spikes_val"][()])
    parts = datasets.split(cells, datasets.Split(validation=0.2, rule="exact"), seed=0)
    assert [part.n_images for _, part in parts.items()] == [102, 26, 14]


def test_stimulus_sets_are_read_by_part_and_in_the_order_of_the_data_set(data, example):
    train, hidden = (datasets.load_stimuli(f"majaj_2015/{part}", data) for part in ("train", "test"))
    assert train.shape == (128, 39, 39, 3)
    assert hidden.ids[0] == "test/0000"
    assert set(train.label("category")) == set(CATEGORIES)
    both = datasets.load_stimuli("majaj_2015", data)
    cells = datasets.load("majaj_2015", data)
    np.testing.assert_array_equal(both.ids, cells.image_ids)
    np.testing.assert_array_equal(both.read([0, 130]), cells.inputs["image"][[0, 130]])
    raw = datasets.conversion(train.pixels, "raw").apply(train.read([5]))
    assert np.abs(raw - np.rint(raw)).max() < 1e-3


def test_sixty_four_objects_are_in_eight_categories_of_eight():
    assert len(CATEGORY_OF) == 64
    assert {len(names.split()) for names in CATEGORIES.values()} == {8}
    names = ["face0003", "_001", "_44", "car_astra", "Chair3", "airplane2", "apple", "table4", "ship_1"]
    expected = ["faces", "chairs", "tables", "cars", "chairs", "planes", "fruits", "tables", "boats"]
    assert datasets.categories(names).tolist() == expected
    with pytest.raises(
        DataError, match=r"No category is known for 1 objects: 'face009x'\..*Did you mean 'face"
    ):
        datasets.categories(["face009x", "bear"])


def test_unknown_objects_have_no_category_but_are_read(broken):
    def rename(file):
        file["object_val"][0] = b"teapot"

    images = datasets.load_stimuli("majaj_2015/val", broken(rename))
    assert images.label("object")[0] == "teapot"
    with pytest.raises(DataError, match=r"no label 'category'\. Labels: object"):
        images.label("category")


def test_labels_in_latin_1_are_read(broken):
    def rename(file):
        objects = file["object_val"][()].astype("S30")
        objects[1] = "théière".encode("latin-1")
        del file["object_val"]
        file.create_dataset("object_val", data=objects.astype(object), dtype=h5py.string_dtype("ascii"))

    assert datasets.load_stimuli("majaj_2015/val", broken(rename)).label("object")[1] == "théière"


def test_equal_images_are_one_group(broken):
    def repeat(file):
        file["stimulus_train"][7] = file["stimulus_train"][2]

    groups = datasets.load("majaj_2015", broken(repeat)).groups
    assert groups[7] == groups[2]
    assert len(set(groups)) == len(groups) - 1


def test_images_can_be_resized_when_it_is_asked_for(data):
    cells = dataset(data / "majaj_2015", resize=(16, 16))
    assert cells.image_shape == (16, 16, 3)
    assert cells.name == "majaj_2015 (example), resized to 16×16"


def delete(key):
    def change(file):
        del file[key]

    return change


def replace(key, values):
    def change(file):
        old = file[key][()]
        del file[key]
        file[key] = values(old)

    return change


def constant(file):
    file["spikes_train"][:, 3] = 0.5


def channels_last(file):
    for part in ("train", "val", "test"):
        replace(f"stimulus_{part}", lambda old: np.moveaxis(old, 1, -1).copy())(file)


BROKEN = [
    (delete("spikes_val"), r"no 'spikes_val' in this file\. It has: object_test, .*Download it again"),
    (delete("object_train"), r"no 'object_train' in this file"),
    (delete("stimulus_test"), r"no 'stimulus_test' in this file"),
    (
        replace("spikes_train", lambda old: old[:-1]),
        r"'train' differ in their number of images: .*\(127, 5\)",
    ),
    (
        replace("spikes_val", lambda old: old[:, :4]),
        r"differ in their number of neurons: .*spikes_val \(14, 4\)",
    ),
    (replace("spikes_val", lambda old: old[0]), r"'spikes_val' has shape \(5,\) .*\(image, neuron\)"),
    (
        replace("stimulus_val", lambda old: old[..., :30]),
        r"differ in their size of image: .*\(14, 3, 39, 30\)",
    ),
    (
        replace("stimulus_val", lambda old: old[0]),
        r"'stimulus_val' has shape .*\(image, channel, height, width\)",
    ),
    (
        replace("stimulus_train", lambda old: (old * 50).astype(int)),
        r"'stimulus_train' .*floating-point numbers",
    ),
    (
        replace("object_val", lambda old: np.arange(14)),
        r"'object_val' has shape \(14,\) and type 'i', .*bytes",
    ),
    (replace("object_test", lambda old: old[:3]), r"'test' differ in their number of images"),
    (constant, r"responses of 1 of 5 neurons are constant \(3\).*neither fitted nor scored"),
    (
        replace("spikes_train", lambda old: old * np.nan),
        r"NaN or infinite responses of neurons 0, 1, 2, 3, 4",
    ),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_a_file_that_lacks_something_is_refused_with_what_was_expected(broken, change, message):
    folder = broken(change)
    with pytest.raises(DataError, match=message):
        datasets.load("majaj_2015", folder)
    with pytest.raises(DataError, match=rf"IT_data\.h5 is not added: (.|\n)*{message}"):
        datasets.add("majaj_2015", folder, folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("object_val", lambda old: np.array([b""] + old[1:].tolist())), "no label for images 0"),
        (
            channels_last,
            "look like channels last",
        ),
        (
            replace("stimulus_val", lambda old: np.abs(old) * 100),
            "look like 0…255, not normalised",
        ),
        (replace("stimulus_test", lambda old: np.where(old == old.max(), np.nan, old)), "NaN or infinite"),
    ],
)
def test_a_file_with_wrong_images_or_labels_is_not_added(broken, tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        datasets.add("majaj_2015", broken(change), tmp_path / "new")
    assert not list((tmp_path / "new").rglob("*.h5"))


def test_a_truncated_file_is_not_added(broken, tmp_path):
    folder = broken()
    path = folder / "majaj_2015" / FILE
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"cannot be read as an HDF5 file .*truncated.*download it again"):
        datasets.add("majaj_2015", folder, tmp_path / "new")


def test_a_changed_byte_is_an_error_or_changes_values_but_nothing_else(broken, tmp_path):
    folder = broken()
    path = folder / "majaj_2015" / FILE
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, 20_000, 150):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            datasets.load("majaj_2015", folder)
        except NeurofitError as error:
            assert str(path) in str(error) or "majaj_2015" in str(error)


def test_a_good_file_is_added_and_found(example, tmp_path):
    assert datasets.add("majaj_2015", example, tmp_path) == [tmp_path / "majaj_2015" / FILE]
    assert datasets.add("majaj_2015", example.parent, tmp_path) == []
    known = {one.name: one for one in datasets.known(tmp_path)}["majaj_2015"]
    assert (known.present, known.missing) == (["majaj_2015"], [])
    assert known.description.endswith("an example made by make-example")


def test_missing_files_are_reported_with_the_command_that_adds_them(tmp_path):
    with pytest.raises(DataError, match=r"majaj_2015: no file .*data add majaj_2015 PATH(.|\n)*make-example"):
        datasets.load("majaj_2015", tmp_path)
    with pytest.raises(
        NameUnknown, match=r"No stimulus set 'majaj_2015/vall'.*Did you mean 'majaj_2015/val'"
    ):
        datasets.load_stimuli("majaj_2015/vall", tmp_path)
    with pytest.raises(NameUnknown, match=r"majaj_2015: no recording 'train'\. Known: majaj_2015\."):
        datasets.load("majaj_2015/train", tmp_path)


def test_one_batch_is_read_without_unpacking_the_file(data, monkeypatch):
    images = datasets.load_stimuli("majaj_2015/train", data)
    ranges = []
    original = type(images.source).range
    monkeypatch.setattr(
        type(images.source), "range", lambda self, a, b: ranges.append((a, b)) or original(self, a, b)
    )
    images.read(slice(16, 32))
    images.read([40, 41, 90])
    assert ranges == [(16, 32), (40, 42), (90, 91)]


def test_converted_images_are_the_same_and_are_used(broken):
    folder = broken()
    before = datasets.load_stimuli("majaj_2015/val", folder)
    forecast = datasets.convert_images("majaj_2015", folder, dry_run=True)
    assert forecast.needed_bytes == (128 + 14 + 14) * 39 * 39 * 3 * 4
    assert not list(folder.rglob("*.npy"))
    written = datasets.convert_images("majaj_2015", folder)
    assert [path.name for path in written.files] == [
        f"stimulus_{part}.npy" for part in ("train", "val", "test")
    ]
    after = datasets.load_stimuli("majaj_2015/val", folder)
    assert after.source.path.suffix == ".npy"
    assert after.hash() == before.hash()
    assert after.pixels == before.pixels
    assert datasets.convert_images("majaj_2015", folder).files == ()


def test_converted_images_of_another_file_are_not_used(broken):
    folder = broken()
    datasets.convert_images("majaj_2015", folder)
    with h5py.File(folder / "majaj_2015" / FILE, "r+") as file:
        file["stimulus_val"][0] = file["stimulus_val"][1]
    assert datasets.load_stimuli("majaj_2015/val", folder).source.path.suffix == ".h5"
    assert len(datasets.convert_images("majaj_2015", folder, dry_run=True).files) == 3


def test_a_disk_that_is_too_small_is_reported_before_anything_is_written(broken, monkeypatch):
    folder = broken()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2_000_000})())
    with pytest.raises(
        DataError, match=r"converted images of IT_data\.h5 need 0\.00285 GB, but 0\.002 GB are free"
    ):
        datasets.convert_images("majaj_2015", folder)
    assert not list(folder.rglob("*.npy"))
    with pytest.raises(DataError, match=r"example images .* need 2\.98 GB, but 0\.002 GB are free"):
        datasets.make_example("majaj_2015", folder, datasets.ExampleOptions(images=4050, size=224))


def test_the_recipe_is_in_the_example(example):
    with h5py.File(example) as file:
        recipe = json.loads(file["truth"].attrs["recipe"])
    assert recipe == {"images": 128, "size": 39, "neurons": 5, "ceiling": 0.6, "layer": "layer2", "seed": 0}
