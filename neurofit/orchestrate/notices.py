"""Tell the user that a submission has ended: run its notify command once, with a digest on its standard input.

`python -m neurofit.orchestrate.notices SUBMISSION` is what a job starts that ends last, or that stops its submission
because of identical failures; it asks no queue, and believes what the journals say. With --pool, the local pool has
started it, and it looks once its standard input, and so the pool, has ended. `neurofit status`, `submit` and `cancel`
run the command for submissions that none of these has seen end.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurofit import process, recording, transient
from neurofit.backends import notify
from neurofit.backends.base import Finding
from neurofit.errors import NeurofitError, UsageError
from neurofit.files import to_json
from neurofit.orchestrate.failures import JobEnds, failures, stopped_after
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.status.submission_status import SubmissionStatus, submit_again
from neurofit.store import notices
from neurofit.store.fail_fast import read_fail_fast
from neurofit.store.journal import journals
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import NoticeResult, SubmissionRecord
from neurofit.store.state import ACTIVE, FAILED_OR_LOST, UNFINISHED, State
from neurofit.store.submissions import read_need_stop, read_submission, study_of
from neurofit.study import Study
from neurofit.text import command, count, one_line

FORMAT = 1  # of a digest
ENDED, CANCELLED, NEEDS, IDENTICAL, TEST = (
    "ended",
    "cancelled",
    "needs_not_done",
    "identical_failures",
    "test",
)
MOST_GROUPS = 10  # of failures in a digest
MOST_TASKS = 20_000  # of an experiment, for its best run to be looked for
BEST_BYTES = 500_000_000  # of memory that must be free for that
UNKNOWN_SECONDS = 120.0  # after which a command without a result did not end
_CAUSE_WIDTH = 300


def at_end(files: SubmissionFiles, record: SubmissionRecord) -> tuple[str, ...]:
    """What a pool starts when it ends; nothing if its submission has no notify command."""
    if not record.notify:
        return ()
    return sys.executable, "-m", "neurofit.orchestrate.notices", str(files.folder), "--pool"


def due(status: ExperimentStatus) -> list[tuple[SubmissionStatus, str]]:
    """The submissions whose notify command this user has to run from this host, and why.

    Those of other users and copies of a study are left out: whoever submitted them is told. A process that may not
    record anything runs none.
    """
    found: list[tuple[SubmissionStatus, str]] = []
    if status.files.study.copy_of is not None or not recording.is_on():
        return found
    for submission in status.submissions:
        if submission.record.notify and not notices.is_claimed(submission.files):
            reason = _reason(submission)
            if reason is not None and _is_own(submission, status.files.study):
                found.append((submission, reason))
    return found


def _is_own(submission: SubmissionStatus, study: Study) -> bool:
    """Whether this user made the submission, on this machine or in a study at the same path."""
    record = submission.record
    try:
        owner = os.lstat(submission.files.record).st_uid
    except OSError:
        return False
    own = owner == os.geteuid() and record.user == process.user() and submission.at_home
    same = process.same_machine(record.host or "", record.machine) or record.study == str(study.root)
    return own and same


def _reason(submission: SubmissionStatus) -> str | None:
    """Why a submission is over: `ended`, `cancelled`, …; None if it is not."""
    if read_fail_fast(submission.files) is not None:
        return IDENTICAL
    states = Counter(submission.states)
    if not states or any(states[state] for state in ACTIVE):
        return None
    if not states[State.DONE] and read_need_stop(submission.files) is not None:
        return NEEDS
    others = states.keys() - {State.DONE, State.FAILED}
    return CANCELLED if others == {State.CANCELLED} else ENDED


def send(status: ExperimentStatus, submission: SubmissionStatus, reason: str) -> NoticeResult | None:
    """Run the notify command of a submission, unless another process has claimed that; None if one has.

    Raises
    ------
    StoreError
        It cannot be recorded that the command is run, so it was not run.
    """
    files, study = submission.files, status.files.study
    text = to_json(digest(status, submission, reason)) + "\n"
    if not notices.claim(files, reason):
        return None
    with contextlib.suppress(NeurofitError, OSError):  # the disk may be full, which the user wants to know
        notices.write_digest(files, text)
    ended = notify.run(submission.record.notify, text, study.root)
    result = NoticeResult(
        problem=ended.problem,
        exit_code=ended.exit_code,
        seconds=ended.seconds,
        host=os.uname().nodename,
        t=round(time.time(), 3),
        output=ended.output,
    )
    with contextlib.suppress(NeurofitError, OSError):
        notices.write_result(files, result)
    return result


def tell(status: ExperimentStatus) -> list[str]:
    """Run the notify commands that are due; returns sentences about those that failed."""
    problems = []
    for submission, reason in due(status):
        try:
            result = send(status, submission, reason)
        except (NeurofitError, OSError) as error:
            problems.append(f"{submission.name}: the notify command was not run: {error}")
            continue
        if result is not None and result.problem is not None:
            problems.append(_failed(submission, result))
    return problems


def problem(status: ExperimentStatus) -> str | None:
    """A sentence if the notify command of the newest submission that has one failed, or may have."""
    submission = next((one for one in reversed(status.submissions) if one.record.notify), None)
    if submission is None or (found := _state(submission)) is None:
        return None
    state, result = found
    if result is not None and result.problem is not None:
        return _failed(submission, result)
    if state == "unknown":
        return (
            f"{submission.name}: it is not known whether its notify command was run, because the process that was to "
            "run it was killed. It is not run again."
        )
    return None


def of_notices(status: ExperimentStatus) -> list[dict[str, Any]]:
    """What is known of the notify commands that were run, as `status --json` has it."""
    found = []
    for submission in status.submissions:
        if submission.record.notify and (known := _state(submission)) is not None:
            state, result = known
            about = notices.read_claim(submission.files)
            ended = result.as_object() if result is not None else {}
            found.append(
                {
                    "experiment": status.name,
                    "submission": submission.name,
                    "state": state,
                    "reason": about and about.reason,
                    "problem": ended.get("problem"),
                    "exit_code": ended.get("exit_code"),
                }
            )
    return found


def _state(submission: SubmissionStatus) -> tuple[str, NoticeResult | None] | None:
    """`sent`, `failed`, `running` or `unknown`, and how the command ended; None if nobody has claimed it."""
    result = notices.read_result(submission.files)
    if result is not None:
        return ("sent" if result.problem is None else "failed"), result
    if not notices.is_claimed(submission.files):
        return None
    about = notices.read_claim(submission.files)
    if about is None:
        return "unknown", None
    alive = about.process.is_alive()
    recent = time.time() - about.t < UNKNOWN_SECONDS
    return ("running" if alive is not False and recent else "unknown"), None


def _failed(submission: SubmissionStatus, result: NoticeResult) -> str:
    printed = one_line(result.output.splitlines()[-1], 200) if result.output else ""
    where = f" on {result.host}" if result.host else ""
    test = command("runners check", submission.record.runner, no_canary=True, notify=True)
    return (
        f"{submission.name}: telling that it ended failed{where}: {one_line(result.problem or '', 400)}"
        f"{f' It printed: {printed}' if printed else ''} It is not run again; `{test}` tries the command."
    )


def digest(status: ExperimentStatus, submission: SubmissionStatus, reason: str) -> dict[str, Any]:
    """What the notify command gets: a JSON object with a text for people in `subject` and `text`."""
    record, name = submission.record, status.name
    counts = Counter(submission.states)
    states = [(task.key, state) for (_, task), state in zip(submission.planned(), submission.states)]
    mine = [
        key
        for key, state in states
        if state in UNFINISHED and status.of(key).latest.submission == submission.name
    ]
    groups = failures(status, mine)
    failed = [
        {
            "cause": one_line(" ".join(group.message.split()), _CAUSE_WIDTH),
            "tasks": len(group.tasks),
            "example": f"{name}:{group.example[0]}/{group.example[1]}",
        }
        for group in groups[:MOST_GROUPS]
    ]
    look = [command("status", name)]
    if any(counts[state] for state in UNFINISHED):
        look.append(command("failures", name))
    if counts[State.DONE]:
        look.append(command("results", name))
    if again := [key for key, state in states if state in FAILED_OR_LOST]:
        look.append(submit_again(name, again, backend=submission.runner_option, retry=True))
    content = {
        "format": FORMAT,
        "reason": reason,
        "experiment": name,
        "submission": submission.name,
        "study": str(status.files.study.root),
        "runner": record.runner,
        "host": record.host,
        "user": record.user,
        "tasks": len(submission.states),
        "counts": {str(state): counts[state] for state in State if counts[state]},
        "best": _best(status),
        "failures": failed,
        "failures_left_out": max(0, len(groups) - MOST_GROUPS),
        "detail": _detail(submission, reason),
        "started": record.created,
        "ended": _ended(submission, reason),
        "look": look,
    }
    return {**content, **_words(content)}


def _detail(submission: SubmissionStatus, reason: str) -> str | None:
    """What stopped the submission, if something has."""
    if reason == IDENTICAL and (stop := read_fail_fast(submission.files)):
        return one_line(f"{stopped_after(stop)}, no further task starts: {stop.message}", _CAUSE_WIDTH)
    if reason == NEEDS and (unmet := read_need_stop(submission.files)):
        return one_line(unmet.message, _CAUSE_WIDTH)
    return None


def _ended(submission: SubmissionStatus, reason: str) -> str | None:
    """When a worker of the submission last wrote; None if it goes on, or no worker ever did."""
    if reason == IDENTICAL and any(state in ACTIVE for state in submission.states):
        return None
    try:
        written = [entry.stat().st_mtime for entry in journals(submission.files).values()]
    except OSError:
        return None
    if not written:
        return None
    return datetime.datetime.fromtimestamp(max(written), datetime.timezone.utc).isoformat(timespec="seconds")


def _best(status: ExperimentStatus) -> dict[str, Any] | None:
    """The best run of the experiment so far; None if nothing decides, or it takes long to find."""
    if len(status.tasks) > MOST_TASKS or not any(task.counted for task in status.tasks.values()):
        return None
    room = process.memory_available()
    if room is not None and room < BEST_BYTES:  # a job with little memory must not be ended for this
        return None
    from neurofit.tables.best import best_run  # pandas

    try:
        best = best_run(status)
    except (UsageError, NeurofitError, OSError):
        return None
    return {
        "run": f"{best.experiment}:{best.run}",
        "metric": best.metric,
        "mean": best.mean,
        "sentence": best.sentence,
    }


_VERBS = {
    ENDED: "has ended",
    CANCELLED: "was cancelled",
    NEEDS: "was not started",
    IDENTICAL: "was stopped early",
    TEST: "is a test",
}


def _words(content: dict[str, Any]) -> dict[str, str]:
    """The digest for people: a line, and a text of several lines."""
    counts = ", ".join(f"{number:,} {state}" for state, number in content["counts"].items())
    subject = f"{content['experiment']} {_VERBS[content['reason']]}: {counts}"
    lines = [f"{subject}.", ""]
    lines += [f"{content['detail']}", ""] if content["detail"] else []
    for group in content["failures"]:
        lines.append(f"{count(group['tasks'], 'task')} (as {group['example']}): {group['cause']}")
    if content["failures_left_out"]:
        lines.append(f"… and {content['failures_left_out']:,} other causes.")
    lines += [""] if content["failures"] else []
    lines += [content["best"]["sentence"], ""] if content["best"] else []
    times = [
        f"{content['submission']}, runner {content['runner']}, study {content['host']}:{content['study']}"
    ]
    times.append(
        f"started {content['started']}" + (f", ended {content['ended']}" if content["ended"] else "")
    )
    lines += [*times, "", *content["look"]]
    return {"subject": one_line(subject, 200), "text": "\n".join(lines) + "\n"}


def example(study: Study, runner: str) -> dict[str, Any]:
    """A digest of nothing, to try a notify command with."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    content = {
        "format": FORMAT,
        "reason": TEST,
        "experiment": "example",
        "submission": "00000000-000000-test",
        "study": str(study.root),
        "runner": runner,
        **process.who(),
        "tasks": 3,
        "counts": {"done": 2, "failed": 1},
        "best": None,
        "failures": [{"cause": "ValueError: a test", "tasks": 1, "example": "example:0/0"}],
        "failures_left_out": 0,
        "detail": f"This message is a test of the notify command of runner {runner}.",
        "started": now,
        "ended": now,
        "look": [command("status")],
    }
    return {**content, **_words(content)}


