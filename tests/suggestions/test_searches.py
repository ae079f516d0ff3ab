"""Searches by the real command, with real workers: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from held_runs import hold
from pool_processes import kill_one
from search_studies import branin, check, suggestion_files, suggestions

from neurofit.orchestrate import searches
from neurofit.spans import members

pytestmark = pytest.mark.process

LINE = """
    def fit(task, *, x=0.0):
        {body}
        return {{"validation/score": {value}}}
    experiment = nf.Experiment(fit, nf.search(x={range}, trials={trials}, metric="validation/score"{more}){end})
"""


def line(
    *, trials=6, body="pass", value="x", range="nf.uniform(0, 1)", more=', sampler="random"', end=""
) -> str:
    """A search over one argument, of which the score is a function."""
    return LINE.format(body=body, value=value, range=range, trials=trials, more=more, end=end)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a command has printed, on one line."""
    return " ".join(f"{done.stdout} {done.stderr}".split())


def plan(bench, *words: str) -> dict:
    done = bench.command("submit", *words, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- sixty trials


def test_sixty_trials_with_four_workers_by_the_command(bench):
    bench.script("search", branin(60))
    done = bench.command("submit", "search", "--workers", "4")
    assert done.returncode == 0, done.stderr
    assert bench.counts("search") == {"done": 60}
    check(bench, "search", 60)
    rows = json.loads(bench.command("results", "search", "--json").stdout)
    assert len(rows) == 60 and {(row["x"], row["y"]) for row in rows} == {
        (one.values["x"], one.values["y"]) for one in suggestions(bench, "search").values()
    }
    assert (
        min(row["validation/loss"] for row in rows) < 2
    )  # the lowest is 0.4, and most of the box is above 20


@pytest.mark.long
def test_ten_kills_of_workers_children_and_pools_lose_nothing_and_do_nothing_twice(bench):
    bench.script("search", branin(60, seconds=0.2, held=True))
    bench.runner(text="backend: local\nworkers: 4\n")
    generator, kills = random.Random(12), Counter()
    kinds = ["worker", "child", "pool", "server", "worker", "child", "worker", "child", "pool", "server"]
    deadline, pools = time.monotonic() + 240, []
    while (counts := bench.counts("search")) != {"done": 60}:
        assert time.monotonic() < deadline, (counts, kills)
        hold(bench.root, 5 * kills.total() + 8 if kinds else 60)
        if not counts or counts["lost"] or counts["failed"] or counts["new"] or counts["stopped"]:
            answer = bench.command("submit", "search", "--retry", "--detach", "--json")
            assert answer.returncode == 0, answer.stderr
            pools += [int(id) for id in json.loads(answer.stdout)["ids"]]
        time.sleep(generator.uniform(0.05, 0.6))
        due = bool(kinds) and counts["done"] >= 5 * kills.total()  # spread over the sixty
        if due and kill_soon(pools, kinds[0], generator):
            kills[kinds.pop(0)] += 1
    assert kills.total() == 10, f"done before the last kill: {kills}"
    check(bench, "search", 60)


def kill_soon(pools: list[int], kind: str, generator: random.Random) -> bool:
    """Kill -9 a process of this kind; a child may be there for moments only."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        if any(kill_one(pool, kind, generator) for pool in reversed(pools)):
            return True
        time.sleep(0.01)
    return False


# ---- what a submit queues


def test_more_trials_are_asked_for_and_stay_until_the_script_asks_for_more(bench):
    bench.script("search", line(trials=6))
    assert bench.command("submit", "search").returncode == 0
    before = {run: path.read_bytes() for run, path in suggestion_files(bench, "search").items()}
    assert plan(bench, "search", "--trials", "8")["to_queue"] == 2
    assert bench.command("submit", "search", "--trials", "8").returncode == 0
    check(bench, "search", 8)
    again = plan(bench, "search")
    assert (again["to_queue"], again["runs"], again["done"]) == (0, 8, 8)
    shown = json.loads(bench.command("show", "search", "--json").stdout)
    assert [run["run"] for run in shown["runs"]] == list(range(8)), (
        "also those that the script does not ask for"
    )
    (listed,) = json.loads(bench.command("list", "--json").stdout)["experiments"]
    assert (listed["runs"], listed["done"], listed["total"]) == (8, 8, 8)
    assert bench.command("run", "search:7").returncode == 0, "in an attempt that does not count"
    assert all(run.on_grid for run in bench.status("search").registry.runs.values())
    fewer = bench.command("submit", "search", "--trials", "7")
    assert fewer.returncode != 0 and "Traceback" not in fewer.stderr
    assert "search has 8 trials already, and a trial keeps its number. Give 8 or more" in said(fewer)
    bench.script("search", line(trials=9))
    assert plan(bench, "search")["to_queue"] == 1
    assert bench.command("submit", "search").returncode == 0
    check(bench, "search", 9)
    after = {run: path.read_bytes() for run, path in suggestion_files(bench, "search").items()}
    assert {run: after[run] for run in before} == before


def test_trials_are_only_for_searches(bench):
    bench.script(
        "grid",
        """
        def fit(task, *, x=0):
            return {"m": x}
        experiment = nf.Experiment(fit, nf.grid(x=[1, 2]))
        """,
    )
    done = bench.command("submit", "grid", "--trials", "5")
    assert done.returncode != 0 and "--trials 5 is for a search, and the grid of grid has none" in said(done)


FAILS_ABOVE_HALF = 'if x > 0.5 and not (task.study / "mended").exists(): raise ValueError(f"{x} is too much")'


def test_a_failed_trial_is_reported_as_failed_and_its_retry_has_the_same_arguments(bench):
    bench.script("search", line(trials=16, body=FAILS_ABOVE_HALF, value="x", more=', sampler="tpe"'))
    assert bench.command("submit", "search", "--workers", "1").returncode == 3
    counts = bench.counts("search")
    assert counts["failed"] >= 3 and counts["done"] >= 3 and sum(counts.values()) == 16
    failed = {record["run"] for record in bench.outcomes("search") if record["state"] == "failed"}
    before = {run: path.read_bytes() for run, path in suggestion_files(bench, "search").items()}
    known = suggestions(bench, "search")[15].known
    assert set(members(known["failed"])) == failed - {15}
    assert set(members(known["done"])) == set(range(15)) - failed and "open" not in known
    assert plan(bench, "search")["to_queue"] == 0
    (bench.root / "mended").touch()
    assert bench.command("submit", "search", "--retry").returncode == 0
    check(bench, "search", 16)
    assert before == {run: path.read_bytes() for run, path in suggestion_files(bench, "search").items()}


def test_a_lost_trial_runs_again_with_the_same_arguments(bench):
    waits = 'import time; [time.sleep(0.05) for _ in range(1200) if not (task.study / "go").exists()]'
    bench.script("search", line(trials=4, body=waits))
    answer = bench.command("submit", "search", "--workers", "2", "--detach", "--json")
    bench.wait(
        "search", until=lambda counts: counts["running"] == 2 and len(suggestion_files(bench, "search")) == 2
    )
    before = {run: path.read_bytes() for run, path in suggestion_files(bench, "search").items()}
    os.kill(int(json.loads(answer.stdout)["ids"][0]), signal.SIGKILL)
    bench.wait("search", until=lambda counts: counts["lost"] == 2)
    (bench.root / "go").touch()
    assert bench.command("submit", "search").returncode == 0
    check(bench, "search", 4)
    after = {run: path.read_bytes() for run, path in suggestion_files(bench, "search").items()}
    assert {run: after[run] for run in before} == before
    assert {record["attempt"] for record in bench.outcomes("search") if record["run"] in before} == {2}


def test_a_submit_while_it_runs_queues_nothing_twice(bench):
    bench.script("search", branin(16, seconds=0.1))
    bench.runner(text="backend: local\nworkers: 4\n")
    first = bench.command("submit", "search", "--detach", "--json")
    assert json.loads(first.stdout)["to_queue"] == 16
    assert plan(bench, "search")["to_queue"] == 0
    more = bench.command("submit", "search", "--trials", "20", "--detach", "--json")
    assert json.loads(more.stdout)["to_queue"] == 4
    assert bench.wait("search") == {"done": 20}
    check(bench, "search", 20)
    assert {record["attempt"] for record in bench.outcomes("search")} == {1}


def test_two_hosts_that_submit_at_once_queue_each_trial_once(bench):
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a second host needs root and unshare")
    bench.script("search", branin(16, seconds=0.1))
    bench.runner()
    command = [sys.executable, "-m", "neurofit", "submit", "search"]
    other = [
        "unshare",
        "--uts",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
        'hostname other; exec "$@"',
        "sh",
    ]
    if subprocess.run([*other, "true"], capture_output=True).returncode:
        pytest.skip("unshare is not allowed here")
    options = {"cwd": bench.root, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen([*start, *command], **options) for start in ([], other)]
    answers = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], answers
    if bench.counts("search") != {"done": 16}:
        assert bench.wait("search") == {"done": 16}, answers
    check(bench, "search", 16)
    records = bench.outcomes("search")
    assert {record["attempt"] for record in records} == {1}
    jobs = list(bench.study.training_data.glob("search/submissions/*/submission.json"))
    assert len(jobs) == 1, "the second found all of them queued"


# ---- an edited search


def test_finished_trials_outside_edited_ranges_are_kept_shown_and_not_used(bench):
    bench.script("search", line(trials=12, more=', sampler="tpe"'))
    assert bench.command("submit", "search").returncode == 0
    assert "outside" not in said(bench.command("submit", "search", "--dry-run"))
    outside = {run for run, one in suggestions(bench, "search").items() if one.values["x"] < 0.5}
    assert len(outside) > 2
    bench.script("search", line(trials=16, range="nf.uniform(0.5, 2)", more=', sampler="tpe"'))
    sentence = (
        f"{len(outside)} finished trials lie outside the ranges that the script has now: kept, shown, not used for "
        "suggestions."
    )
    assert sentence in said(bench.command("submit", "search", "--dry-run"))
    assert plan(bench, "search")["search"]["finished_outside"] == len(outside)
    done = bench.command("submit", "search")
    assert done.returncode == 0 and sentence in said(done)
    check(bench, "search", 16)
    for run, one in suggestions(bench, "search").items():
        if run >= 12:
            assert 0.5 <= one.values["x"] <= 2
            assert not outside & {trial for spans in one.known.values() for trial in members(spans)}
    rows = json.loads(bench.command("results", "search", "--json").stdout)
    assert {row["run"] for row in rows} == set(range(16))


def test_one_trial_outside_is_said_in_the_singular():
    assert searches.outside_sentence(1).startswith("1 finished trial lies outside")
    assert searches.outside_sentence(0) == ""


# ---- what is printed


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_plan_and_show_say_what_is_searched_and_how(bench, width):
    bench.script("search", line(trials=100, more=', at_once=4, direction="minimize", sampler="qmc"'))
    environment = {**os.environ, "COLUMNS": width}
    dry = bench.command("submit", "search", "--dry-run", env=environment)
    assert dry.stdout.splitlines()[:2] == [
        "search: 100 trials × 1 repetition, runner local",
        "  Search for the lowest validation/score: sampler qmc, at most 4 at a time (at_once).",
    ]
    shown = bench.command("show", "search", env=environment).stdout.splitlines()
    assert shown[2:5] == [
        "  x = uniform(0, 1)",
        "Search for the lowest validation/score: sampler qmc, at most 4 at a time (at_once).",
        "100 trials × 1 repetition; the arguments of a trial are chosen when it starts.",
    ]
    assert len(shown) <= 6, "no table of a hundred rows without arguments"
    assert bench.command("submit", "search:0-2").returncode == 0
    shown = bench.command("show", "search", env=environment).stdout.splitlines()
    assert shown[4] == "100 trials × 1 repetition, 97 of them without arguments so far."
    assert [row.split()[0] for row in shown[-3:]] == ["0", "1", "2"]
    record = json.loads(bench.command("show", "search", "--json").stdout)
    assert record["search"]["arguments"] == {"x": "uniform(0, 1)"} and record["search"]["searches"] == 1
    assert [run["trial"] for run in record["runs"]] == list(range(100))
    values = [one.values for one in suggestions(bench, "search").values()]
    assert [run["params"] for run in record["runs"][:4]] == [*values, {}]


# ---- what a fit returns


def test_a_metric_that_no_task_reports_stops_the_search_at_the_first_finished_trial(bench):
    bench.script("search", line(trials=12).replace('"validation/score":', '"validation/scores":'))
    done = bench.command("submit", "search", "--workers", "1")
    assert done.returncode != 0
    assert bench.counts("search") == {"failed": 1, "new": 11}
    assert "search stopped after its first finished trial: " in said(done)
    assert "identical failures" not in said(done)
    assert (
        "The search improves the metric 'validation/score', and the fit did not return it. Did you mean "
        "'validation/scores'?"
    ) in said(done)
    assert "11 task(s) were not started." in said(done)
    bench.script("search", line(trials=12))
    assert bench.command("submit", "search", "--retry").returncode == 0
    check(bench, "search", 12)


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_a_metric_that_is_not_finite_fails_its_trial_and_the_search_goes_on(bench, bad):
    bench.script("search", line(trials=8, value=f"float('{bad}') if x < 0.5 else x", more=', sampler="tpe"'))
    done = bench.command("submit", "search", "--workers", "2")
    assert done.returncode == 3
    low = {run for run, one in suggestions(bench, "search").items() if one.values["x"] < 0.5}
    assert bench.counts("search") == {"failed": len(low), "done": 8 - len(low)} and 0 < len(low) < 8
    assert f"Metric 'validation/score' is {bad}, expected a finite number." in said(
        bench.command("failures", "search")
    )


def test_the_value_of_a_trial_with_repetitions_is_their_mean(bench):
    from neurofit.orchestrate.plan import load
    from neurofit.suggestions.known import Memory

    bench.script(
        "search",
        line(trials=4, value="x + task.repetition", end=", repetitions=3"),
    )
    assert bench.command("submit", "search", "--workers", "2").returncode == 0
    assert bench.counts("search") == {"done": 12}
    check(bench, "search", 4, repetitions=3)
    experiment, status = load(bench.study, "search"), bench.status("search")
    trials = Memory(status.files).trials(experiment.search, experiment.runs()[0].group, 3)
    assert [trial.value for trial in trials] == pytest.approx([trial.values["x"] + 1 for trial in trials])
    assert {trial.state for trial in trials} == {"done"}


def test_a_trial_of_which_a_repetition_is_missing_has_no_value_yet(bench):
    from neurofit.orchestrate.plan import load
    from neurofit.suggestions.known import Memory

    bench.script("search", line(trials=2, end=", repetitions=3"))
    assert bench.command("submit", "search:0/0-1").returncode == 0
    experiment, status = load(bench.study, "search"), bench.status("search")
    (trial,) = Memory(status.files).trials(experiment.search, experiment.runs()[0].group, 3)
    assert (trial.state, trial.value) == ("open", None)


# ---- what is not installed

HIDES = """
import sys
class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Absent)
"""


def without(tmp_path: Path, name: str) -> dict[str, str]:
    """The environment of a host on which a package is not installed."""
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "sitecustomize.py").write_text(HIDES.format(name=name))
    return {**os.environ, "PYTHONPATH": str(tmp_path / "absent")}


@pytest.mark.parametrize(
    ("absent", "more", "what"),
    [
        ("optuna", "", "The sampler 'tpe' of a search needs optuna"),
        ("cmaes", ', sampler="cmaes"', "The sampler 'cmaes' of a search needs cmaes"),
    ],
)
def test_a_sampler_whose_library_is_absent_is_refused_before_anything_is_queued(
    bench, tmp_path, absent, more, what
):
    bench.script("search", line(more=more))
    done = bench.command("submit", "search", env=without(tmp_path, absent))
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert f"{what}, which is not installed: " in said(done) and "pip install" in said(done)
    assert not suggestion_files(bench, "search") and not list(
        bench.study.training_data.glob("search/submissions/*")
    )


def test_a_random_search_and_its_pruner_need_no_optuna(bench, tmp_path):
    bench.script("search", line(trials=3, more=', sampler="random", pruner="hyperband"'))
    assert bench.command("submit", "search", env=without(tmp_path, "optuna")).returncode == 0
    check(bench, "search", 3)
