"""The scripts of the repository."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_every_python_script_is_checked_as_the_package_is():
    settings = (REPOSITORY / "pyproject.toml").read_text()
    included = re.findall(r'"(scripts/\S+)"', settings.partition("extend-include")[2].partition("]")[0])
    written = [
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "scripts").iterdir()
        if path.is_file() and "python" in path.read_text().partition("\n")[0]
    ]
    assert included == sorted(written)
