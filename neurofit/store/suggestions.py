"""`suggestion.json`: the arguments of a trial of a search, in the folder of its run.

A worker that has claimed a trial without one asks for a suggestion and creates the file exclusively: whichever
process is first decides for all repetitions and all attempts, also after a crash. The file never changes.
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from neurofit.errors import StoreError
from neurofit.files import to_json, write_new
from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import RegisteredRun, SuggestionRecord, Values
from neurofit.structure import read_record

SUGGESTION = "suggestion"  # the fact of an outcome: the hash of what was suggested
PRUNED_AT = "pruned_at"  # the fact of an outcome: the step at which its trial was ended early


def read_suggestion(files: ExperimentFiles, run: RegisteredRun) -> SuggestionRecord | None:
    """The suggestion for a trial; None if there is none yet.

    Raises
    ------
    StoreError
        The file is damaged.
    """
    try:
        return read_record(files.suggestion(run.number, run.id), SuggestionRecord)
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_suggestion(
    files: ExperimentFiles, run: RegisteredRun, suggestion: SuggestionRecord
) -> SuggestionRecord:
    """Write the suggestion for a trial, and return the one that counts: another worker may have been first."""
    if write_new(files.suggestion(run.number, run.id), to_json(suggestion.as_object()) + "\n"):
        return suggestion
    return read_record(files.suggestion(run.number, run.id), SuggestionRecord, late=True)


def with_suggestion(files: ExperimentFiles, run: RegisteredRun) -> RegisteredRun:
    """The run with all its arguments; as it is if it is no trial, or has no readable suggestion."""
    if run.trial is None:
        return run
    try:
        suggestion = read_suggestion(files, run)
    except (StoreError, OSError):
        return run
    return run if suggestion is None else merged(run, suggestion.values, suggestion.derived)


def merged(run: RegisteredRun, values: Values, derived: Values) -> RegisteredRun:
    """The run with these suggested arguments, and those derived from them."""
    architecture = str(values.get("architecture", run.architecture))
    return replace(run, params={**run.params, **values}, derived=derived, architecture=architecture)


def content_hash(suggestion: SuggestionRecord) -> str:
    """A hash of 16 hexadecimal digits of what was suggested and from what, as the fact `suggestion` of outcomes."""
    return hashlib.sha256(to_json(suggestion.as_object()).encode()).hexdigest()[:16]
