"""`neurofit debug`: run a task again here, in an attempt that never counts."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit import environment
from neurofit.cli import foreground, options, terminal, wording
from neurofit.cli.selecting import of_script, select, single

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment
    from neurofit.experiments.selector import Selection
    from neurofit.status.experiment_status import ExperimentStatus
    from neurofit.store.records import Outcome, SubmissionRecord
    from neurofit.study import Study

SLOWEST = 15


@click.command(
    epilog=options.examples(
        "neurofit debug exp3:17/3 --pdb",
        "neurofit debug exp3:17/3 --profile",
        "neurofit debug exp3:17/3 --recorded-code",
        "neurofit debug exp3:best",
    )
)
@options.selector(metavar="EXPERIMENT:RUN[/REPETITION]")
@options.best_by("--by", "--best-by")
@click.option("--pdb", is_flag=True, help="Open the debugger where the fit raises an exception.")
@click.option("--profile", is_flag=True, help="Time the functions; print the slowest.")
@click.option("--recorded-code", is_flag=True, help="Run the code of the newest attempt, from its copy.")
@options.as_json
def command(
    selector: str, best_by: str | None, pdb: bool, profile: bool, recorded_code: bool, as_json: bool
) -> int:
    """Run one task again here, in a scratch attempt that never counts.

    It runs the code that the study has now, or with --recorded-code that of the task's newest attempt, in this
    process, with the seeds, the arguments and the environment variables of that attempt. Status and results stay
    as they are.
    """
    from neurofit.orchestrate import foreground as here
    from neurofit.store.records import Outcome
    from neurofit.structure import structured

    if pdb and not sys.stdin.isatty():
        raise click.UsageError(
            "--pdb needs a terminal to type in, and the standard input is none. Start it in a terminal, or leave "
            "out --pdb."
        )
    study = options.here()
    # dropped if this program starts again, since it is said again
    said, printed = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
            if recorded_code:
                experiment, status, task, recorded = _recorded(study, selector, best_by)
            else:
                experiment, status, task = _present(study, selector, best_by)
                recorded = None
            _must_have(experiment, status, task[1])
            point = here.point(experiment, status.registry, {}, *task, status.files)
            key = point.run.registered_number, task[1]
            newest = _outcome(status, key, status.of(key).newest)
            counted = status.of(key).counted
            counts = _outcome(status, key, counted.attempt) if counted else None
        variables = ((newest.environment or {}).get("variables") if newest else None) or {}
        environment.enter(variables if newest else None)
    finally:
        sys.stdout.write(printed.getvalue())
        sys.stderr.write(said.getvalue())
    foreground.print_task(experiment, point)
    if recorded is not None:
        terminal.note(f"Code of attempt {status.of(key).newest}, as submitted in {recorded.name}.")
    _print_environment(newest, variables)
    with foreground.stdout_to_stderr() if as_json else contextlib.nullcontext():
        attempt, written = here.run(
            study, experiment, point, debug=pdb, scratch=True, profile=profile, recorded=recorded
        )
    outcome = structured(written, Outcome, attempt.outcome)
    if as_json:
        there = (
            {"attempt": counts.attempt, "metrics": counts.metrics, "code": counts.code} if counts else None
        )
        terminal.as_json({**written, "folder": str(attempt.folder), "counts": there})
        return foreground.exit_code(outcome)
    name = wording.task(experiment.name, key)
    terminal.say(f"{name}: {outcome.state} after {wording.duration(outcome.wall_seconds or 0.0)}.")
    _print_metrics(outcome, counts, recorded_code=recorded_code)
    if outcome.error:
        terminal.say(f"  {' '.join(str(outcome.error.message).split())[:300]}")
    if profile and (attempt.folder / here.PROFILE).exists():
        _print_profile(attempt.folder / here.PROFILE)
    terminal.say(f"Files: {wording.short_path(attempt.folder)}")
    terminal.note("This attempt does not count.")
    return foreground.exit_code(outcome)


def _present(
    study: Study, selector: str, best_by: str | None
) -> tuple[Experiment, ExperimentStatus, tuple[int, int]]:
    """The experiment as its script is now, its status, and the task."""
    from neurofit.experiments.selector import parse
    from neurofit.orchestrate.plan import load
    from neurofit.status.experiment_status import read_status

    selection = parse(selector)
    experiment = load(study, selection.experiment)
    selection = of_script(study, experiment, selection, best_by)
    return experiment, read_status(study, experiment.name), _task(selector, selection)


def _recorded(
    study: Study, selector: str, best_by: str | None
) -> tuple[Experiment, ExperimentStatus, tuple[int, int], SubmissionRecord]:
    """The experiment as the task's newest attempt had it, its status, the task, and the submission."""
    from neurofit.experiments import scripts
    from neurofit.store.layout import code_store

    query, status = select(study, selector, best_by=best_by)
    task = _task(selector, query.selection)
    name, newest = wording.task(status.name, task), status.of(task).newest
    if not newest:
        raise click.UsageError(
            f"{name} has no attempt, so no code was recorded for it. Leave out --recorded-code to run the code that "
            "the study has now."
        )
    outcome = _outcome(status, task, newest)
    submitted = status.submission((outcome and outcome.submission) or status.of(task).latest.submission)
    if submitted is None:
        raise click.UsageError(
            f"It is not known which code attempt {newest} at {name} ran: its submission cannot be read. Leave out "
            "--recorded-code to run the code that the study has now."
        )
    record = submitted.record
    code = code_store(study) / record.code
    if not code.is_dir():
        raise click.UsageError(
            f"The copy of the code that attempt {newest} at {name} ran was removed: there is no folder {code}. Leave "
            "out --recorded-code to run the code that the study has now."
        )
    return scripts.load(code, code / record.script, record.experiment), status, task, record


