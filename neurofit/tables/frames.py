"""Tables of results as data frames: `nf.results`, `nf.runs`, `nf.compare`, `nf.neurons`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurofit import packed, study as studies
from neurofit.experiments.selector import Selection
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.tables.query import parse_query
from neurofit.tables.rows import read_rows
from neurofit.tables.trials import is_counted
from neurofit.tables.waiting import wait_for

if TYPE_CHECKING:
    import pandas

    from neurofit.tables.table import TaskRow


def results(
    name: str, *, wait: bool | float = False, best_by: str | None = None, study: Path | str | None = None
) -> pandas.DataFrame:
    """Read the table of results of an experiment, with one row per task, as `neurofit results` shows it.

    Parameters
    ----------
    name : str
        Experiment or selector, such as "exp3", "exp3:17" or "exp3:best".
    wait : bool or float, default False
        Wait first until no selected task is queued or running, or for at most so many seconds. A terminal or a
        notebook shows a progress bar. Tasks continue if you interrupt the waiting.
    best_by : str, optional
        With "exp3:best": the metric that decides, perhaps as "min:NAME" or "max:NAME". Default: the metric of the
        validation set.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    UsageError, NameUnknown
        The selector is invalid, or there is no such experiment or task.
    """
    from neurofit.tables.table import table

    return table(_rows(name, study, best_by, wait))


def runs(
    name: str, *, wait: bool | float = False, best_by: str | None = None, study: Path | str | None = None
) -> pandas.DataFrame:
    """Read the table with one row per run, with means and intervals over repetitions.

    It is the table of `neurofit results --by run`. Runs off the grid have False in the column `on_grid`, which is
    there if some run is off the grid.

    Parameters
    ----------
    name : str
        Experiment or selector, such as "exp3" or "exp3:0-9".
    wait : bool or float, default False
        Wait first until no selected task is queued or running, or for at most so many seconds. A terminal or a
        notebook shows a progress bar. Tasks continue if you interrupt the waiting.
    best_by : str, optional
        With "exp3:best": the metric that decides, perhaps as "min:NAME" or "max:NAME". Default: the metric of the
        validation set.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    pandas.DataFrame
        The arguments of each run, `repetitions` that are done and `missing` ones, and for each metric `M` the
        columns `M mean`, `M low`, `M high`, `M median`, `M p10` and `M p90`. `interval` says what `low` and
        `high` are.

    Raises
    ------
    UsageError, NameUnknown
        The selector is invalid, or there is no such experiment or task.
    """
    from neurofit.tables.comparison import by_run

    return by_run(_rows(name, study, best_by, wait))


def compare(
    name: str,
    axis: str,
    metric: str | None = None,
    *,
    off_grid: bool = False,
    lower_is_better: bool = False,
    study: Path | str | None = None,
) -> pandas.DataFrame:
    """Compare the values of an argument pairwise, paired by repetition, all other arguments equal.

    It is the table of `neurofit results --compare AXIS`.

    Parameters
    ----------
    name : str
        Experiment or selector, such as "exp3" or "exp3:0-9".
    axis : str
        An argument, or "architecture".
    metric : str, optional
        Default: the only metric, or the correlation on the test set.
    off_grid : bool, default False
        Whether to include tasks off the grid.
    lower_is_better : bool, default False
        Whether lower numbers of the metric are better. Default: decided by its name, see the column `better`.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    pandas.DataFrame
        One row per pair of values `a` and `b`: the mean of `b` minus `a` over repetitions with its interval, the
        number of pairs and of repetitions in which `b` wins.

    Raises
    ------
    UsageError, NameUnknown
        The selector is invalid, there is no such experiment, task, axis or metric, or the axis has a single value.
    """
    from neurofit.tables import comparison

    return comparison.compare(
        _rows(name, study), axis, metric, off_grid=off_grid, lower_is_better=lower_is_better
    )


def neurons(name: str, *, best_by: str | None = None, study: Path | str | None = None) -> pandas.DataFrame:
    """Read the scores per neuron of all finished tasks that saved `neurons.csv`.

    Parameters
    ----------
    name : str
        Experiment or selector, such as "exp3" or "exp3:17".
    best_by : str, optional
        With "exp3:best": the metric that decides, perhaps as "min:NAME" or "max:NAME". Default: the metric of the
        validation set.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    pandas.DataFrame
        One row per neuron and task, with columns `run` and `repetition`, those of `neurons.csv`, and the
        arguments of the run.

    Raises
    ------
    UsageError, NameUnknown
        The selector is invalid, or there is no such experiment or task.
    """
    import pandas

    status, selection = _select(name, study, best_by)
    frames = []
    for row in read_rows(status, selection):
        if not is_counted(row) or not row["attempt"]:
            continue
        task = status.files.task(row["run"], row["id"], row["repetition"])
        path = task.attempt(row["attempt"]).folder / "neurons.csv"
        try:
            with packed.opened(path) as file:
                frame = pandas.read_csv(file)
        except FileNotFoundError:
            continue
        frame.insert(0, "run", row["run"])
        frame.insert(1, "repetition", row["repetition"])
        arguments = {name: value for name, value in row["params"].items() if name not in frame}
        frames.append(frame.assign(**{name: [value] * len(frame) for name, value in arguments.items()}))
    if not frames:
        return pandas.DataFrame(columns=["run", "repetition", "neuron"])
    return pandas.concat(frames, ignore_index=True)


def _rows(
    name: str, folder: Path | str | None, best_by: str | None = None, wait: bool | float = False
) -> list[TaskRow]:
    return read_rows(*_select(name, folder, best_by, wait))


def _select(
    name: str, folder: Path | str | None, best_by: str | None = None, wait: bool | float = False
) -> tuple[ExperimentStatus, Selection]:
    from neurofit.tables.best import resolved  # loads pandas

    study = studies.find(Path(folder) if folder else Path.cwd())
    query = parse_query(study, name)
    if wait is not False:
        everything = query.selection.best  # which run is best is only known at the end
        pick = ExperimentStatus.all_keys if everything else query.keys
        wait_for(study, query.name, pick, None if wait is True else wait)
    status = read_status(study, query.name)
    query, _ = resolved(query, status, best_by)
    query.keys(status)  # raises an error if the selector matches nothing
    return status, query.selection
