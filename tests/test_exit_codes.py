"""Exit codes have one meaning, in the code, in the help and in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neurofit import errors, exit_codes
from neurofit.cli.application import EPILOG

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "running.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", exit_codes.MEANINGS)
def test_the_documentation_lists_every_exit_code(code):
    assert re.search(rf"^\| {code} \| \w", PAGE.partition("## Exit codes")[2], re.MULTILINE)


@pytest.mark.parametrize("code", exit_codes.MEANINGS)
def test_the_help_lists_every_exit_code_with_its_meaning(code):
    assert re.search(rf"^  {code} +{re.escape(exit_codes.MEANINGS[code])}$", EPILOG, re.MULTILINE)


def test_every_error_has_a_known_exit_code():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.NeurofitError)}
    assert codes <= exit_codes.MEANINGS.keys()


def test_codes_of_jobs_are_those_that_queued_scripts_use():
    names = ("DAMAGED", "NO_ROOM", "NO_DEVICE", "NO_STUDY", "START_AGAIN")
    assert [getattr(exit_codes, name) for name in names] == [94, 95, 96, 97, 99]
