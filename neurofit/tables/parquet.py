"""A table of results as a Parquet file: the only module that imports pyarrow."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd

from neurofit.errors import MissingExtra, install


def parquet(frame: pd.DataFrame) -> bytes:
    """The table as a Parquet file, with all columns and their types.

    A column whose values have no type in common, such as an argument that is a number in one run and a list in another,
    is text in JSON.

    Parameters
    ----------
    frame : pandas.DataFrame
        A table of `table`, `by_run` or `compare`.

    Raises
    ------
    MissingExtra
        pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow.parquet import write_table
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"Parquet files need pyarrow, which is not installed: {install('parquet')}.", name="pyarrow"
        ) from error
    columns = {str(name): _column(pyarrow, frame[name]) for name in frame}
    written = io.BytesIO()
    write_table(pyarrow.table(columns), written)
    return written.getvalue()


def _column(pyarrow: Any, values: pd.Series) -> Any:
    known = [None if _is_missing(value) else value for value in values.tolist()]
    kinds = {type(value) for value in known if value is not None}
    if kinds <= {int, float} or (len(kinds) == 1 and not kinds & {list, dict}):
        try:
            return pyarrow.array(_plain(known), pyarrow.float64() if kinds == {int, float} else None)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
            pass  # an integer of over 64 bits
    return pyarrow.array([None if value is None else json.dumps(value, default=str) for value in known])


def _plain(values: list[Any]) -> list[Any]:
    """Without lone surrogates, which JSON can hold but UTF-8 cannot."""
    return [
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for value in values
    ]


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)
