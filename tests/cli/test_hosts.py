"""`--host` with programs that stand for `ssh`: what is shown, and every way in which it can go wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys

import pytest

from neurofit.cli import terminal
from neurofit.cli.application import group, run

pytestmark = pytest.mark.process

# what an SSH server does: the command for a shell, in the home folder, whose start-up files may print
SERVER = """\
while [ "$1" != -- ]; do shift; done
cd "$FAR_HOME" || exit 255
HOME=$FAR_HOME
{before}
exec sh -c "$3"
"""
MARK = "mark=$(sed -n 's/^mark=//p')"


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """Makes an `ssh`; gives the commands that it got."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAR_HOME", str(tmp_path))

    def make(script: str = SERVER.format(before="")) -> None:
        (folder / "ssh").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/connections\n{script}')
        (folder / "ssh").chmod(0o755)

    make.connections = lambda: (tmp_path / "connections").read_text().splitlines()
    return make


@pytest.fixture
def far(study_0_1_0, tmp_path, ssh):
    """A study that 0.1.0 wrote, `study` in the home folder of the other host, with a neurofit of its own."""
    own = study_0_1_0.root / ".venv" / "bin" / "neurofit"
    own.parent.mkdir(parents=True)
    own.write_text(f"#!{sys.executable}\nimport sys\nfrom neurofit.cli import main\nsys.exit(main())\n")
    own.chmod(0o755)
    ssh()
    return study_0_1_0.root


@pytest.fixture
def here(capfd):
    """Runs a command here; gives its exit code, stdout and stderr."""

    def command(*words: str, host: str = "box:study"):
        code = run(group, "neurofit", [*words, "--host", host])
        shown = capfd.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    return command


def events(*records: dict, ending: str = "") -> str:
    """An `ssh` whose answer is these objects."""
    hello = {"format": 1, "version": "0.2.0"}
    lines = "\n".join(f"printf '\\n%s %s\\n' \"$mark\" '{json.dumps(one)}'" for one in (hello, *records))
    say = "printf '\\n%s %s\\n' \"$mark\""
    ending = ending or f"{say} 'ended 0'"
    return f"{MARK}\n{say} shell\n{say} 'neurofit /opt/neurofit'\n{lines}\n{ending}\n"


def test_both_ways_show_what_the_command_shows_there(far, here, ssh, capfd, monkeypatch):
    whole = (
        ["results", "old", "--by", "run"],
        ["logs", "old", "--failed"],
        ["status", "old", "--state", "stopped"],
    )
    for words in whole:
        with monkeypatch.context() as patch:
            patch.chdir(far)
            code = run(group, "neurofit", words)
        there = capfd.readouterr()
        assert here(*words)[:2] == (code, there.out)
        copied = here(*words, "--neurofit-there", "none")
        assert copied[1] == there.out
        assert copied[0] == (5 if words[0] == "status" else code), "it has tasks that are not done"
        assert "no queue was asked" in copied[2]
    assert len(ssh.connections()) == 6
    assert all(one.endswith("-- box exec sh -s") and "BatchMode=yes" in one for one in ssh.connections())


def test_a_terminal_gets_colours_and_widths_of_its_own(far, ssh):
    def shown(*words: str, cwd) -> bytes:
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
        environment.pop("NO_COLOR", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "neurofit", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=cwd,
        )
        os.close(theirs)
        text = b""
        try:
            while block := os.read(ours, 65536):
                text += block
        except OSError:  # the end
            pass
        process.wait(60)
        os.close(ours)
        return text

    for words in (["status", "old"], ["logs", "old", "--failed", "--tail", "1"]):
        there = shown(*words, cwd=far)
        assert b"\x1b[" in there
        assert shown(*words, "--host", "box:study", cwd="/") == there


def test_what_start_up_files_print_is_passed_over(far, here, ssh):
    def shown() -> tuple[int, str, str]:
        code, out, err = here("status", "old")
        return (
            code,
            re.sub(r"heartbeat is [\d.]+ s old", "", out),
            re.sub(r"heartbeat is [\d.]+ s old", "", err),
        )

    plain = shown()
    ssh(SERVER.format(before="""echo Welcome; echo '{"say": "hacked"}'; printf 'no newline'"""))
    assert shown() == plain


def test_hints_work_here_or_say_where_they_do(far, here):
    assert "Next: neurofit status old:0/0 --host box:study\n" in here("logs", "old:0/0")[2]
    assert "Next, on box: neurofit " in here("status", "old")[2]


