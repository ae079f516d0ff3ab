"""Rows and columns of a table in the order that was asked for: sorted, the first of them, some columns."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurofit.errors import UsageError, nearest
from neurofit.tables.comparison import lower_by_name
from neurofit.tables.formats import SPREAD

if TYPE_CHECKING:
    import pandas as pd


def arranged(
    frame: pd.DataFrame,
    *,
    sort: str | None = None,
    reverse: bool = False,
    lower_is_better: bool = False,
    top: int | None = None,
    columns: Sequence[str] = (),
) -> pd.DataFrame:
    """The table with its rows sorted and cut, and with some of its columns.

    Parameters
    ----------
    frame : pandas.DataFrame
        A table of `table`, `by_run` or `compare`. `attrs["scores"]` names the columns with metrics.
    sort : str, optional
        A column, or a metric of a table by run, whose means are then compared. Metrics come best first, other
        columns in ascending order; rows without a value come last.
    reverse : bool, default False
        In the other order.
    lower_is_better : bool, default False
        Whether lower numbers of the metric are better. Default: decided by its name.
    top : int, optional
        Only so many rows.
    columns : sequence of str, optional
        Columns in this order: names, patterns such as "test/*", or metrics of a table by run.

    Raises
    ------
    UsageError
        There is no such column.
    """
    if sort is not None:
        name = _sort_column(frame, sort)
        is_score = name in frame.attrs.get("scores", ())
        descending = is_score and not (lower_is_better or lower_by_name(name.removesuffix(" mean")))
        frame = _rows(frame, _order(frame[name].tolist(), descending=descending != reverse))
    if top is not None:
        frame = _rows(frame, list(range(min(top, len(frame)))))
    return _columns(frame, columns) if columns else frame


def _sort_column(frame: pd.DataFrame, wanted: str) -> str:
    for name in (wanted, f"{wanted} mean"):
        if name in frame:
            return name
    raise _unknown(frame, wanted, "--sort")


def _order(values: list[Any], *, descending: bool) -> list[int]:
    """Indices of the values: numbers before texts, and missing values last."""
    present = [index for index, value in enumerate(values) if not _is_missing(value)]
    absent = [index for index, value in enumerate(values) if _is_missing(value)]

    def key(index: int) -> tuple[bool, Any]:
        value = values[index]
        return (False, value) if isinstance(value, int | float) else (True, str(value))

    return sorted(present, key=key, reverse=descending) + absent  # equal values keep their order


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def _rows(frame: pd.DataFrame, order: list[int]) -> pd.DataFrame:
    chosen = frame.iloc[order].reset_index(drop=True)
    chosen.attrs = dict(frame.attrs)
    return chosen


def _columns(frame: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    names = list(dict.fromkeys(name for one in wanted for name in _matching(frame, one)))
    chosen = frame[names]
    # "M mean", "M low" and "M high" are shown as "M", "M p10" and "M p90" as "M p10 to p90"
    means = [name.removesuffix(" mean") for name in names if name.endswith(" mean")]
    percentiles = [f"{name} to p90" for name in names if name.endswith(" p10")]
    shown = [*names, *means, *percentiles]
    chosen.attrs = {**frame.attrs, "always": names, "first": names, "axes": shown}
    return chosen


def _matching(frame: pd.DataFrame, wanted: str) -> list[str]:
    names = [str(name) for name in frame]
    if wanted in names:
        return [wanted]
    spread = [name for part in SPREAD if (name := f"{wanted} {part}") in names]
    found = spread or [name for name in names if fnmatch.fnmatchcase(name, wanted)]
    if not found:
        raise _unknown(frame, wanted, "--columns")
    return found


def _unknown(frame: pd.DataFrame, wanted: str, option: str) -> UsageError:
    known = [str(name) for name in frame]
    names = list(dict.fromkeys(name.removesuffix(" mean") for name in known if not _is_part(name, known)))
    return UsageError(
        f"{option}: there is no column '{wanted}'.{nearest(wanted, names)} Columns: {', '.join(names) or 'none'}."
    )


def _is_part(name: str, known: list[str]) -> bool:
    stem, _, part = name.rpartition(" ")
    return part in SPREAD[1:] and f"{stem} mean" in known
