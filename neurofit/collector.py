"""The garbage collector, paused while many objects are made that all stay.

It looks at every object again and again as their number grows, although tables and states of tasks have no cycles
among them: for 100,000 tasks, that takes as long as a fifth of a command.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Look for no garbage in the block, or in the function that this decorates."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
