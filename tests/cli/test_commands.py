"""What each command prints, compared as text."""

from __future__ import annotations

import csv
import io
import json
import sys
import textwrap

import pytest

NO_QUEUE = {"PATH": "/nowhere"}  # whatever this host can submit to


def text(block: str) -> str:
    return textwrap.dedent(block).strip("\n").rstrip()


ODD_TEXT = """
import neurofit as nf

def fit(task, *, note="a", sum="b"):
    return {"m": 1}

experiment = nf.Experiment(fit, grid=nf.grid(note=["\\x1b[2Ja", "b"], sum=["=1+1", "c"]))
"""


def test_a_study_from_nothing_to_a_table(tmp_path, study):
    made = study("init", "new", env=NO_QUEUE)
    assert made.stdout.split() == [
        "new",
        "new/jobs",
        "new/runners",
        "new/data",
        "new/training_data",
        "new/jobs/example.py",
        "new/data/README.md",
        "new/.gitignore",
        "new/runners/local.yaml",
    ]
    assert made.stderr == "Next: cd new  ·  neurofit list  ·  neurofit submit example\n"
    new = study.root / "new"
    assert "9 done" in study("submit", "example", cwd=new).stdout
    assert study("results", "example", "--by", "run", cwd=new).stdout.splitlines()[0].split()[:4] == [
        "run",
        "id",
        "points",
        "repetitions",
    ]
    assert study("init", "new", env=NO_QUEUE).stdout == "new already has everything that a study needs.\n"


def test_init_says_what_it_would_make(study):
    assert "would/jobs" in study("init", "would", "--dry-run", env=NO_QUEUE).stdout
    assert not (study.root / "would").exists()
    made = json.loads(study("init", "would", "--json", env=NO_QUEUE).stdout)["made"]
    assert len(made) == 9 and (study.root / "would" / "jobs" / "example.py").exists()


def test_list(quick):
    quick.script("broken", "1 / 0")
    answer = quick("list")
    assert (
        answer.stdout
        == text("""
        experiment  runs  repetitions  done           title
        broken                         does not load
        quick          4            2  0/8            Does x matter?
    """)
        + "\n"
    )
    assert answer.stderr.startswith("Warning: ") and "ZeroDivisionError" in answer.stderr
    assert answer.stderr.endswith("Next: neurofit show quick  ·  neurofit submit quick --dry-run\n")


def test_list_as_json(quick):
    quick("submit", "quick:0")
    (record,) = json.loads(quick("list", "--json").stdout)["experiments"]
    assert (record["name"], record["runs"], record["repetitions"], record["error"]) == ("quick", 4, 2, None)
    assert (record["done"], record["total"]) == (2, 8)


def test_show(quick):
    assert quick.steady(quick("show", "quick").stdout) == text("""
        quick · Does x matter?
        jobs/quick.py: fit
          x = 1, 2
          kind = a, b
        4 runs × 2 repetitions

        run  id        x  kind
          0  RUN-ID  1  a
          1  RUN-ID  1  b
          2  RUN-ID  2  a
          3  RUN-ID  2  b
    """)


def test_show_as_json_has_registered_numbers(quick):
    quick("submit", "quick")
    script = quick.root / "jobs" / "quick.py"
    script.write_text(script.read_text().replace("x=[1, 2]", "x=[0, 1, 2]"))
    record = json.loads(quick("show", "quick", "--json").stdout)
    assert list(record) == ["name", "architectures", "axes", "repetitions", "needs", "runs"]
    assert (record["name"], record["architectures"], record["repetitions"]) == ("quick", ["fit"], 2)
    assert record["axes"] == {"x": [0, 1, 2], "kind": ["a", "b"]}
    numbers = [(run["run"], run["params"]["x"]) for run in record["runs"]]
    assert numbers == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 0), (5, 0)]
    assert {tuple(run) for run in record["runs"]} == {("run", "id", "params", "derived")}
    selected = json.loads(quick("show", "quick:last", "--where", "x < 1", "--json").stdout)
    assert [run["run"] for run in selected["runs"]] == [5]


def test_submit_and_what_follows(quick):
    answer = quick("submit", "quick")
    assert quick.steady(answer.stdout) == text("""
        quick: 4 runs × 2 repetitions, runner local
                8 new       will be queued
        8 tasks in 4 jobs, 2 at a time.
        Queued as SUBMISSION-local.
        quick: 8 done after TIME.
    """)
    assert answer.stderr == "Next: neurofit results quick\n"
    again = quick("submit", "quick")
    assert (
        again.stdout
        == text("""
        quick: 4 runs × 2 repetitions, runner local
                8 done      kept
        Nothing to queue.
    """)
        + "\n"
    )
    assert quick("status").stdout == "experiment  done  total\nquick          8      8\n"


