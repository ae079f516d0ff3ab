"""Waits for a file system that overlap: many files are asked about at a time where each answer takes a while.

A server, or a disk, answers a question about a file that is not in memory in 0.1 to 10 ms, and many of them at the same
time. From memory, the answer takes a few microseconds, and threads would only cost. So a few files are asked about one
by one, and if that was slow, the next ones at the same time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_AT_A_TIME = 16
_ONE_BY_ONE = 8
SLOW_SECONDS = 5e-5  # for one answer
MANY, FEW = 1024, 128  # answers kept in memory: small ones, or whole files

T = TypeVar("T")
R = TypeVar("R")


def overlapped(
    ask: Callable[[T], R], about: Sequence[T], most: int = MANY, *, slow: float = SLOW_SECONDS
) -> Iterator[R]:
    """The answers, in order.

    Parameters
    ----------
    ask : callable
        Asks a file system. It may be called from several threads; what it raises is raised here.
    about : sequence
        What to ask about.
    most : int
        How many answers may be kept at a time.
    slow : float
        From how many seconds on an answer is slow.
    """
    with contextlib.ExitStack() as stack:
        threads: ThreadPoolExecutor | None = None
        start = 0
        while start < len(about):
            first = about[start : start + _ONE_BY_ONE]
            began = time.perf_counter()
            answers = list(map(ask, first))
            start += len(first)
            is_slow = time.perf_counter() - began > slow * len(first)
            yield from answers
            if is_slow and (others := about[start : start + most]):
                threads = threads or stack.enter_context(_threads())
                yield from _at_a_time(threads, ask, others)
                start += len(others)


def _threads() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # imports much, and few commands need it

    return ThreadPoolExecutor(_AT_A_TIME)


def _at_a_time(threads: ThreadPoolExecutor, ask: Callable[[T], R], about: Sequence[T]) -> Iterator[R]:
    def ask_all(part: Sequence[T]) -> list[R]:
        return list(map(ask, part))

    size = -(-len(about) // (4 * _AT_A_TIME))  # several parts per thread, since some take longer
    parts = [about[start : start + size] for start in range(0, len(about), size)]
    return chain.from_iterable(list(threads.map(ask_all, parts)))
