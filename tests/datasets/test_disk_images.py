"""Images that stay on disk are, to the last bit, those in memory: values, subsets, statistics, digests."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import neurofit as nf
from neurofit.datasets.disk_images import DiskImages
from neurofit.datasets.pixels import PixelFormat
from neurofit.datasets.recordings import majaj
from neurofit.errors import DataError

SMALL = nf.datasets.ExampleOptions(images=64, size=39, neurons=4, layer="layer1")


def in_file(folder, images):
    np.save(folder / "images.npy", images)
    return nf.datasets.StimulusSet.from_npy("images", folder / "images.npy", PixelFormat(0, 1))


def values_of(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    study = tmp_path_factory.mktemp("study")
    nf.datasets.make_example("majaj_2015", study / "data" / "majaj_2015", SMALL)
    return study / "data" / "majaj_2015"


@pytest.fixture(scope="module")
def converted(folder):
    nf.datasets.convert_images("majaj_2015", folder.parent)
    return folder


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 60), st.integers(1, 40), st.integers(1, 40)),
    block=st.integers(15, 21),
    seed=st.integers(0, 99),
)
def test_statistics_are_those_of_numpy_to_the_last_bit(shape, block, seed, tmp_path_factory):
    values = values_of(*shape, 3, seed=seed)
    images = DiskImages.of(in_file(tmp_path_factory.mktemp("images"), values), block_bytes=2**block)
    rows = np.random.default_rng(seed).permutation(len(values))[: len(values) // 2 + 1]
    some, wide = images.select(rows), values[rows].astype(np.float64)
    found = [some.mean(), some.std(), some.mean(of_float32=True), some.std(of_float32=True)]
    of_pixels = [some.mean(axis=0), some.std(axis=0)]
    np.testing.assert_array_equal(np.asarray(some), values[rows])
    narrow = {"dtype": np.float64}
    assert found == [
        wide.mean(),
        wide.std(),
        np.mean(values[rows], **narrow),
        np.std(values[rows], **narrow),
    ]
    np.testing.assert_array_equal(of_pixels, [wide.mean(axis=0), wide.std(axis=0)])


@pytest.mark.parametrize("how", ["global", "pixel", "std", "none", {"inputs": "global", "statistics": "own"}])
def test_parts_on_disk_are_scaled_as_parts_in_memory(how, converted):
    arguments = {"inputs": how} if isinstance(how, str) else how
    spec, found = nf.datasets.Split(validation=0.2), {}
    for on_disk in (False, True):
        whole = majaj.dataset(converted, on_disk=on_disk)
        parts = nf.datasets.split(whole, spec, seed=3)
        found[on_disk] = (whole, *nf.datasets.standardise(parts, **arguments))
    (memory, parts, record), (disk, others, other_record) = found[False], found[True]
    assert isinstance(disk.inputs["image"], DiskImages)
    assert disk.hash() == memory.hash()
    assert other_record == record
    for (name, part), (_, other) in zip(parts.items(), others.items(), strict=True):
        assert isinstance(other.inputs["image"], DiskImages), name
        np.testing.assert_array_equal(other.inputs["image"][:], part.inputs["image"])
        assert other.hash() == part.hash()


def test_resized_images_do_not_stay_on_disk(converted):
    """How an image is resized depends, in its last bits, on the images that are resized with it."""
    with pytest.raises(DataError, match=r"resized images cannot stay on disk.*at 16×16 pixels they take"):
        majaj.dataset(converted, resize=(16, 16), on_disk=True)
    assert isinstance(majaj.dataset(converted, resize=(39, 39), on_disk=True).inputs["image"], DiskImages)


def test_equal_images_on_disk_are_one_group_and_a_broken_one_is_named(tmp_path):
    values = values_of(12, 8, 8, 3)
    values[7] = values[2]
    data = nf.datasets.Dataset("mine", {"image": DiskImages.of(in_file(tmp_path, values))}, np.eye(12))
    assert data.groups[7] == data.groups[2]
    assert len(np.unique(data.groups)) == 11
    values[9, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinite values in 1 of 12 images \(9\)"):
        nf.datasets.Dataset("mine", {"image": DiskImages.of(in_file(tmp_path, values))}, np.eye(12))


def test_compressed_images_have_to_be_converted_first(tmp_path):
    nf.datasets.make_example("majaj_2015", tmp_path / "majaj_2015", SMALL)
    with pytest.raises(DataError, match="Convert them once: `neurofit data convert majaj_2015`"):
        majaj.dataset(tmp_path / "majaj_2015", on_disk=True)
    data = nf.datasets.load("majaj_2015", tmp_path, on_disk_above=0)
    assert isinstance(data.inputs["image"], np.ndarray)


def test_converted_images_stay_on_disk_above_a_size(converted):
    size = majaj.dataset(converted).inputs["image"].nbytes
    at, above = (nf.datasets.load("majaj_2015", converted.parent, on_disk_above=size - one) for one in (0, 1))
    assert isinstance(at.inputs["image"], np.ndarray)
    assert isinstance(above.inputs["image"], DiskImages)


def test_preparation_of_images_on_disk_takes_little_memory(tmp_path):
    values = values_of(120, 96, 96, 3)  # 13 MB, of which a block is a sixteenth
    images = DiskImages.of(in_file(tmp_path, values), block_bytes=2**20)
    tracemalloc.start()
    try:
        data = nf.datasets.Dataset("mine", {"image": images}, values_of(120, 2))
        parts = nf.datasets.split(data, nf.datasets.Split(), 0)
        nf.datasets.standardise(parts)[0].train.hash()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < values.nbytes / 1.5
