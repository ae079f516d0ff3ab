"""`--host` against a real SSH server on loopback; if the tests run as root, its account is another user."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.process

MIXED = """
import neurofit as nf

def fit(task, *, x=1):
    print("x is", x)
    task.log(1, loss=0.5)
    if x == 2:
        raise ValueError("too much")
    return {"m": x + task.repetition}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]), repetitions=2)
"""
HELD = """
import time
import neurofit as nf

def fit(task):
    print("began", flush=True)
    while (task.study / "hold").exists():
        time.sleep(0.05)
    print("ended", flush=True)
    return {"m": 1}

experiment = nf.Experiment(fit)
"""
TRIED = """
import neurofit as nf

def fit(task, x):
    return {"m": x}

experiment = nf.Experiment(
    fit, nf.search(x=nf.uniform(0, 1), trials=3, metric="m", direction="minimize", sampler="random")
)
"""
COMMANDS = [
    ["status", "mixed", "--json"],
    ["results", "mixed", "--by", "run", "--where", "x == 1"],
    ["logs", "mixed", "--failed", "--tail", "1"],
]


@pytest.fixture(scope="module")
def study(sshd, processes):
    """In the home folder of the account, with an experiment of which half failed, and one that runs."""
    root = sshd.home / "study"
    for name in ("jobs", "runners", ".venv/bin"):
        (root / name).mkdir(parents=True)
    (root / "jobs" / "mixed.py").write_text(MIXED)
    (root / "jobs" / "held.py").write_text(HELD)
    (root / "jobs" / "tried.py").write_text(TRIED)
    (root / "hold").write_text("")
    own = root / ".venv" / "bin" / "neurofit"
    own.write_text(f"#!{sys.executable}\nimport sys\nfrom neurofit.cli import main\nsys.exit(main())\n")
    own.chmod(0o755)
    sshd.give(sshd.home)
    tool = "cd study && .venv/bin/neurofit"
    submit = ".venv/bin/neurofit submit"
    done = sshd.there(
        f"{tool} submit mixed -y --wait 60; {submit} tried -y --wait 60; {submit} held -y --detach"
    )
    assert done.stderr.count("Queued as") + done.stdout.count("Queued as") == 3, done
    deadline = time.monotonic() + 20
    while not list(root.glob("training_data/held/runs/*/*/*/stdout.log")) and time.monotonic() < deadline:
        time.sleep(0.02)
    yield root
    (root / "hold").unlink(missing_ok=True)
    deadline = time.monotonic() + 20
    while not list(root.glob("training_data/held/runs/*/*/*/outcome.json")) and time.monotonic() < deadline:
        time.sleep(0.05)


def without_hints(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("Next")]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_output_is_that_of_the_command_there(sshd, study, neurofit, words):
    quoted = " ".join(f"'{word}'" for word in words)
    there = sshd.there(f"cd study && .venv/bin/neurofit {quoted}")
    before = sshd.connections()
    code, out, err = neurofit(*words)
    assert sshd.connections() == before + 1
    assert (code, out) == (there.returncode, there.stdout)
    banner = "Welcome. {not json}"
    assert without_hints(err) == [line for line in without_hints(there.stderr) if line != banner]


def test_nothing_is_recorded_there(sshd, study, tree, neurofit):
    cache = sshd.home / ".cache"
    held, before = tree(study), cache.exists() and tree(cache)
    for words in (["status"], ["results", "mixed"], ["logs", "mixed", "--neurofit-there", "none"]):
        assert neurofit(*words)[0] in (0, 3, 5)
    after = tree(study)
    journals = {name for name in after if "/journal/" in name}  # whose worker is at work
    assert {name: value for name, value in after.items() if name not in journals} == {
        name: value for name, value in held.items() if name not in journals
    }
    assert (cache.exists() and tree(cache)) == before


def test_the_records_would_change_otherwise(sshd, study, tree):
    sshd.there("rm -rf .cache")
    sshd.there("cd study && .venv/bin/neurofit status")
    assert list((sshd.home / ".cache").rglob("*.json"))


def test_where_no_neurofit_is_the_files_are_read_and_the_queue_is_not_asked(sshd, study, neurofit):
    before = sshd.connections()
    code, out, err = neurofit("status", "--json", "--neurofit-there", "none")
    assert sshd.connections() == before + 1
    counts = {one["name"]: one for one in json.loads(out)["experiments"]}
    assert (counts["mixed"]["done"], counts["mixed"]["failed"], counts["held"]["running"]) == (2, 2, 1)
    assert "no queue was asked" in err
    assert code == 5
    err = neurofit("status", "held", "--neurofit-there", "none")[2]
    assert "its queue was not asked" in err and "neurofit-" not in err.replace("--neurofit-there", "")
    whole = neurofit("results", "mixed", "--json")
    assert neurofit("results", "mixed", "--json", "--neurofit-there", "none")[:2] == whole[:2]
    tried = ("results", "tried", "--where", "x >= 0")
    assert neurofit(*tried, "--neurofit-there", "none")[:2] == neurofit(*tried)[:2], (
        "the best trial comes first"
    )
    code, out, err = neurofit("logs", "mixed:0/0", "--neurofit-there", "none")
    assert out == "x is 1\n" and "Folder: training_data/mixed" in err


def test_a_report_is_written_here(sshd, study, neurofit):
    target = sshd.folder / "report.html"
    assert neurofit("report", "mixed", "-o", str(target))[0] == 0
    page = target.read_text()
    assert "too much" in page and "<h1" in page and "neurofit-" not in page.partition("<body")[0]
    assert target.stat().st_uid == os.geteuid()


def test_packed_runs_are_read_from_their_archives(sshd, study, neurofit):
    logs = ("logs", "mixed", "--neurofit-there", "none")
    reports = [sshd.folder / f"report-{number}.html" for number in range(2)]
    before = neurofit(*logs)
    assert neurofit("report", "mixed", "-o", str(reports[0]))[0] == 0
    done = sshd.there("cd study && .venv/bin/neurofit pack mixed --yes")
    assert "mixed: 2 runs were packed" in done.stdout, done
    try:
        assert not list(study.glob("training_data/mixed/runs/*/*/*/*.log"))
        assert neurofit(*logs) == before and "x is 1" in before[1]
        assert neurofit("logs", "mixed")[1] == before[1]
        assert neurofit("report", "mixed", "-o", str(reports[1]))[0] == 0
        assert [one.read_text().count("<svg") for one in reports] == [
            reports[0].read_text().count("<svg")
        ] * 2
        assert "too much" in reports[1].read_text()
    finally:
        done = sshd.there("cd study && .venv/bin/neurofit unpack mixed --yes")
    assert done.returncode == 0 and list(study.glob("training_data/mixed/runs/*/*/*/*.log"))


def test_logs_are_followed_until_the_task_ends(sshd, study):
    words = [
        sys.executable,
        "-m",
        "neurofit",
        "logs",
        "held",
        "--follow",
        "--host",
        f"box:{sshd.path('study')}",
    ]
    path = f"{sshd.programs}:{os.environ['PATH']}"
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PATH": path}
    ) as process:
        assert process.stdout.readline() == "began\n"
        (study / "hold").unlink()
        assert process.stdout.read() == "ended\n"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("host", "folder", "said"),
    [
        ("nokey", "study", "never asks for a password"),
        ("strange", "study", "not in your known_hosts"),
        ("changed", "study", "is not the one in your known_hosts"),
        ("closed", "study", "refused the connection"),
        ("nowhere.invalid", "study", "There is no host nowhere.invalid"),
        ("box", "no such study", "no such study' on box"),
        ("box", "/etc", "is not a study"),
        ("box", "locked/study", "cannot be read"),
    ],
)
def test_what_went_wrong_is_a_sentence(sshd, study, neurofit, host, folder, said):
    if folder.startswith("locked"):
        if sshd.account.pw_uid == os.geteuid():
            pytest.skip("nothing is hidden from this user")
        (sshd.home / "locked" / "study").mkdir(parents=True, exist_ok=True)
        (sshd.home / "locked").chmod(0o700)
    code, out, err = neurofit("status", host=host, folder=folder)
    assert code == 1 and not out
    assert said in err and err.startswith("Error: ")
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ssh_ends_with_the_command(sshd, study, number):
    words = [
        sys.executable,
        "-m",
        "neurofit",
        "status",
        "held",
        "--wait",
        "60",
        "--host",
        f"box:{sshd.path('study')}",
    ]
    (study / "hold").write_text("")
    path = f"{sshd.programs}:{os.environ['PATH']}"
    before = sshd.log.count("Accepted")
    process = subprocess.Popen(words, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while sshd.log.count("Accepted") == before and time.monotonic() < deadline:
        time.sleep(0.02)
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    assert children
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    assert not any(os.path.exists(f"/proc/{child}") for child in children)
