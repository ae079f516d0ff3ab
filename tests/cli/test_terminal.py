"""What a terminal gets: colours where it can and wants them, plain text otherwise, and only what its encoding
has.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time


def in_terminal(study, *words: str, typed: str = "", **environment: str) -> str:
    """What a terminal of 80 columns receives from a command; `typed` once something was asked."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "neurofit", *words],
        cwd=study.root,
        env=environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        close_fds=True,
    )
    os.close(follower)
    seen, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                data = os.read(leader, 65536)
            except OSError:
                break
            seen += data
        if typed and b"[y/N]" in seen:
            os.write(leader, typed.encode())
            typed = ""
    os.close(leader)
    in_terminal.code = process.wait()
    return seen.decode("utf-8", "replace").replace("\r\n", "\n")


def test_states_have_colours(mixed):
    mixed("submit", "mixed", code=3)
    assert "\x1b[31m" in in_terminal(mixed, "status")
    assert "\x1b[32m" in in_terminal(mixed, "status", "mixed")


def test_no_color_and_dumb_terminals(mixed):
    mixed("submit", "mixed", code=3)
    uncoloured = in_terminal(mixed, "status", NO_COLOR="1")
    assert "\x1b[3" not in uncoloured and "mixed" in uncoloured
    for words in (["status"], ["submit", "mixed", "--retry"]):
        assert "\x1b" not in in_terminal(mixed, *words, TERM="dumb")


def test_live_progress(slow):
    seen = in_terminal(slow, "submit", "slow")
    assert "━" in seen and "2 running" in seen and "step " in seen and "loss 0." in seen
    assert "slow: 2 done after" in seen and "\x1b[?25h" in seen  # the cursor is back


def test_a_question_is_asked_and_no_is_the_default(quick):
    quick("submit", "quick")
    seen = in_terminal(quick, "submit", "quick", "--rerun", typed="\n")
    assert "8 task(s) that are done will be run again from scratch. Continue? [y/N]" in seen
    assert in_terminal.code == 1 and "Nothing was queued." in seen
    assert "8 done after" in in_terminal(quick, "submit", "quick", "--rerun", typed="y\n")


def test_wide_tables_lose_their_last_columns_and_say_so(study):
    axes = ", ".join(f"a_long_name_{number}=[1, 2]" for number in range(5))
    names = ", ".join(f"a_long_name_{number}=1" for number in range(5))
    study.script(
        "wide",
        f"import neurofit as nf\ndef fit(task, *, {names}): return {{'m': 1}}\n"
        f"experiment = nf.Experiment(fit, grid=nf.grid({axes}))\n",
    )
    seen = in_terminal(study, "show", "wide", NO_COLOR="1")
    assert "Columns left out: a_long_name_4. Add --json to see all." in seen
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in seen.splitlines()) <= 80


def test_what_the_encoding_lacks_is_written_otherwise(study):
    script = """\
        experiment = nf.Experiment(fit, grid=nf.grid(note=["☃", "a\\nb", "\\x1b[31m"]))
    """
    head = '"""Žluťoučký – a × b…"""\nimport neurofit as nf\ndef fit(task, *, note): return {"m": 1}\n'
    study.script("names", head + script.strip())
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    shown = study("show", "names", env=ascii_only)
    assert "\\u017dlu\\u0165ou\\u010dk\\xfd - a x b..." in shown.stdout and "\\u2603" in shown.stdout
    assert "\x1b" not in shown.stdout
    for words in (
        ["submit", "names"],
        ["status"],
        ["results", "names"],
        ["show", "names", "--json"],
        ["list"],
    ):
        study(*words, env=ascii_only)
    assert "☃" in study("show", "names").stdout


EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
HOSTILE = f"""
import time
import neurofit as nf

def fit(task, *, x="a"):
    print({EVIL!r} + "printed")
    task.log(1, **{{{EVIL!r} + "column": 0.5}})
    if x == "b":
        raise ValueError({EVIL!r} + "raised")
    for _ in range(30):
        time.sleep(0.05)
    return {{{EVIL!r} + "metric": 1.0}}

experiment = nf.Experiment(fit, grid=nf.grid(x=["a", "b", {EVIL!r}]))
"""


def test_no_control_character_of_a_fit_reaches_a_terminal(study):
    study.script("hostile", HOSTILE)
    plain = {"NO_COLOR": "1"}
    seen = {"submit": in_terminal(study, "submit", "hostile", **plain)}
    for words in (
        ["status"],
        ["status", "hostile:all"],
        ["failures", "hostile"],
        ["logs", "hostile:0"],
        ["show", "hostile"],
        ["results", "hostile"],
        ["status", "hostile", "--json"],
        ["results", f"no{EVIL}"],
        ["status", f"--{EVIL}"],
        ["status", "hostile", "--state", EVIL],
        ["submit", "hostile", "--backend", f"x{EVIL}"],
    ):
        seen[" ".join(words)] = in_terminal(study, *words, **plain)
    for words, text in seen.items():
        text = re.sub(
            r"\x1b\[(\?25[lh]|[0-9;]*[mKA]|1G|2K)", "", text
        )  # rich's own: cursor, erase a line, bold
        assert not [one for one in text if one in "\x07\x9b\u202e" or (one < " " and one not in "\n\r\t")], (
            words
        )
    assert "\\x1b]0;owned\\x07" in seen["logs hostile:0"] and "raised" in seen["failures hostile"]


def test_logs_are_printed_as_they_are_on_request(study):
    study.script("hostile", HOSTILE)
    study("submit", "hostile:1", code=3)
    raw = study.run([sys.executable, "-m", "neurofit", "logs", "hostile:1", "--raw"])
    assert EVIL in raw.stdout and "\x1b" not in study("logs", "hostile:1").stdout


def test_no_control_character_of_a_task_in_the_foreground_is_in_its_report(study):
    study.script("hostile", HOSTILE.replace(f"print({EVIL!r} + ", "print("))
    for run in ("0", "1", "2"):
        answer = study("run", f"hostile:{run}", code=3 if run == "1" else 0)
        said = answer.stdout + answer.stderr.split("Traceback")[0]
        assert not [one for one in said if one in "\x07\x1b\x9b\u202e"]
