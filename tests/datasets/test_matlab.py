import numpy as np
import pytest
from scipy.io import loadmat, savemat

from neurofit.datasets.recordings.matlab import read_mat
from neurofit.errors import DataError

KINDS = ("float64", "float32", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recording.mat"


def damaged_copies(path, content: bytes):
    """The file, written anew with each of many bytes turned over."""
    for place in np.random.default_rng(0).integers(100, len(content), 400):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        yield path


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back_as_scipy_wrote_them(path, compressed):
    rng = np.random.default_rng(0)
    written = {f"a_{kind}": (rng.random((3, 4, 5)) * 100).astype(kind) for kind in KINDS}
    savemat(path, {**written, "flat": np.ones((2, 7))}, do_compression=compressed)
    read = read_mat(path, (*written, "flat"))
    for name, array in written.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    assert read["flat"].shape == (2, 7)


def test_the_recordings_are_read_as_scipy_reads_them(recordings):
    for path in sorted((recordings / "macaque_v1").glob("*.mat")):
        read, expected = read_mat(path, ("images", "activity")), loadmat(path)
        for key in ("images", "activity"):
            np.testing.assert_array_equal(read[key], expected[key])


def test_what_is_not_an_array_of_numbers_is_passed_over(path):
    savemat(
        path, {"text": "abc", "table": {"a": 1}, "cells": np.array([1, "b"], object), "z": 1j, "x": np.eye(2)}
    )
    np.testing.assert_array_equal(read_mat(path, ("x",))["x"], np.eye(2))
    with pytest.raises(
        DataError, match=r"recording\.mat: no array 'text', 'z' in this file; expected text, z, x"
    ):
        read_mat(path, ("text", "z", "x"))


@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_cut_short_anywhere_is_a_data_error_that_names_it(path, compressed):
    rng = np.random.default_rng(0)
    savemat(
        path, {"images": rng.random((6, 9, 9)), "activity": rng.random((6, 2))}, do_compression=compressed
    )
    content = path.read_bytes()
    for length in range(0, len(content), 17):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"recording\.mat"):
            read_mat(path, ("images", "activity"))


def test_altered_bytes_of_a_compressed_variable_are_noticed(path):
    savemat(path, {"x": np.random.default_rng(0).random((6, 9))}, do_compression=True)
    content = path.read_bytes()
    for place in range(136, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with pytest.raises(DataError, match=r"recording\.mat"):
            read_mat(path, ("x",))


def test_altered_bytes_anywhere_are_read_or_a_data_error_and_never_a_crash(path):
    savemat(path, {"images": np.ones((3, 4, 4), np.uint8), "activity": np.ones((3, 2))})
    for damaged in damaged_copies(path, path.read_bytes()):
        try:
            read_mat(damaged, ("images", "activity"))
        except DataError as error:
            assert "recording.mat" in str(error)


def test_another_format_is_reported_as_such(path):
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + b"\x89HDF" * 99)
    with pytest.raises(DataError, match=r"cannot be read as a MATLAB 5 file .*not a header of that version"):
        read_mat(path, ("images",))


def test_a_missing_file_is_reported(path):
    with pytest.raises(DataError, match=r"recording\.mat cannot be read: No such file or directory"):
        read_mat(path, ("images",))
