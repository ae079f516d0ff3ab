"""When a job ends, or has stopped its submission: start the process that runs the notify command, if it is due."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable

from neurofit import transient
from neurofit.errors import StoreError
from neurofit.store.layout import SubmissionFiles
from neurofit.store.notices import is_claimed, may_have_ended
from neurofit.store.records import SubmissionRecord

MOST_SECONDS = 120.0  # for reading the submission, and the command's own limit

log = logging.getLogger(__name__)


def tell(
    submission: SubmissionFiles, record: SubmissionRecord, *, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Run the notify command of a submission if it may have ended and nobody has run it. Raises nothing.

    This job's own end is in its journal already. Of jobs that end at the same moment, at least one sees the ends of all
    others, and each of those that do starts a process; only the one that creates the claim runs the command.

    Parameters
    ----------
    meanwhile : callable
        Called every second, for a heartbeat.
    """
    if not record.notify:
        return
    try:
        with transient.patience(transient.at_once(submission.folder)):
            if is_claimed(submission) or not may_have_ended(submission):
                return
        _run(submission, meanwhile)
    except (OSError, StoreError) as error:  # `neurofit status` runs it later
        log.warning("the notify command was not run: %s", error)


def _run(submission: SubmissionFiles, meanwhile: Callable[[], None]) -> None:
    words = [sys.executable, "-m", "neurofit.orchestrate.notices", str(submission.folder)]
    # not the study, where `python -m` would import a json.py instead of the standard library's
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, cwd=submission.folder, env=environment, start_new_session=True
    )
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        try:
            process.wait(1.0)
            return
        except subprocess.TimeoutExpired:
            meanwhile()
    process.kill()
    process.wait()