def test_submit_dry_run(quick):
    answer = quick("submit", "quick:1-2", "--dry-run", "--workers", "3")
    assert quick.steady(answer.stdout) == text("""
        quick: 4 runs × 2 repetitions, runner local
                4 new       will be queued
        4 tasks in 4 jobs, 3 at a time.

        The runner local would receive:

            # 3 at a time on this machine
            #!/bin/bash
            # What the local pool runs; it adds the submission's folder.
            exec PYTHON -m neurofit.worker "$@"
    """)
    assert not (quick.root / "training_data").exists()


def test_submit_dry_run_as_json(quick):
    quick("submit", "quick:0")
    plan = json.loads(quick("submit", "quick", "--dry-run", "--json").stdout)
    wanted = {
        "new": 6,
        "done": 2,
        "done_other_code": 0,
        "failed": 0,
        "lost": 0,
        "queued": 0,
        "running": 0,
        "jobs": 3,
    }
    assert wanted.items() <= plan.items()
    assert "neurofit.worker" in plan["script"]
    script = quick.root / "jobs" / "quick.py"
    script.write_text(script.read_text() + "\n# changed\n")
    assert json.loads(quick("submit", "quick", "--dry-run", "--json").stdout)["done_other_code"] == 2
    assert (
        "2 of them with other code than now; kept (add --rerun to repeat them)"
        in quick("submit", "quick", "--dry-run").stdout
    )


def test_status_of_tasks(mixed):
    mixed("submit", "mixed", code=3)
    answer = mixed("status", "mixed:1", code=3)
    assert (
        answer.stdout
        == text("""
        task       state   attempt  cause
        mixed:1/0  failed        1  ValueError: x=2 is too much
        mixed:1/1  failed        1  ValueError: x=2 is too much
    """)
        + "\n"
    )
    assert answer.stderr == "Next: neurofit failures mixed:1  ·  neurofit submit mixed:1 --retry\n"
    record = json.loads(mixed("status", "mixed", "--state", "failed", "--json", code=3).stdout)
    assert record["experiments"] == [
        {
            "name": "mixed",
            "new": 0,
            "queued": 0,
            "running": 0,
            "stopped": 0,
            "done": 2,
            "failed": 2,
            "lost": 0,
            "cancelled": 0,
            "total": 4,
            "newer": {},
            "problems": [],
            "done_other_code": 0,
            "done_other_data": 0,
        }
    ]
    assert [(task["run"], task["repetition"]) for task in record["tasks"]] == [(1, 0), (1, 1)]
    assert isinstance(record["queues"], list)


def test_status_needs_no_script(quick):
    quick("submit", "quick")
    (quick.root / "jobs" / "quick.py").unlink()
    assert "quick          8      8" in quick("status", "quick").stdout
    assert quick("results", "quick").stdout


def test_status_of_nothing(study):
    assert study("status").stdout == "No experiment has been submitted yet.\n"
    assert json.loads(study("status", "--json").stdout) == {
        "unseen": [],
        "halted": [],
        "waits": [],
        "experiments": [],
        "stopped": [],
        "queues": [],
        "notices": [],
    }


def test_results(quick):
    quick("submit", "quick:0,3")
    answer = quick("results", "quick")
    lines = answer.stdout.splitlines()
    shown = [
        name for name in lines[0].split() if name != "id"
    ]  # which is there where the terminal has room for it
    assert shown[:7] == ["run", "x", "kind", "repetition", "state", "attempt", "test/correlation"]
    assert len([line for line in lines if " done " in line]) == 4
    assert "4 of 8 tasks are missing (4 new)." in answer.stderr
    assert answer.stderr.endswith("Next: neurofit results quick --by run\n")


@pytest.mark.parametrize("format", ["csv", "json", "markdown", "latex"])
def test_results_in_other_formats(quick, format):
    quick("submit", "quick")
    out = quick(
        "results", "quick:0-1", "--state", "done", "--where", "kind == 'b'", "--format", format
    ).stdout
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [row["run"] for row in rows] == ["1", "1"] and {
            "seeds.init",
            "wall_seconds",
            "commit",
        } <= rows[0].keys()
    if format == "json":
        assert [row["test/correlation"] for row in json.loads(out)] == [0.1, 0.11]
    if format == "markdown":
        assert out.startswith("| run")
    if format == "latex":
        assert r"\begin{tabular}" in out


def test_text_of_a_table_is_harmless_unless_it_is_asked_for_as_it_is(study):
    study.script("odd", ODD_TEXT)
    study("submit", "odd")
    for words in (["--format", "csv"], ["--json"], []):
        assert "\x1b" not in study("results", "odd", *words).stdout
    assert "'=1+1" in study("results", "odd", "--format", "csv").stdout
    raw = study("results", "odd", "--format", "csv", "--raw").stdout
    assert "\x1b[2Ja" in raw and ",=1+1" in raw
    assert "--raw works only with --format csv" in study("results", "odd", "--raw", code=2).stderr


