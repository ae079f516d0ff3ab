"""A journal stays readable whatever happens to its disk."""

from __future__ import annotations

import contextlib
import resource

import pytest

from neurofit.files import parse_lines
from neurofit.store.journal import Journal
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import JournalLine


@contextlib.contextmanager
def files_of_at_most(size: int):
    """What a full disk does: the part of a line that fits is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_after_one_that_the_disk_had_no_room_for_is_whole(tmp_path):
    files = SubmissionFiles(tmp_path)
    files.journals.mkdir()
    journal = Journal(files, 3)
    with files_of_at_most(journal.path.stat().st_size + 10), pytest.raises(OSError):
        journal.copy_outcome({"state": "done"})
    journal.write(JournalLine(end="done"))
    records, damaged = parse_lines(journal.path.read_bytes())
    assert [next(iter(record)) for record in records] == ["start", "end"] and damaged == 1
