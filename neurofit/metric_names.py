"""What the names of metrics say: of which set they are, and which one decides between runs."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PREFERRED = ("validation/correlation", "validation/loss")
_VALIDATION = frozenset({"validation", "val", "valid", "dev"})
_TEST = frozenset({"test", "testing"})
_OTHER_SETS = _TEST | {"train", "training"}


def deciding(names: Iterable[str]) -> list[str]:
    """The metric that decides which run is best: one of the validation set, or the only one of no known set.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    list of str
        One name; none if there are only metrics of other sets; several if any of them could be meant.
    """
    words = {name: _words(name) for name in names}
    validation = [name for name in words if words[name] & _VALIDATION]
    found = validation or [name for name in words if not words[name] & _OTHER_SETS]
    return next(([name] for name in _PREFERRED if name in found), found)


def is_of_test(name: str) -> bool:
    """Whether a metric is of the test set."""
    return bool(_words(name) & _TEST)


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))
