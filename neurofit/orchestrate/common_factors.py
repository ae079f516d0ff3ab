"""What the tasks of a failure have in common that those which are done have not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurofit.experiments.grid.params import canonical

MOST = 0.9  # of the failure's tasks have the value
TIMES = 3.0  # as likely to fail with it as without it
FEW_DONE = 1 / 3  # of the tasks that are done have it, at most


@dataclass(frozen=True)
class CommonFactor:
    """A value that most tasks of a failure have, counted there and among the tasks that are done."""

    name: str
    value: Any
    failed: int
    of_failed: int
    done: int
    of_done: int


def common_factors(
    failed: Collection[Mapping[str, Any]], done: Collection[Mapping[str, Any]]
) -> list[CommonFactor]:
    """What sets failed tasks apart, the rarest among the done ones first; nothing where there is nothing to
    compare with, or only one task failed.

    Parameters
    ----------
    failed, done : a record of names and values per task
    """
    if len(failed) < 2 or not done:
        return []
    found = []
    for name in dict.fromkeys(name for record in failed for name in record):
        values = [record[name] for record in failed if name in record]
        text, number = _most_frequent(values)
        there = sum(name in record and canonical(record[name]) == text for record in done)
        factor = CommonFactor(name, _first(values, text), number, len(failed), there, len(done))
        if _tells(factor):
            found.append(factor)
    return sorted(found, key=lambda factor: factor.done)


def _tells(factor: CommonFactor) -> bool:
    if factor.failed < MOST * factor.of_failed or factor.done > FEW_DONE * factor.of_done:
        return False
    others, others_done = factor.of_failed - factor.failed, factor.of_done - factor.done
    rate = factor.failed / (factor.failed + factor.done)
    return rate > TIMES * others / (others + others_done)


def _most_frequent(values: Iterable[Any]) -> tuple[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        text = canonical(value)
        counts[text] = counts.get(text, 0) + 1
    return max(counts.items(), key=lambda item: item[1])


def _first(values: Iterable[Any], text: str) -> Any:
    return next(value for value in values if canonical(value) == text)
