"""The script for the shell of the other host, run by the shells of this one."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from neurofit.remote import copies
from neurofit.remote.script import REMOTE, program

pytestmark = pytest.mark.process

MARK = "neurofit-0123"
HOSTILE = [
    "two words",
    "it's",
    '"quoted"',
    "$(touch hacked)",
    "`touch hacked`",
    "; touch hacked;",
    "a\nb",
    "*",
    "-rf",
    "\\",
    "%s%n",
    "ünïcödé 漢字",
    "!!",
    "~",
    "{a,b}",
]
SHELLS = [
    name for name in ("dash", "bash", "busybox", "csh", "tcsh", "fish", "zsh", "ksh") if shutil.which(name)
]


def run(script: str, home, shell: str = "sh", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """As a login shell on the other host runs it."""
    words = ["busybox", "sh"] if shell == "busybox" else [shell]
    return subprocess.run(
        [*words, "-c", REMOTE],
        input=script.encode(),
        cwd=home,
        capture_output=True,
        timeout=30,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
    )


def marked(answer: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What follows the mark in its lines."""
    lines = answer.stdout.split(b"\n")
    return [line[len(MARK) + 1 :].decode() for line in lines if line.startswith(MARK.encode())]


def echoing(home, name: str = "tool") -> str:
    """A program that stands for neurofit, and prints its words and its input."""
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\nprintf "%s|" "$@"; cat\n')
    path.chmod(0o755)
    return str(path)


def script(folder: str, request: str = "{}", tool: str | None = "none", found=("*/runs.jsonl",)) -> str:
    return program(
        MARK, folder, request, found=found, small=("*/logs/*.log",), pruned=("checkpoint",), tool=tool
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_any_login_shell_runs_it(tmp_path, shell):
    (tmp_path / "study" / "training_data").mkdir(parents=True)
    answer = run(script("./study", "it's $HOME", echoing(tmp_path)), tmp_path, shell)
    assert answer.returncode == 0, answer
    assert marked(answer) == ["shell", f"neurofit {tmp_path}/tool", "ended 0"]
    assert b"answer|neurofit-0123|it's $HOME\n" in answer.stdout


@pytest.mark.parametrize("word", HOSTILE)
def test_no_text_is_read_as_a_command(tmp_path, word):
    folder = tmp_path / "home" / (word if word != "~" else "tilde")
    (folder / "training_data").mkdir(parents=True)
    (tmp_path / "home" / "study2" / "training_data").mkdir(parents=True)
    home = tmp_path / "home"
    asked = run(script(f"./{folder.name}", word, echoing(tmp_path, f"{word} tool")), home)
    assert marked(asked)[0] == "shell"
    assert f"answer|{MARK}|{word}\n".encode() in asked.stdout
    assert asked.stdout.rstrip().endswith(b"ended 0")
    pattern = run(script("./study2", found=(f"*{word}*",)), home)
    assert marked(pattern)[1].startswith("files ")
    assert not list(tmp_path.rglob("hacked"))


def test_a_script_that_was_cut_off_does_nothing(tmp_path):
    (tmp_path / "study" / "training_data").mkdir(parents=True)
    whole = script("./study", "x", echoing(tmp_path))
    for length in range(0, len(whole) - len("neurofit_there </dev/null\nexit 0\n"), 97):
        assert not run(whole[:length], tmp_path).stdout


@pytest.mark.parametrize(
    ("folder", "why"),
    [("./nothing", "missing"), ("./other", "study"), ("./file", "missing"), ("~/nothing", "missing")],
)
def test_a_folder_that_is_not_a_study_is_refused(tmp_path, folder, why):
    (tmp_path / "other" / "jobs").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    assert marked(run(script(folder), tmp_path)) == ["shell", f"refused {why}"]


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path):
    (tmp_path / "study" / "training_data").mkdir(parents=True)
    (tmp_path / "training_data").mkdir()
    assert marked(run(script("~/study"), tmp_path))[1].startswith("files ")
    assert marked(run(script("~"), tmp_path))[1].startswith("files ")


