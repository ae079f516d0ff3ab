"""Features that are read by blocks of columns."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from neurofit.errors import DataError, ShapeError
from neurofit.models.linear_maps import ArrayMatrix, NpyMatrix, StackedMatrix, WideMatrix, wide


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)


@pytest.fixture
def file(values, tmp_path):
    np.save(tmp_path / "layer.npy", values)
    return tmp_path / "layer.npy"


def test_a_file_is_read_by_columns_and_its_later_axes_are_units(file, values):
    matrix = wide(file)
    assert isinstance(matrix, NpyMatrix) and isinstance(matrix, WideMatrix)
    assert (matrix.shape, matrix.dtype) == ((6, 20), np.float32)
    np.testing.assert_array_equal(matrix.columns(3, 11), values.reshape(6, 20)[:, 3:11])


def test_columns_are_read_into_a_given_buffer_of_either_precision_and_into_part_of_one(file, values):
    for dtype in (np.float32, np.float64):
        buffer = np.zeros((6, 9), dtype)
        out = buffer[:, 1:9]
        assert NpyMatrix(file).columns(0, 8, out) is out
        np.testing.assert_array_equal(buffer[:, 1:], values.reshape(6, 20)[:, :8])
        assert not buffer[:, 0].any()


@given(arrays.arrays(np.float64, (4, 7), elements=st.floats(-9, 9)), st.integers(0, 7), st.integers(0, 7))
def test_every_kind_of_matrix_gives_the_same_columns(values, one, other):
    start, stop = sorted((one, other))
    stacked = StackedMatrix((ArrayMatrix(values[:1]), ArrayMatrix(values[1:])))
    for matrix in (ArrayMatrix(values), stacked):
        assert matrix.shape == (4, 7)
        np.testing.assert_array_equal(matrix.columns(start, stop), values[:, start:stop])


def test_a_file_that_was_not_written_whole_is_an_error_that_says_so(file):
    whole = file.read_bytes()
    file.write_bytes(whole[:-4])
    with pytest.raises(DataError, match=r"layer.npy has 604 bytes, and its header promises 608"):
        wide(file)


def test_a_file_that_is_cut_while_it_is_read_is_an_error(file):
    matrix = wide(file)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"layer.npy ended while it was read"):
        matrix.columns(0, 20)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((3, 2), np.int64), r"holds int64 \(3, 2\); expected float32 or float64"),
        (np.zeros(3), r"holds float64 \(3,\); expected"),
        (np.asfortranarray(np.zeros((3, 2))), "Fortran order; write it with numpy.ascontiguousarray"),
    ],
)
def test_other_arrays_are_refused(tmp_path, content, message):
    np.save(tmp_path / "x.npy", content)
    with pytest.raises(DataError, match=message):
        wide(tmp_path / "x.npy")


def test_files_that_are_missing_or_something_else_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such file of features"):
        wide(tmp_path / "none.npy")
    (tmp_path / "text.npy").write_text("no array at all")
    with pytest.raises(DataError, match=r"is not a \.npy file"):
        wide(tmp_path / "text.npy")


def test_shapes_that_do_not_go_together_are_refused(values):
    with pytest.raises(ShapeError, match=r"same units; their shapes are \(6, 20\), \(6, 4\)"):
        StackedMatrix((ArrayMatrix(values), ArrayMatrix(values[:, 0])))
    with pytest.raises(ShapeError, match=r"Units 3 … 21 of features with 20 units"):
        ArrayMatrix(values).columns(3, 21)
    with pytest.raises(ShapeError, match=r"out \(6, 2\) must be \(6, 3\)"):
        ArrayMatrix(values).columns(0, 3, np.empty((6, 2)))
    with pytest.raises(ShapeError, match="expected an array of numbers"):
        wide(np.array(["a", "b"]))