def _task(selector: str, selection: Selection) -> tuple[int, int]:
    """The run and the repetition that a selection names."""
    number = single(selector, selection, selection.runs)
    if number is None:
        raise click.UsageError(
            f"'{selector}' names no task; expected a single one, for example {selection.experiment}:17/3."
        )
    return number, single(selector, selection, selection.repetitions) or 0


def _must_have(experiment: Experiment, status: ExperimentStatus, repetition: int) -> None:
    """Raise UsageError unless tasks of the experiment have this repetition."""
    number = max(experiment.repetitions, status.repetitions)
    if repetition >= number:
        there = f"repetitions 0 to {number - 1}" if number > 1 else "repetition 0 alone"
        raise click.UsageError(
            f"{experiment.name} has no repetition {repetition}: its runs have {there} (`repetitions={number}`)."
        )


def _outcome(status: ExperimentStatus, key: tuple[int, int], attempt: int) -> Outcome | None:
    from neurofit.errors import StoreError
    from neurofit.store.layout import AttemptFiles
    from neurofit.store.records import Outcome
    from neurofit.structure import read_record

    run = status.registry.runs.get(key[0])
    if run is None or not attempt:
        return None
    path = status.files.outcome_text(run.number, run.id, key[1], attempt)
    try:
        return read_record(AttemptFiles(Path(path).parent).outcome, Outcome)
    except FileNotFoundError:  # it runs, or was lost
        return None
    except StoreError as error:
        terminal.problem(str(error))
        return None


def _print_environment(newest: Outcome | None, variables: Mapping[str, Any]) -> None:
    if newest is None:
        terminal.note("No attempt at it has ended before, so the environment is that of this terminal.")
        return
    asked = environment.as_recorded({}, variables)
    pairs = " ".join(f"{name}={value}" for name, value in sorted(asked.items()))
    terminal.note(f"Environment of attempt {newest.attempt}: {pairs or 'no variables'}")


def _print_metrics(outcome: Outcome, counts: Outcome | None, *, recorded_code: bool) -> None:
    here, there = outcome.metrics or {}, (counts.metrics or {}) if counts else {}
    if counts is None:
        for metric, value in here.items():
            terminal.say(f"  {metric}  {value:.6g}")
        return
    if outcome.state == "done":
        names = list(dict.fromkeys([*here, *there]))
        rows = [[name, _number(here, name), _number(there, name)] for name in names]
        terminal.table(["metric", "here", f"attempt {counts.attempt}"], rows)
        equal = here.keys() == there.keys() and all(_same(here[name], there[name]) for name in here)
        verb = "equal" if equal else "differ from"
        terminal.say(f"The metrics {verb} those of attempt {counts.attempt}, which counts.")
    if counts.code != outcome.code:
        other = "this attempt" if recorded_code else "the study has now"
        terminal.note(f"Attempt {counts.attempt}, which counts, ran other code than {other}.")
    read, before = ((one.facts or {}).get("inputs") or {} for one in (outcome, counts))
    if changed := sorted(name for name in read.keys() & before.keys() if read[name] != before[name]):
        terminal.note(
            f"Attempt {counts.attempt}, which counts, read other data: {', '.join(changed)} changed since."
        )


def _number(metrics: Mapping[str, float], name: str) -> str:
    return f"{metrics[name]:.6g}" if name in metrics else "-"


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _print_profile(path: Path) -> None:
    import pstats

    timed: dict[tuple[str, int, str], Any] = vars(pstats.Stats(str(path)))["stats"]
    slowest = sorted(timed.items(), key=lambda item: -item[1][3])[:SLOWEST]
    rows = []
    for (file, line, function), (_, calls, own, total, _) in slowest:
        place = function if file == "~" else f"{Path(file).name}:{line} {function}"
        rows.append([f"{total:.4f}", f"{own:.4f}", str(calls), place])
    terminal.table(["total s", "own s", "calls", "function"], rows)
    terminal.say(f"Profile: {wording.short_path(path)}")
