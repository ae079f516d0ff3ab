"""Queue a plan and watch it to its end; Ctrl-C stops a pool of this machine cleanly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurofit.cli import progress, terminal, wording
from neurofit.cli.entry import INTERRUPTED

if TYPE_CHECKING:
    from neurofit.backends.runner import Runner
    from neurofit.orchestrate.forecast import Forecast
    from neurofit.orchestrate.plan import Plan
    from neurofit.orchestrate.status.watch import Look, Watch
    from neurofit.orchestrate.submit import Submitted

SOME_FAILED, STILL_RUNNING, NOT_ASKED = 3, 4, 5


def queue_and_follow(
    plan: Plan, runner: Runner, cost: Forecast, *, stays: bool, wait_seconds: float | None, as_json: bool
) -> int:
    """Queue what the plan asks for, and watch it if `stays` and it runs here, or for the time given."""
    from neurofit.orchestrate.forecast import runs_here
    from neurofit.orchestrate.submit import submit

    queued = submit(plan, runner) if plan.tasks else None
    record = {**plan.summary(cost.jobs), "submission": queued and queued.name, "ids": queued.ids if queued else []}
    if queued is None:
        return _nothing_queued(plan, record, as_json)
    if not as_json:
        terminal.say(f"Queued as {queued.name}.")
    if wait_seconds is None and not (stays and runs_here(runner)):
        _detached(plan, record, as_json)
        return 0
    return _watched(plan, queued, record, runs_here(runner), wait_seconds, as_json)


def _nothing_queued(plan: Plan, record: dict[str, Any], as_json: bool) -> int:
    from neurofit.orchestrate.causes.failures import FAILED
    from neurofit.orchestrate.plan import AT_WORK

    name = plan.experiment.name
    if as_json:
        terminal.as_json(record)
    elif any(plan.counts[state] for state in AT_WORK):
        terminal.say("Nothing is to be queued: the rest is at work already.")
        terminal.hint(f"neurofit status {name} --watch")
    elif any(plan.counts[state] for state in FAILED):
        terminal.say("Nothing is to be queued; what failed waits for --retry.")
        terminal.hint(f"neurofit failures {name}", f"neurofit submit {name} --retry")
    else:
        terminal.say("Nothing is to be queued.")
        terminal.hint(f"neurofit results {name}")
    return SOME_FAILED if any(plan.counts[state] for state in FAILED) else 0


def _detached(plan: Plan, record: dict[str, Any], as_json: bool) -> None:
    name = plan.experiment.name
    if as_json:
        terminal.as_json(record)
    terminal.hint(f"neurofit status {name} --watch", f"neurofit cancel {name}")


def _watched(
    plan: Plan, queued: Submitted, record: dict[str, Any], is_ours: bool, wait_seconds: float | None, as_json: bool
) -> int:
    from neurofit.experiments.store.submissions import read_jobs
    from neurofit.orchestrate.status.watch import Watch

    keys = [task.key for job in read_jobs(queued.files) for task in job]
    watch = Watch(plan.study, plan.experiment.name, lambda found: keys, details=terminal.is_rich())
    interrupted = False
    try:
        look = _last(watch, wait_seconds, as_json, "Ctrl-C stops; what is done is kept." if is_ours else "")
    except KeyboardInterrupt:
        interrupted = True
        look = _stopped(watch, queued, as_json) if is_ours else watch.look()
    if as_json:
        terminal.as_json({**record, "after": {str(state): number for state, number in look.counts.items()}})
    else:
        _say_how_it_ended(look, interrupted)
    return INTERRUPTED if interrupted else exit_code([look], waited=True)


def _last(watch: Watch, limit_seconds: float | None, as_json: bool, remark: str) -> Look:
    from neurofit.orchestrate.status.watch import until_over

    rounds = until_over([watch], limit_seconds)
    return (list(rounds)[-1] if as_json else progress.show(rounds, remark))[0]


def _stopped(watch: Watch, queued: Submitted, as_json: bool) -> Look:
    """Ask the pool to stop, wait for its end; asked again, end it at once."""
    from neurofit.orchestrate.cancel import stop

    part = next(part for part in watch.look().found.parts if part.files.name == queued.name)
    remark = "Stopping: tasks at work save a checkpoint. Ctrl-C again ends them at once."
    while True:
        stop(watch.study, part)
        if not terminal.is_rich():
            terminal.note(remark)
        try:
            return _last(watch, None, as_json, remark)
        except KeyboardInterrupt:
            remark = "Ending them at once."


def _say_how_it_ended(look: Look, interrupted: bool) -> None:
    from neurofit.orchestrate.causes.failures import FAILED, UNFINISHED, failures
    from neurofit.orchestrate.status.halts import halted

    name = look.found.name
    terminal.say(progress.summary(look))
    states = FAILED if interrupted else UNFINISHED
    kinds = failures(look.found, look.keys, states) if any(look.counts[state] for state in states) else []
    for line in wording.failed(name, kinds):
        terminal.say(line)
    for sentence in halted(look.found):
        terminal.problem(sentence)
    terminal.problems_of(look.found)
    if not look.is_over:
        terminal.hint(f"neurofit status {name} --watch")
    elif interrupted:
        terminal.hint(f"neurofit submit {name}")
    elif kinds:
        again = " --retry" if any(look.counts[state] for state in FAILED) else ""
        terminal.hint(f"neurofit failures {name}", f"neurofit submit {name}{again}")
    else:
        terminal.hint(f"neurofit results {name}")


def exit_code(looks: Sequence[Look], *, waited: bool) -> int:
    """What a script wants to know of these experiments; `waited` for their end."""
    from neurofit.orchestrate.causes.failures import UNFINISHED

    if any(look.found.unanswered for look in looks):
        return NOT_ASKED
    if waited and not all(look.is_over for look in looks):
        return STILL_RUNNING
    return SOME_FAILED if any(look.counts[state] for look in looks for state in UNFINISHED) else 0
