"""The notify command: its words, where it is found, and how it is run."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from neurofit.backends import notify, runner
from neurofit.backends.local.backend import LocalBackend
from neurofit.errors import RunnerError
from neurofit.study import Study

WORD = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1).filter(str.isprintable)


def program(folder, text: str, name: str = "tell.sh"):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def running(group: str) -> list[str]:
    """The processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, process_group = path.read_text().rpartition(")")[2].split()[:3]
            if process_group == group and state not in "ZX":
                found.append(path.parent.name)
    return found


@given(st.lists(WORD, min_size=1))
def test_a_text_is_split_as_a_shell_would_split_it(words):
    if words[0].strip():
        assert notify.words_of(shlex.join(words), "runners/x.yaml") == tuple(words)
        assert notify.words_of(words, "runners/x.yaml") == tuple(words)


def test_a_runner_has_a_command_of_its_own_or_none_or_that_of_the_study(tmp_path):
    study = Study(tmp_path)
    study.runners.mkdir()
    of_study = LocalBackend()
    assert notify.command_of(of_study, study) == ()
    study.settings.write_text("notify: 'mail -s \"a b\" me'\n")
    assert notify.command_of(of_study, study) == ("mail", "-s", "a b", "me")
    for text, words in [
        ("[post.sh, 'a b']", ("post.sh", "a b")),
        ("post.sh a", ("post.sh", "a")),
        ("''", ()),
        ("[]", ()),
        ("null", ("mail", "-s", "a b", "me")),
    ]:
        (study.runners / "x.yaml").write_text(f"backend: local\nnotify: {text}\n")
        assert notify.command_of(runner.load(study.runners, "x").backend, study) == words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('notify: "mail \'me"', "cannot be split into words: no closing quotation"),
        ("notify: 3", "'notify' is 3, expected"),
        ("notify: {a: b}", "expected"),
        ('notify: "a\\n b"', "a line break or another control character"),
        ("notify: [' ', a]", "expected the name of a program"),
    ],
)
def test_a_command_that_is_none_is_named_with_its_file(tmp_path, text, said):
    study = Study(tmp_path)
    study.runners.mkdir()
    (study.runners / "x.yaml").write_text(f"backend: local\n{text}\n")
    with pytest.raises(RunnerError, match=r"runners/x\.yaml") as error:
        runner.load(study.runners, "x")
    assert said in str(error.value)
    study.settings.write_text(f"{text}\n")
    with pytest.raises(RunnerError, match=r"neurofit\.yaml") as error:
        notify.command_of(LocalBackend(), study)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("notfy: mail", "no setting 'notfy'. Did you mean 'notify'?"),
        ("- a", "expected one"),
        ("a: [", "YAML"),
    ],
)
def test_settings_of_a_study_that_are_none_are_named(tmp_path, text, said):
    (tmp_path / "neurofit.yaml").write_text(text)
    with pytest.raises(RunnerError, match=r"neurofit\.yaml") as error:
        notify.command_of(LocalBackend(), Study(tmp_path))
    assert said in str(error.value)


@pytest.mark.usefixtures("processes")
def test_it_gets_its_text_in_the_folder_of_the_study_without_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    program(tmp_path, 'cat > got; printf "%s|" "$@" "$SLURM_JOB_ID" "$(pwd)"')
    ended = notify.run(("./tell.sh", "$HOME; ls", "*"), "ä\n", tmp_path)
    assert (ended.problem, ended.exit_code) == (None, 0)
    assert ended.output == f"$HOME; ls|*||{tmp_path}|"
    assert (tmp_path / "got").read_text() == "ä\n"


@pytest.mark.usefixtures("processes")
def test_what_it_leaves_running_is_not_waited_for(tmp_path):
    program(tmp_path, "sleep 30 & echo $!")
    ended = notify.run(("./tell.sh",), "", tmp_path, seconds=20)
    os.kill(int(ended.output), 9)
    assert ended.problem is None and ended.seconds < 20


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        ("echo no route; exit 3", "It failed with exit code 3.", 3),
        ("kill -9 $$", "It was ended by SIGKILL.", None),
        ("sleep 60 & wait", "It did not end within 0.3 s and was ended.", None),
        ("trap '' TERM; sleep 60", "It did not end within 0.3 s and was ended.", None),
        ("exec yes", "was ended", None),
    ],
)
def test_a_command_that_fails_is_recorded_with_what_it_printed(tmp_path, monkeypatch, text, said, code):
    monkeypatch.setattr(notify, "END_SECONDS", 0.2)
    program(tmp_path, f"echo $$ > pid; {text}")
    ended = notify.run(("./tell.sh",), "x" * 10**6, tmp_path, seconds=0.3)
    assert said in ended.problem and ended.exit_code == code and len(ended.output) <= notify.KEPT
    assert "no route" not in text or ended.output == "no route"
    deadline = time.monotonic() + 10
    while (left := running((tmp_path / "pid").read_text().strip())) and time.monotonic() < deadline:
        time.sleep(0.01)  # a killed process is there until its parent, or the first process, has noticed
    assert not left


def test_a_command_that_cannot_be_run_says_why(tmp_path):
    assert "is not on PATH on" in notify.run(("no-such-program",), "", tmp_path).problem
    assert "There is no program" in notify.run(("./nothing",), "", tmp_path).problem
    assert "There is no program" in notify.run((".//",), "", tmp_path).problem
    path = program(tmp_path, "true")
    path.chmod(0o644)
    assert "is not executable: `chmod +x" in notify.run(("./tell.sh",), "", tmp_path).problem
    assert not notify.finding(("./tell.sh",), tmp_path).ok


@pytest.mark.usefixtures("processes")
def test_a_program_that_cannot_be_executed_is_no_traceback(tmp_path):
    (tmp_path / "tell.sh").write_text("#!/no/such/interpreter\n")
    (tmp_path / "tell.sh").chmod(0o755)
    assert "could not be started" in notify.run(("./tell.sh", "a"), "", tmp_path).problem
