"""`python -m neurofit.orchestrate.gate SUBMISSION`: wait until the experiments that a submission needs are done.

The pool that waits starts it and reads its exit code: 0, or UNMET if what is needed will not get done; the reason
is then in the submission's `stops/needs.json`. It ends when the pool ends.
"""

from __future__ import annotations

import select
import sys
import time
from pathlib import Path

from neurofit.errors import StoreError
from neurofit.exit_codes import OK, UNMET
from neurofit.status.needs import look, write_need_stop
from neurofit.store.layout import SubmissionFiles
from neurofit.store.submissions import read_submission
from neurofit.study import Study

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
SHARE = 4.0  # pause at least four times as long as reading took
LOOKS = 2  # in succession that must find the same end: a file may be read while it changes


def wait(files: SubmissionFiles) -> int:
    """Look at the needed experiments until they are done or have ended otherwise; return the exit code."""
    record = read_submission(files)
    study, pause, ended = Study(Path(record.study)), FIRST_PAUSE, 0
    while True:
        before = time.monotonic()
        try:
            views = [look(study, need) for need in record.needs]
        except (StoreError, OSError) as error:  # the storage may be away
            print(f"gate: {error}", file=sys.stderr, flush=True)
        else:
            if all(view.is_done for view in views):
                return OK
            over = [view for view in views if not view.is_done and not view.is_under_way]
            ended = ended + 1 if over else 0
            if ended >= LOOKS:
                write_need_stop(files, "; ".join(view.reason for view in over))
                return UNMET
        pause = min(1.5 * pause, LONGEST_PAUSE)
        reading = SHARE * (time.monotonic() - before)
        if select.select([0], [], [], FIRST_PAUSE if ended else max(pause, reading))[0]:
            return UNMET  # the pool has ended: nobody reads this


if __name__ == "__main__":
    sys.exit(wait(SubmissionFiles(Path(sys.argv[1]))))
