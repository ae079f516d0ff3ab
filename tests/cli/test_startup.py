"""What the command line loads, and that every command says what it is for."""

from __future__ import annotations

import re
import sys

import pytest

from neurofit.cli.application import COMMANDS

LOADED_BY_HELP = {
    "neurofit",
    "neurofit.__main__",
    "neurofit.cli",
    "neurofit.cli.application",
    "neurofit.cli.terminal",
    "neurofit.errors",
    "neurofit.exit_codes",
    "neurofit.lazy",
    "neurofit.text",
}
HEAVY = (
    "numpy",
    "pandas",
    "scipy",
    "rich",
    "tensorflow",
    "keras",
    "matplotlib",
    "submitit",
    "importlib.metadata",
)
EVERY_HELP = [
    [],
    *([name] for name in COMMANDS),
    ["runners", "check"],
    ["search", "best"],
    ["search", "export"],
    ["data", "add"],
    ["data", "make-example"],
    ["data", "convert"],
    ["data", "features"],
    ["data", "fetch-weights"],
]


def loaded(study, *words: str) -> set[str]:
    """Names of the modules that a command imports."""
    answer = study.run([sys.executable, "-X", "importtime", "-m", "neurofit", *words])
    return set(re.findall(r"^import time:.*\| +(\S+)$", answer.stderr, re.MULTILINE))


def test_help_loads_the_standard_library_click_and_lazy_loader_alone(study):
    before = set(
        re.findall(r"\| +(\S+)$", study.run([sys.executable, "-X", "importtime", "-c", ""]).stderr, re.M)
    )
    modules = loaded(study, "--help") - before
    ours = {name for name in modules if name.split(".")[0] == "neurofit"}
    others = {name.split(".")[0] for name in modules - ours} - set(sys.stdlib_module_names)
    assert ours <= LOADED_BY_HELP
    assert others <= {"click", "lazy_loader"}


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["show", "quick"],
        ["submit", "quick", "--dry-run"],
        ["status"],
        ["runners"],
        ["logs", "quick"],
    ],
)
def test_what_people_type_often_loads_nothing_heavy(quick, words):
    quick("submit", "quick")
    modules = loaded(quick, *words)
    wrong = [
        name
        for name in HEAVY
        if name in modules and not (name == "importlib.metadata" and words[0] == "submit")
    ]
    assert not wrong


def test_status_reads_neither_scripts_nor_profiles_when_nothing_is_queued(quick):
    quick("submit", "quick")
    modules = loaded(quick, "status")
    assert not modules & {
        "yaml",
        "socket",
        "neurofit.experiments.experiment",
        "neurofit.experiments.grid.grid",
    }


@pytest.mark.parametrize("words", EVERY_HELP, ids=lambda words: " ".join(words) or "neurofit")
def test_every_help(study, words):
    text = study(*words, "--help").stdout
    assert text.startswith(" ".join(["Usage: neurofit", *words]))
    assert re.search("^  Examples?:\n    neurofit ", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80, "lines that are not wrapped fit a narrow terminal"
    if words and words[0] in COMMANDS and len(words) == 1:
        assert "--json" in text


def test_what_changes_something_has_a_dry_run(study):
    for words in (
        ["submit"],
        ["run"],
        ["cancel"],
        ["clean"],
        ["pack"],
        ["unpack"],
        ["init"],
        ["data", "add"],
    ):
        assert "--dry-run" in study(*words, "--help").stdout


def test_without_a_command_there_is_the_help(study):
    assert study().stdout == study("--help").stdout
    assert re.fullmatch(r"neurofit \d+\.\d+\.\d+\n", study("--version").stdout)


def test_names_complete_without_loading_a_script(study):
    study.script("exp3", "raise SystemError")
    study.script("group/exp4", "raise SystemError")
    complete = {"_NEUROFIT_COMPLETE": "bash_complete", "COMP_WORDS": "neurofit submit ", "COMP_CWORD": "2"}
    answer = study(env=complete)
    assert answer.stdout.split() == ["plain,exp3", "plain,group/exp4"]
    assert study(env={**complete, "COMP_WORDS": "neurofit s", "COMP_CWORD": "1"}).stdout.split() == [
        "plain,show",
        "plain,submit",
        "plain,status",
        "plain,search",
    ]
