"""Answers of a file system come in order, one by one or many at a time."""

from __future__ import annotations

import os
import threading
import time

import pytest
from hypothesis import given, strategies as st

from neurofit.overlap import overlapped


@given(st.integers(0, 300), st.sampled_from([1, 7, 100, 4096]), st.sampled_from([0.0, 1e9]))
def test_answers_are_in_order(number, most, slow):
    assert list(overlapped(str, range(number), most, slow=slow)) == list(map(str, range(number)))


def test_slow_questions_are_asked_at_the_same_time():
    together = threading.Barrier(8)

    def ask(number):
        if number >= 8:
            together.wait(timeout=30)  # until eight wait here
        return number

    assert list(overlapped(ask, range(8 + 64), slow=0.0)) == list(range(8 + 64))


def test_quick_questions_need_no_thread():
    threads = set(overlapped(lambda _: threading.current_thread(), range(1000), slow=1e9))
    assert threads == {threading.main_thread()}


@pytest.mark.parametrize("slow", [0.0, 1e9])
def test_errors_are_raised(tmp_path, slow):
    paths = [tmp_path / str(number) for number in range(100)]
    for path in paths[:-1]:
        path.touch()
    with pytest.raises(FileNotFoundError, match="99"):
        list(overlapped(os.stat, paths, slow=slow))


def test_no_more_answers_are_kept_than_allowed():
    asked = []

    def ask(number):
        asked.append(number)
        time.sleep(1e-4)
        return number

    answers = overlapped(ask, range(1000), 50, slow=0.0)
    for number in range(200):
        assert next(answers) == number
        assert len(asked) <= number + 1 + 50
