"""Which failures are alike."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neurofit.store.error_fingerprint import error_text, normalised, signature
from neurofit.store.records import ErrorRecord, Frame

PIECES = st.sampled_from(
    [
        "a",
        "7",
        "-3",
        "1e-5",
        ".5",
        "0xfe",
        "/",
        "/tmp/x",
        "'",
        '"',
        " ",
        "can't",
        "'id4'",
        "#",
        "~",
        "e",
        "_",
        "\n",
    ]
)
TEXT = st.one_of(st.text(), st.lists(PIECES).map("".join))


@given(TEXT)
def test_normalising_again_changes_nothing(text):
    assert normalised(normalised(text)) == normalised(text)


@given(TEXT, TEXT, st.text(min_size=1), st.text(min_size=1))
def test_different_types_never_meet(message, other, one_type, other_type):
    one = signature(ErrorRecord(kind="exception", type=one_type, message=message))
    two = signature(ErrorRecord(kind="exception", type=other_type, message=other))
    assert one_type == other_type or one != two


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.integers(min_value=0))
def test_numbers_and_addresses_do_not_matter(whole, real, address):
    def text(whole, real, address):
        return normalised(f"shape {whole} of <Model at 0x{address:x}> is {real:g}")

    assert text(whole, real, address) == text(1, 0.5, 255)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("No such file: '/data/a/x.npy'", "No such file: '/other/y.npy'"),
        ("task 'run-17' was lost", "task 'run-18' was lost"),
        ("ran out of memory on node07", "ran out of memory on node12"),
        ("two\n  lines 1", "two lines 2"),
    ],
)
def test_messages_that_differ_only_in_varying_parts_are_normalised_to_one(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("No module named 'jax'", "No module named 'torch'"),
        ("'lr'", "'batch'"),
        ("nan in loss", "nan in weights"),
    ],
)
def test_others_do_not(one, other):
    assert normalised(one) != normalised(other)


def test_the_place_in_the_users_code_counts():
    def error(line):
        frame = Frame(file="a.py", line=line, function="fit", code="")
        return ErrorRecord(kind="exception", type="ValueError", message="no", frames=[frame])

    assert signature(error(3)) == signature(error(3)) != signature(error(4))
    assert error_text(error(3)) == "ValueError: no"
