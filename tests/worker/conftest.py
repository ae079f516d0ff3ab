from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """The descriptors up to 1100 are in use, as in a script that keeps many files open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= before[1] < 2000:
        pytest.skip("this host allows fewer than 2000 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2000), before[1]))
    files = [os.open(os.devnull, os.O_RDONLY)]
    while files[-1] < 1100:
        files.append(os.dup(files[0]))
    yield
    for file in files:
        os.close(file)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
