"""The scripts of the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
IN_THE_ENVIRONMENT = """#!/usr/bin/env -S sh -c 'exec "${0%/*}/python" "$0" "$@"'"""


def test_every_python_script_is_checked_as_the_package_is():
    settings = (REPOSITORY / "pyproject.toml").read_text()
    included = re.findall(r'"(scripts/\S+)"', settings.partition("extend-include")[2].partition("]")[0])
    written = [
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "scripts").iterdir()
        if path.is_file() and "python" in path.read_text().partition("\n")[0]
    ]
    assert included == sorted(written)


def test_every_script_that_imports_neurofit_or_its_tests_runs_in_the_environment():
    for path in filter(Path.is_file, (REPOSITORY / "scripts").iterdir()):
        first, _, text = path.read_text().partition("\n")
        is_python = "python" in first
        if is_python and re.search(r"^(import|from) neurofit|sys\.path\.insert", text, re.MULTILINE):
            assert first == IN_THE_ENVIRONMENT, path.name


@pytest.mark.process
def test_a_script_runs_in_the_environment_from_any_folder_and_keeps_its_arguments(tmp_path):
    scripts, python = tmp_path / "a b" / "scripts", tmp_path / "a b" / ".venv" / "bin" / "python"
    scripts.mkdir(parents=True)
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nprintf '%s|' \"$@\"\n")
    python.chmod(0o755)
    (scripts / "python").write_text((REPOSITORY / "scripts" / "python").read_text())
    (scripts / "environment").write_text(
        'root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)\n'
        "development=test\nmake_environment() { echo making; }\n"
    )
    (scripts / "figures").write_text(IN_THE_ENVIRONMENT + "\n")
    for script in ("python", "figures"):
        (scripts / script).chmod(0o755)
    ran = subprocess.run([scripts / "figures", "--types", "a b"], cwd="/", capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == (f"{scripts / 'figures'}|--types|a b|", "making\n")
