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
class Share:
    """A value that most tasks of a failure have, counted there and among the tasks that are done."""

    name: str
    value: Any
    failed: int
    of_failed: int
    done: int
    of_done: int


def shares(failed: Collection[Mapping[str, Any]], done: Collection[Mapping[str, Any]]) -> list[Share]:
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
        share = Share(name, _first(values, text), number, len(failed), there, len(done))
        if _tells(share):
            found.append(share)
    return sorted(found, key=lambda share: share.done)


def _tells(share: Share) -> bool:
    if share.failed < MOST * share.of_failed or share.done > FEW_DONE * share.of_done:
        return False
    others, others_done = share.of_failed - share.failed, share.of_done - share.done
    rate = share.failed / (share.failed + share.done)
    return rate > TIMES * others / (others + others_done)


def _most_frequent(values: Iterable[Any]) -> tuple[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        text = canonical(value)
        counts[text] = counts.get(text, 0) + 1
    return max(counts.items(), key=lambda item: item[1])


def _first(values: Iterable[Any], text: str) -> Any:
    return next(value for value in values if canonical(value) == text)