def test_results_by_run_and_compared(quick):
    quick("submit", "quick")
    assert len(quick("results", "quick", "--by", "run").stdout.splitlines()) > 5
    answer = json.loads(quick("results", "quick", "--compare", "x", "--json").stdout)
    found = [(row["a"], row["b"], row["repetitions"], row["pairs"], row["wins"]) for row in answer]
    assert found == [(1, 2, 2, 4, 2)]


def test_results_of_one_metric(quick):
    quick("submit", "quick:0")
    (row, _) = json.loads(quick("results", "quick:0", "--metric", "test/correlation", "--json").stdout)
    assert [name for name in row if "/" in name] == ["test/correlation"]
    assert (
        "Did you mean 'test/correlation'?"
        in quick("results", "quick", "--metric", "test/corelation", code=2).stderr
    )
    answer = quick("results", "quick", "--compare", "x", "--metric", "a", "--metric", "b", code=2)
    assert "--compare compares one metric" in answer.stderr


def test_results_in_python_say_when_a_selector_means_nothing(quick):
    quick("submit", "quick:0")
    call = "import neurofit as nf\ntry: nf.{}('quick:17')\nexcept nf.errors.UsageError as error: print(error)"
    for name in ("results", "neurons"):
        answer = quick.run([sys.executable, "-c", call.format(name)])
        assert answer.stdout.startswith("Nothing in quick matches")


def test_a_script_makes_a_small_experiment_of_another_one(quick):
    quick.script(
        "tiny",
        "from dataclasses import replace\nimport neurofit as nf\nfrom quick import experiment as all\n"
        "experiment = replace(all, grid=nf.grid(x=[7]), repetitions=1)\n",
    )
    found = json.loads(quick("show", "tiny", "--json").stdout)
    assert ([run["params"] for run in found["runs"]], found["repetitions"]) == ([{"x": 7}], 1)


def test_logs(mixed):
    mixed("submit", "mixed", code=3)
    failed = mixed("logs", "mixed", "--failed").stdout
    assert failed.count("==> mixed:1/") == 2 and failed.count("ValueError: x=2 is too much") == 2
    one = mixed("logs", "mixed:1/1", "--tail", "1")
    assert one.stdout == "ValueError: x=2 is too much\n"
    assert one.stderr.splitlines()[0].startswith("Folder: training_data/mixed/runs/001-")
    (record,) = json.loads(mixed("logs", "mixed:1/0", "--json").stdout)["tasks"]
    assert (record["run"], record["state"], record["attempt"]) == (1, "failed", 1)
    assert {log["stream"]: log["text"][:7] for log in record["logs"]} == {"stdout": "", "stderr": "before\n"}
    assert mixed("logs", "mixed:0/0").stderr.startswith("No output (1 task: done).")


def test_logs_of_an_earlier_attempt(quick):
    quick("submit", "quick:0/0")
    quick("submit", "quick:0/0", "--rerun", "--yes")
    assert quick("logs", "quick:0/0", "--attempt", "1").stdout == "x is 1\n"
    assert "has no attempt 3. Attempts: 1, 2." in quick("logs", "quick:0/0", "--attempt", "3", code=1).stderr


def test_logs_of_a_task_that_never_began(study):
    study.script(
        "late",
        "import neurofit as nf\nif 'training_data' in __file__: raise OSError('not on this machine')\n"
        "def fit(task): return {'m': 1}\nexperiment = nf.Experiment(fit)\n",
    )
    answer = study("submit", "late", code=3)
    assert "not on this machine" in answer.stdout


TOGETHER = """\
import neurofit as nf

class Fit:
    def arguments(self): return {"x": 1}
    def __call__(self, task): return self.together([task])[0]
    def together(self, tasks):
        print(f"{len(tasks)} together", flush=True)
        return [{"m": task.repetition} for task in tasks]

experiment = nf.Experiment(Fit(), grid=nf.grid(x=[1]), repetitions=3)
"""


def test_logs_of_tasks_that_share_a_process(study):
    study.script("in/a/group", TOGETHER)
    study("submit", "in/a/group")
    assert study("logs", "group:0/2").stdout == "3 together\n"
    assert study("logs", "group").stdout == "==> in/a/group:0/0, stdout <==\n3 together\n"
    assert study("status").stdout.split()[-3:] == ["in/a/group", "3", "3"]


