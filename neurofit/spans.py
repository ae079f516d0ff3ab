"""Spans: first and last of consecutive numbers, which is how lists of jobs, runs and trials are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Span = tuple[int, int]


def spans(numbers: Iterable[int]) -> list[Span]:
    """First and last of each run of consecutive numbers, sorted."""
    found: list[Span] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def members(found: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The numbers in spans."""
    for first, last in found:
        yield from range(first, last + 1)