def tried(words: tuple[str, ...], study: Study, runner: str) -> Finding:
    """Run a notify command with the digest of nothing; how it ended, as a result of `neurofit runners check`."""
    ended = notify.run(words, to_json(example(study, runner)) + "\n", study.root)
    printed = f"\n{ended.output}" if ended.output else ""
    if ended.problem is not None:
        return Finding(False, "the notify command was run with a test message", ended.problem + printed)
    what = f"the notify command was run with a test message, {ended.seconds:.1f} s"
    return Finding(True, what, f"it printed{printed}" if printed else "")


def _believe_journals(status: ExperimentStatus, submission: SubmissionStatus) -> None:
    """Change the states of tasks to what the ends of their jobs say, since no queue was asked."""
    ends = JobEnds(status)
    for place, (number, _) in enumerate(submission.planned()):
        state = submission.states[place]
        if state in ACTIVE or state is State.STOPPED:
            end = ends.of(submission.name, number)
            if end is None or not notices.is_final(end.end, end.why):
                submission.states[place] = state if state in ACTIVE else State.QUEUED  # it may start again
            elif state is State.QUEUED:
                submission.states[place] = State.FAILED if end.end == "damaged" else State.NEW


def tell_of(folder: Path, *, pool: bool) -> None:
    """Run the notify command of one submission, if it is due and nobody has run it."""
    files = SubmissionFiles(Path(os.path.abspath(folder)))
    record = read_submission(files)
    study = study_of(files, record)
    status = read_status(study, record.experiment, asking=pool, noting=pool)
    submission = status.submission(files.name)
    if submission is None or not record.notify or notices.is_claimed(files):
        return
    if not pool:
        _believe_journals(status, submission)
    if (reason := _reason(submission)) is not None:
        send(status, submission, reason)


def main(words: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m neurofit.orchestrate.notices", description=__doc__)
    parser.add_argument("submission", type=Path, help="the submission's folder")
    parser.add_argument("--pool", action="store_true", help="wait for the end of the pool that started this")
    given = parser.parse_args(list(words))
    if given.pool:
        sys.stdin.buffer.read()
    try:
        with transient.patience(transient.Patience()):
            tell_of(given.submission, pool=given.pool)
    except (NeurofitError, OSError) as error:  # `neurofit status` says more
        print(f"neurofit: the notify command was not run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