def test_the_study_has_its_own_neurofit_before_that_on_the_path(tmp_path):
    (tmp_path / "study" / "training_data").mkdir(parents=True)
    echoing(tmp_path, "bin/neurofit")
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    on_path = run(script("./study", tool=None), tmp_path, PATH=path)
    assert f"neurofit {tmp_path}/bin/neurofit" in marked(on_path)
    own = echoing(tmp_path, "study/.venv/bin/neurofit")
    assert f"neurofit {own}" in marked(run(script("./study", tool=None), tmp_path, PATH=path))
    local = echoing(tmp_path, ".local/bin/neurofit")
    shutil.rmtree(tmp_path / "study" / ".venv")
    assert f"neurofit {local}" in marked(run(script("./study", tool=None), tmp_path, PATH="/usr/bin:/bin"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_the_neurofit_of_another_user_is_not_run(tmp_path):
    (tmp_path / "study" / "training_data").mkdir(parents=True)
    own = echoing(tmp_path, "study/.venv/bin/neurofit")
    os.chown(own, 12345, 12345)
    answer = run(script("./study", tool=None), tmp_path, PATH="/usr/bin:/bin")  # where there is no other one
    assert not [one for one in marked(answer) if one.startswith("neurofit")]


def test_files_follow_where_the_neurofit_cannot_answer(tmp_path):
    (tmp_path / "study" / "training_data" / "exp").mkdir(parents=True)
    (tmp_path / "study" / "training_data" / "exp" / "runs.jsonl").write_text("{}\n")
    (tmp_path / "broken").write_text("#!/bin/sh\necho broken >&2; exit 2\n")
    (tmp_path / "broken").chmod(0o755)
    for tool, status in ((f"{tmp_path}/broken", 2), ("/no/such/neurofit", 127)):
        lines = marked(run(script("./study", tool=tool), tmp_path))
        assert lines[1:3] == [f"neurofit {tool}", f"ended {status}"]
        assert lines[3].startswith("files ")


def test_a_host_without_tar_says_so(tmp_path):
    (tmp_path / "study" / "training_data").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to(shutil.which("sh"))
    words = [shutil.which("sh"), "-s"]
    answer = subprocess.run(
        words,
        input=script("./study").encode(),
        cwd=tmp_path,
        capture_output=True,
        env={"PATH": f"{tmp_path}/bin"},
    )
    assert marked(answer) == ["shell", "refused tar"]


def test_only_the_files_that_match_are_sent(tmp_path):
    inside = tmp_path / "study" / "training_data" / "exp"
    for name in ("logs", "attempt-01/checkpoint/4"):
        (inside / name).mkdir(parents=True)
    (inside / "runs.jsonl").write_text("{}\n")
    (inside / "attempt-01" / "checkpoint" / "4" / "runs.jsonl").write_text("{}\n")
    (inside / "attempt-01" / "weights.h5").write_text("weights")
    (inside / "logs" / "small.log").write_text("line\n")
    (inside / "logs" / "large.log").write_bytes(b"x" * 1_100_000)
    elsewhere = tmp_path / "scratch" / "linked"
    elsewhere.mkdir(parents=True)
    (elsewhere / "runs.jsonl").write_text("{}\n")
    (inside.parent / "linked").symlink_to(elsewhere)
    answer = run(script("./study"), tmp_path).stdout
    archive = answer[answer.index(b"\n", answer.index(b" files ")) + 1 :]
    (tmp_path / "archive").write_bytes(archive)
    (tmp_path / "into").mkdir()
    assert copies.unpack(tmp_path / "archive", tmp_path / "into", 0.0) == 3
    found = {
        str(path.relative_to(tmp_path / "into")) for path in (tmp_path / "into").rglob("*") if path.is_file()
    }
    assert found == {
        "training_data/exp/runs.jsonl",
        "training_data/exp/logs/small.log",
        "training_data/linked/runs.jsonl",
    }
