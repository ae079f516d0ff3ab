"""What a job of a queue does before its first task: it waits, within bounds, until what its submission needs is done.

The queue starts the job after the jobs that it depends on, so that the first look usually decides. Otherwise what is
needed is in another queue, or was started again. The job then waits on its node, but no longer than WAIT_SECONDS and no
longer than half of its time limit. After that, its queue starts it again, behind other jobs. Start number MOST_WAITS is
the last one.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

from neurofit.errors import StoreError
from neurofit.exit_codes import OK, START_AGAIN, UNMET
from neurofit.store.journal import UNMET_END, Journal
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import JournalLine
from neurofit.store.submissions import read_need_stop, write_need_stop
from neurofit.structure import structured_lines
from neurofit.transient import retry
from neurofit.worker.supervisor import Signals

WAIT_SECONDS = 600.0
MOST_WAITS = 12
WAITED = "waited"  # how such a start of a job ends, in its journal
MARGIN_SECONDS = 30.0  # for a look that takes long
PAUSE_SECONDS = 5.0  # before the gate is started again, after it failed
BROKEN = "what it needs could not be read, and its jobs have waited long enough; see their logs"


def wait(
    submission: SubmissionFiles, journal: Journal, signals: Signals, limit_seconds: float | None
) -> int | None:
    """Wait for what a submission needs, and record in the journal how a job ends that does not go on.

    Parameters
    ----------
    submission : SubmissionFiles
    journal : Journal
        Of this start of the job.
    signals : Signals
    limit_seconds : float or None
        The job's time limit.

    Returns
    -------
    int or None
        The exit status of the job; None if its tasks may start.
    """
    seconds = WAIT_SECONDS if limit_seconds is None else min(WAIT_SECONDS, limit_seconds / 2)
    is_last = _earlier_waits(submission, journal) >= MOST_WAITS - 1
    status = _ask_gate(submission, signals, seconds, is_last)
    if status == OK:
        return None
    if status == START_AGAIN:
        journal.write(JournalLine(end=WAITED))
    elif status == UNMET:
        journal.write(JournalLine(end=UNMET_END))
        if stop := read_need_stop(submission):
            _say(f"no task of this job was started: {stop.message}")
    else:
        journal.write(JournalLine(end="stopped"))
        return 0
    return status


def _ask_gate(submission: SubmissionFiles, signals: Signals, seconds: float, is_last: bool) -> int | None:
    """The gate's answer: OK, UNMET or START_AGAIN; None if this job was told to stop."""
    deadline = time.monotonic() + seconds
    if retry(submission.need_stop.exists):
        return UNMET
    while not signals.stop and (left := deadline - time.monotonic()) > 0:
        status = _run_gate(submission, signals, left, is_last)
        if status in (OK, UNMET, START_AGAIN):
            return status
        signals.wait(min(PAUSE_SECONDS, left), [])
    if signals.stop and not signals.notice:
        return None
    if is_last:
        retry(lambda: write_need_stop(submission, BROKEN))
        return UNMET
    return START_AGAIN


def _run_gate(submission: SubmissionFiles, signals: Signals, seconds: float, is_last: bool) -> int | None:
    """The exit status of a process that looks at the files; None if it was ended here."""
    words = [sys.executable, "-m", "neurofit.orchestrate.gate", str(submission.folder)]
    words += ["--seconds", f"{seconds:.3f}", *(["--last"] if is_last else [])]
    # not the study, where `python -m` would import a json.py instead of the standard library's
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(words, stdin=subprocess.PIPE, cwd=submission.folder, env=environment)
    deadline = time.monotonic() + seconds + MARGIN_SECONDS
    try:
        while process.poll() is None and not signals.stop and time.monotonic() < deadline:
            signals.wait(1.0, [])
        return process.poll()
    finally:
        process.kill()
        process.communicate()


def _earlier_waits(submission: SubmissionFiles, journal: Journal) -> int:
    """How many starts of this job have ended with nothing but waiting."""
    waited = 0
    for start in range(1, journal.start):
        with contextlib.suppress(OSError, StoreError):
            lines, _ = structured_lines(submission.journal(journal.job, start).read_bytes(), JournalLine)
            waited += any(line.end == WAITED for line in lines)
    return waited


def _say(text: str) -> None:
    try:
        print(f"neurofit: {text}", file=sys.stderr, flush=True)
    except OSError:  # the log is on a full disk: Python would write again at exit, and change the exit status
        sys.stderr = None