def test_runners(study):
    (study.root / "runners" / "two.yaml").write_text(
        "backend: local\nworkers: 2\nresources: {cpus: 2, memory_gb: 4}\n"
    )
    listed = [line.split("  ") for line in study("runners").stdout.splitlines()]
    assert [[cell.strip() for cell in line if cell] for line in listed[:3]] == [
        ["runner", "backend", "settings", "profile"],
        ["local", "local", "workers: 2", "runners/local.yaml"],
        ["two", "local", "resources: {cpus: 2, memory_gb: 4}, workers: 2", "runners/two.yaml"],
    ]
    assert all("(built in, default settings)" in line[-1] for line in listed[3:])
    records = {one["name"]: one for one in json.loads(study("runners", "--json").stdout)["runners"]}
    assert records["two"]["settings"] == {"resources": {"cpus": 2, "memory_gb": 4}, "workers": 2}
    assert study("runners", "check", "two", "--no-canary").stdout.startswith("✓ ")
    assert json.loads(study("runners", "check", "two", "--no-canary", "--json").stdout)["ok"] is True


def test_data(study, tmp_path):
    listed = json.loads(study("data", "--json").stdout)["data"]
    assert listed[0]["name"] == "simulated"
    assert "simulated     all" in study("data").stdout
    (tmp_path / "empty").mkdir()
    answer = study("data", "add", "macaque_v1", str(tmp_path / "empty"), "--dry-run", code=1)
    assert "contains no files of macaque_v1" in answer.stderr


def test_run(quick):
    answer = quick("run", "quick:2/1")
    assert quick.steady(answer.stdout) == text("""
        x is 2
        quick:2/1: done after TIME.
          test/correlation  0.21
        Files: training_data/quick/runs/002-RUN-ID/rep-01/attempt-01
    """)
    assert answer.stderr == "quick:2/1  x=2 kind=a\nNext: neurofit results quick\n"
    outcome = json.loads(quick("run", "quick", "--set", "x=7", "--json").stdout)
    assert outcome["on_grid"] is False and outcome["metrics"] == {"test/correlation": 0.7}
    assert "1 task is off the grid." in quick("results", "quick").stderr
    quick("run", "quick", "--set", "x=8", "--dry-run")
    assert quick("status", "quick").stdout.split()[-1] == "9"


def test_run_that_fails(mixed):
    answer = mixed("run", "mixed:1", code=3)
    assert "mixed:1/0: failed" in answer.stdout and "x=2 is too much" in answer.stdout
    assert answer.stderr.endswith("Next: neurofit run mixed:1/0 --pdb\n")


def test_run_with_the_debugger(mixed):
    answer = mixed("run", "mixed:1", "--pdb", code=3, stdin=None, input="p x + 40\nq\n")
    assert "-> raise ValueError" in answer.stdout and "42" in answer.stdout


def test_clean(quick):
    assert quick("clean").stdout == "There is nothing to remove.\n"
    quick("submit", "quick:0")
    quick("submit", "quick:0", "--rerun", "--yes")
    assert quick("clean").stdout == "There is nothing to remove.\n"
    listed = quick("clean", "--attempts")
    assert "attempts that a newer one replaced  quick            2" in listed.stdout
    assert "Nothing was removed." in listed.stdout  # nobody to ask
    assert json.loads(quick("clean", "--attempts", "--dry-run", "--json").stdout)["removed"] == 0
    assert "Removed" in quick("clean", "--attempts", "--yes").stdout
    attempts = sorted(path.name for path in quick.root.glob("training_data/quick/runs/000-*/rep-00/*"))
    assert attempts == ["attempt-02"]
    assert quick("results", "quick:0").stdout.count("done") == 2


def test_clean_removes_old_leftovers_and_code(quick):
    import os

    quick("submit", "quick:0")
    training_data = quick.root / "training_data"
    old = [training_data / "quick" / "runs" / ".x.1-ab.partial", training_data / ".code" / "0123456789ab"]
    young = training_data / "quick" / ".y.1-cd.partial"
    for folder in (*old, young):
        folder.mkdir()
    for folder in old:
        os.utime(folder, (0, 0))
    checkpoints = next(training_data.glob("quick/runs/000-*/rep-00")) / "checkpoint"
    checkpoints.mkdir()
    waste = json.loads(quick("clean", "--yes", "--json").stdout)
    assert waste["removed"] == 3
    assert [folder.exists() for folder in (*old, checkpoints, young)] == [False, False, False, True]


def test_status_names_what_it_cannot_see(quick):
    quick("submit", "quick:0")
    (quick.root / "training_data" / "away").symlink_to("/nowhere/at/all")
    answer = quick("status", code=1)
    assert "quick" in answer.stdout
    assert "training_data/away: broken link to '/nowhere/at/all'" in answer.stderr
    record = json.loads(quick("status", "--json", code=1).stdout)
    assert len(record["unseen"]) == 1 and record["experiments"][0]["done"] == 2
    assert quick("status", "quick").returncode == 0
    assert "broken link" in quick("results", "away", code=1).stderr
