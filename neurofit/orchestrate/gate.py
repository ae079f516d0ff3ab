"""`python -m neurofit.orchestrate.gate SUBMISSION`: wait until the experiments that a submission needs are done.

The pool or the worker that waits starts it and reads its exit code: 0, or UNMET if what is needed will not get done;
the reason is then in the submission's `stops/needs.json`. On a node of a queue it waits for a limited time (--seconds).
Then its exit code is START_AGAIN, or, with --last, UNMET. It ends when whoever started it ends.
"""

from __future__ import annotations

import argparse
import select
import sys
import time
from pathlib import Path

from neurofit.errors import NeurofitError
from neurofit.exit_codes import OK, START_AGAIN, UNMET
from neurofit.status.needs import NeedView, look
from neurofit.store.layout import SubmissionFiles
from neurofit.store.submissions import read_submission, study_of, write_need_stop

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
LONGEST_PAUSE_ON_NODE = 30.0  # where many jobs may wait, and ask one queue
SHARE = 4.0  # pause at least four times as long as reading took
LOOKS = 2  # in succession that must find the same end: a file may be read while it changes


def wait(files: SubmissionFiles, seconds: float | None = None, *, is_last: bool = False) -> int:
    """Look at the needed experiments until they are done or have ended otherwise; return the exit code.

    Parameters
    ----------
    files : SubmissionFiles
        Of the submission that waits.
    seconds : float or None
        Give up after this time. None: wait as long as something is under way.
    is_last : bool, optional
        The job will not be started again to wait: after `seconds`, its tasks are not started.
    """
    began, pause, ended = time.monotonic(), FIRST_PAUSE, 0
    on_node = seconds is not None
    longest = LONGEST_PAUSE_ON_NODE if on_node else LONGEST_PAUSE
    said = "what it needs could not be read"
    while True:
        before = time.monotonic()
        try:
            if files.need_stop.exists():  # by another job of the submission: all of them act alike
                return UNMET
            record = read_submission(files)
            study = study_of(files, record)
            views = [look(study, need, noting=not on_node) for need in record.needs]
        except (NeurofitError, OSError) as error:  # the storage may be away
            said = f"what it needs could not be read: {error}"
            print(f"gate: {error}", file=sys.stderr, flush=True)
        else:
            left = [view for view in views if not view.is_done]
            if not left:
                return OK
            over = [view for view in left if not view.is_under_way]
            ended = ended + 1 if over else 0
            if ended >= LOOKS:
                return _unmet(files, "; ".join(view.reason for view in over))
            said = _still_under_way(left)
        now = time.monotonic()
        pause = FIRST_PAUSE if ended else max(min(1.5 * pause, longest), SHARE * (now - before))
        if seconds is not None:
            if now - began >= seconds:
                return (
                    _unmet(files, f"{said}, and its jobs have waited long enough") if is_last else START_AGAIN
                )
            pause = min(pause, began + seconds - now)
        if select.select([0], [], [], pause)[0]:
            return UNMET  # the pool or the worker has ended: nobody reads this


def _unmet(files: SubmissionFiles, message: str) -> int:
    write_need_stop(files, message)
    return UNMET


def _still_under_way(left: list[NeedView]) -> str:
    return f"{', '.join(view.progress for view in left)} was still queued or running"


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m neurofit.orchestrate.gate", description=__doc__)
    parser.add_argument("submission", type=Path, help="the submission's folder")
    parser.add_argument("--seconds", type=float, help="wait no longer than this")
    parser.add_argument("--last", action="store_true", help="after that, the tasks are not started at all")
    given = parser.parse_args(words)
    return wait(SubmissionFiles(given.submission), given.seconds, is_last=given.last)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