def test_a_neurofit_that_is_too_old_is_not_asked(far, here):
    (far / ".venv/bin/neurofit").write_text(
        "#!/bin/sh\necho \"Usage: neurofit\nError: There is no command 'answer'.\" >&2; exit 2\n"
    )
    code, out, err = here("results", "old")
    assert (code == 0 and "degree" in out) or out
    assert "is of a version that cannot answer" in err and "no queue was asked" in err


def test_a_neurofit_that_breaks_off_shows_nothing_of_its_answer(far, here):
    (far / ".venv/bin/neurofit").write_text(
        '#!/bin/sh\nprintf "\\n%s %s\\n" "$2" \'{"format": 1, "version": "0.2.0"}\'\n'
        'printf "\\n%s %s\\n" "$2" \'{"say": "half of it"}\'\necho "MemoryError" >&2; exit 1\n'
    )
    code, out, err = here("results", "old")
    assert code == 0 and out and "half of it" not in out
    assert "could not answer, and ended with status 1: MemoryError" in err


def test_another_format_of_requests_is_refused(far):
    for request in ("", "{}", '{"format": 99, "words": ["status"], "screen": {}}', "[1]", "\xff"):
        words = [sys.executable, "-m", "neurofit", "answer", "mark"]
        answer = subprocess.run(words, input=request.encode("latin-1"), capture_output=True, cwd=far)
        assert answer.returncode == 2 and not answer.stdout


def test_a_host_without_any_neurofit_says_where_it_was_looked_for(far, here, monkeypatch):
    shutil.rmtree(far / ".venv")
    monkeypatch.setenv("PATH", f"{far.parent}/programs:/usr/bin:/bin")
    assert "No neurofit was found on box" in here("results", "old")[2]


def test_a_report_needs_no_neurofit_there_even_if_the_environment_names_one(far, here, monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROFIT_THERE", "/opt/neurofit")
    code, _, err = here("report", "old", "-o", str(tmp_path / "report.html"))
    assert code == 0 and (tmp_path / "report.html").exists() and "/opt" not in err
    monkeypatch.chdir(far)  # without --host, the variable is for nobody
    # 5: the queue is login1's, which only a machine of that name can ask
    assert run(group, "neurofit", ["status", "old"]) in (3, 5)


def test_copies_cannot_be_waited_for(far, here):
    for words in (["status", "--wait", "1"], ["logs", "old:0/0", "--follow"]):
        code, out, err = here(*words, "--neurofit-there", "none")
        assert code == 2 and not out and "Copies of files do not change" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "--watch", "--host", "box:study"], "--watch cannot be combined with --host"),
        (["status", "--neurofit-there", "/opt/neurofit"], "--neurofit-there works only with --host"),
        (["status", "--host", "-oProxyCommand=x:study"], "cannot start with '-'"),
        (["report", "old", "--host", "box:study", "--neurofit-there", "/opt/nf"], "asks no neurofit there"),
        (["results", "--host", "box:study"], "Missing argument 'SELECTOR'"),
        (["failures", "old", "--host", "box:study"], "No such option"),
    ],
)
def test_wrong_usage_makes_no_connection(far, ssh, capfd, words, said):
    assert run(group, "neurofit", words) == 2
    assert said in capfd.readouterr().err
    assert not (far.parent / "connections").exists()


SSH_ERRORS = [
    ("anna@box: Permission denied (publickey,keyboard-interactive).", "never asks for a password"),
    ("Received disconnect: Too many authentication failures", "never asks for a password"),
    ("No ED25519 host key is known for box.\nHost key verification failed.", "not in your known_hosts"),
    (
        "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
        "is not the one in your known_hosts",
    ),
    ("ssh: Could not resolve hostname box: Name or service not known", "There is no host box"),
    ("ssh: connect to host box port 22: Connection refused", "refused the connection"),
    ("ssh: connect to host box port 22: Connection timed out", "did not answer within"),
    ("ssh: connect to host box port 22: No route to host", "did not answer within"),
    ("kex_exchange_identification: \x1b[2Jodd", "could not connect to box"),
    ("", "could not connect to box"),
]


@pytest.mark.parametrize(("message", "said"), SSH_ERRORS)
def test_what_ssh_says_is_explained(ssh, here, message, said):
    ssh(f"cat > /dev/null\ncat >&2 <<'END'\n{message}\nEND\nexit 255\n")
    code, out, err = here("status")
    assert code == 1 and not out
    assert err.startswith("Error: ") and said in err and "\x1b" not in err


