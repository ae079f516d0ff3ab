"""Wait for input on descriptors, whatever their numbers: `select` refuses those from 1024 on."""

from __future__ import annotations

import errno
import math
import os
import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], seconds: float) -> list[int]:
    """Wait until a descriptor has input or its other end is closed; return those, none after the timeout.

    Raises
    ------
    OSError
        A descriptor is closed (EBADF).
    """
    poll = select.poll()
    for one in descriptors:
        poll.register(one, select.POLLIN)
    found = poll.poll(math.ceil(1000 * max(seconds, 0.0)))
    if any(event & select.POLLNVAL for _, event in found):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return [one for one, _ in found]