def test_a_connection_that_is_lost_shows_nothing_of_the_answer(ssh, here):
    ssh(events({"say": "half of it"}, ending="echo 'Timeout, server box not responding.' >&2; exit 255"))
    code, out, err = here("status")
    assert code == 1 and not out
    assert "was lost before the answer was complete" in err and "not responding" in err


def test_a_connection_that_is_lost_while_files_come_shows_nothing(far, ssh, here):
    say = "printf '\\n%s %s\\n' \"$mark\""
    ssh(
        f"{MARK}\n{say} shell\n{say} 'files 100'\ntar -cf - -C {far} training_data | head -c 3000\nexit 255\n"
    )
    code, out, err = here("results", "old")
    assert code == 1 and not out and "was lost before the answer was complete" in err


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo This account is currently not available.; exit 1", "did not run a POSIX shell (status 1)"),
        ("exit 0", "did not run a POSIX shell"),
        ("kill -9 $$", "was ended by signal 9"),
        (f"{MARK}; printf '\\n%s shell\\n' \"$mark\"; exit 3", "ended with status 3 before it had answered"),
        (f"{MARK}; printf '\\n%s shell\\n' \"$mark\"; exit 0", "ended before it had answered: no message"),
        (f'{MARK}; printf \'\\n%s shell\\n%s refused odd\\n\' "$mark" "$mark"', "could not answer: odd"),
    ],
)
def test_a_host_that_does_not_answer_is_explained(ssh, here, script, said):
    ssh(script)
    code, out, err = here("status")
    assert code == 1 and not out and said in err


def test_without_ssh_it_says_how_to_install_it(here, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install openssh-client" in here("status")[2]


def test_texts_of_the_other_host_are_escaped(ssh, here):
    odd = "\x1b]0;title\x07 \x1b[2J \u202e"
    ssh(
        events(
            {"say": odd},
            {"problem": odd},
            {"hint": [odd]},
            {"remark": odd},
            {"table": {"headers": [odd], "rows": [[odd]], "styles": []}},
            {"json": {"a": odd}},
            {"exit": 0},
        )
    )
    code, out, err = here("status")
    assert code == 0
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", out + err)


@pytest.mark.parametrize(
    "event",
    [
        {"unknown": 1},
        {},
        {"say": 1},
        {"say": None},
        {"bytes": "not base64!"},
        {"table": {"headers": ["a"], "rows": [["a", "b"]], "styles": []}},
        {"table": {"headers": ["a"], "rows": 5, "styles": []}},
        {"hint": "x"},
        {"exit": "0"},
        {"raw": "\x1b[2J"},
        {"bytes": "G1sySg=="},
        {"exit": 9999},
    ],
)
def test_an_answer_that_is_not_understood_is_an_error(ssh, here, event):
    ssh(events(event, {"exit": 0}))
    code, out, err = here("status")
    assert code == 1 and not out and "was not understood" in err


@pytest.mark.parametrize("text", ["\0[2J", "\0]0;title\x07", "\0\0[1m", "\x1b[2J", "a\0[31mb"])
def test_an_event_changes_nothing_but_the_style(text, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "is_rich", lambda: True)
    terminal.replay({"say": text})
    assert "\x1b" not in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


def test_a_line_that_is_no_json_is_an_error(ssh, here):
    ssh(events({"exit": 0}, ending="printf '\\n%s {broken\\n%s %s\\n' \"$mark\" \"$mark\" 'ended 0'"))
    assert "a line of it is not JSON" in here("status")[2]


def test_bytes_are_written_only_if_the_user_asked_for_them(far, ssh, here):
    ssh(events({"bytes": "G1sySg=="}, {"exit": 0}))
    assert here("logs", "old", "--raw")[1] == "\x1b[2J"
    assert "was not understood" in here("logs", "old")[2]


def test_a_table_has_no_style_but_ours(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "is_rich", lambda: True)
    terminal.replay({"table": {"headers": ["a"], "rows": [["x"]], "styles": ["link http://evil.example"]}})
    assert "evil" not in capsys.readouterr().out


def test_what_is_printed_becomes_the_same_events_and_text(capsys):
    got: list[terminal.Event] = []
    with terminal.transcribing(terminal.Screen(rich=True, coloured=True), got.append):
        terminal.say(terminal.styled("bold", bold=True) + " \0[31m and \x1b[2J")
        terminal.table(["a", "b"], [[1, None], [2.5, "x"]])
        terminal.write(b"\x00raw\n")
    assert json.loads(json.dumps(got)) == got
    for event in got:
        terminal.replay(event, control=True)
    out = capsys.readouterr().out
    assert "bold \\x00[31m and \\x1b[2J" in out and "2.5  x" in out
