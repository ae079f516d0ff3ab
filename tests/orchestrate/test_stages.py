"""Stages: an experiment that needs others starts when these are done, and says so when they will not be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from fakes import Fakes

from neurofit.errors import GridError, NameUnknown, UsageError
from neurofit.exit_codes import START_AGAIN
from neurofit.experiments.experiment import Experiment
from neurofit.experiments.grid.grid import grid
from neurofit.files import append_lines, read_json
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.stages import order, stages
from neurofit.status.needs import need_stops, waits
from neurofit.store.submissions import read_queue

FEATURES = """
    import os, time
    def fit(task, *, a=1):
        while not os.path.exists(str(task.study / "go")):
            time.sleep(0.02)
        if os.path.exists(str(task.study / "broken")):
            raise ValueError("no such layer")
        return {"x": a}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2]))
"""
LAYERS = """
    def fit(task, *, b=1):
        done = [path for path in task.study.glob("training_data/it/features/**/outcome.json")]
        return {"seen": len(done)}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(b=[1, 2, 3]), needs="it/features")
"""


@pytest.fixture
def staged(bench):
    bench.script("it/features", FEATURES)
    bench.script("it/layers", LAYERS)
    bench.runner()
    return bench


def planned(bench, name, **options):
    plan = make(bench.study, load(bench.study, name), SubmitOptions(**options))
    return plan, stages(plan, order(bench.study, plan.experiment), bench.runner(), {})


def submit_all(bench, name, **options):
    _plan, before = planned(bench, name, **options)
    for stage in before:
        if stage.plan.tasks:
            bench.submit(stage.plan.experiment.name, **options)
    return bench.submit(name, **options)


def pool_of(submitted):
    return read_queue(submitted.files).calls[-1].process["pid"]


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_needed_is_no_part_of_the_ids():
    def fit(task, *, a=1):
        return {"x": a}

    plain = Experiment(fit, grid(a=[1, 2]))
    assert [run.id for run in Experiment(fit, grid(a=[1, 2]), needs="other").runs()] == [
        run.id for run in plain.runs()
    ]


@pytest.mark.parametrize("needs", [3, [3], "", None])
def test_names_that_are_none_are_refused(needs):
    with pytest.raises(GridError, match="needs"):
        Experiment(lambda task: {"x": 1}, needs=needs)


def test_a_needed_name_that_the_study_lacks_is_refused_with_the_nearest(staged):
    staged.script("it/layers", LAYERS.replace("it/features", "it/featurs"))
    with pytest.raises(NameUnknown, match=r"needs='it/featurs'.*Did you mean 'it/features'"):
        planned(staged, "it/layers")


def test_a_circle_of_needs_is_refused(staged):
    staged.script("it/features", FEATURES.replace("a=[1, 2])", 'a=[1, 2]), needs=["it/layers"]'))
    with pytest.raises(UsageError, match="it/layers → it/features → it/layers"):
        order(staged.study, load(staged.study, "it/layers"))


def test_a_stage_waits_for_all_tasks_of_what_it_needs(staged):
    submitted = submit_all(staged, "it/layers")
    assert staged.counts("it/layers") == {"queued": 3}
    assert waits(staged.status("it/layers")) == ["it/layers waits for it/features (0 of 2 done)"]
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"done": 3}
    assert {row["metrics"]["seen"] for row in staged.outcomes("it/layers")} == {2}
    assert read_json(submitted.files.record)["needs"] == [
        {"experiment": "it/features", "runs": [[0, 1]], "repetitions": 1}
    ]
    assert waits(staged.status("it/layers")) == []


def test_what_is_done_is_not_queued_and_what_somebody_queued_is_waited_for(staged):
    staged.submit("it/features")
    _, [stage] = planned(staged, "it/layers")
    assert not stage.plan.tasks
    staged.submit("it/layers")
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"done": 3}
    assert len(staged.status("it/features").submissions) == 1
    plan, before = planned(staged, "it/layers")
    assert not plan.tasks
    assert before == []


def test_a_stage_that_failed_leaves_its_dependants_new_with_the_reason(staged):
    (staged.root / "broken").touch()
    submit_all(staged, "it/layers")
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"new": 3}
    [note] = need_stops(staged.status("it/layers"))
    assert "it/features (0 of 2 done) ended with 2 failed" in note
    shown = staged.command("status", "it/layers")
    assert "ended with 2 failed" in " ".join((shown.stdout + shown.stderr).split())
    with pytest.raises(UsageError, match="Add --retry"):
        planned(staged, "it/layers")
    (staged.root / "broken").unlink()
    submit_all(staged, "it/layers", retry=True)
    assert staged.wait("it/layers") == {"done": 3}
    assert need_stops(staged.status("it/layers")) == []


def test_a_needed_pool_that_is_killed_ends_the_waiting_and_the_next_submit_loses_nothing(staged):
    staged.submit("it/features")
    staged.submit("it/layers")
    [features] = staged.status("it/features").submissions
    os.kill(read_queue(features.files).calls[-1].process["pid"], signal.SIGKILL)
    assert staged.wait("it/layers") == {"new": 3}
    assert "it/features (0 of 2 done) ended with" in need_stops(staged.status("it/layers"))[0]
    (staged.root / "go").touch()
    submit_all(staged, "it/layers")
    assert staged.wait("it/layers") == {"done": 3}
    assert len(staged.outcomes("it/layers")) == 3


def test_a_waiting_pool_that_is_killed_can_be_submitted_again(staged):
    submitted = submit_all(staged, "it/layers")
    os.kill(pool_of(submitted), signal.SIGKILL)
    assert staged.wait("it/layers") == {"new": 3}
    again = submit_all(staged, "it/layers")
    assert again is not None
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"done": 3}
    assert len(staged.status("it/features").submissions) == 1
    assert [row["attempt"] for row in staged.outcomes("it/layers")] == [1, 1, 1]


def test_tasks_that_wait_can_be_cancelled(staged):
    submit_all(staged, "it/layers")
    assert staged.command("cancel", "it/layers", "--yes").returncode == 0
    assert staged.wait("it/layers") == {"cancelled": 3}
    (staged.root / "go").touch()
    assert staged.wait("it/features") == {"done": 2}


UNWAITING = """
from dataclasses import dataclass
from neurofit.backends.slurm.backend import SlurmBackend
@dataclass(frozen=True)
class Site(SlurmBackend):
    def waits_for_needs(self):
        return False
"""


def test_a_queue_that_cannot_wait_refuses_a_stage_that_is_not_done(staged):
    plan = make(staged.study, load(staged.study, "it/layers"), SubmitOptions())
    needed = order(staged.study, plan.experiment)
    (staged.study.runners / "mysite.py").write_text(UNWAITING)
    site, slurm = staged.runner("site", "backend: mysite.py:Site\n"), staged.runner("c", "backend: slurm\n")
    with pytest.raises(UsageError, match=r"it/features \(0 of 2 done\) is needed first.*submit it/features"):
        stages(plan, needed, site, {})
    assert [stage.runner.name for stage in stages(plan, needed, slurm, {})] == ["c"]
    found = stages(plan, needed, staged.runner(), {"it/features": site})
    assert [stage.runner.name for stage in found] == ["site"]
    with pytest.raises(UsageError, match="no stage"):
        stages(plan, needed, slurm, {"other": slurm})


@pytest.fixture
def slurm(tmp_path, monkeypatch, staged):
    """A SLURM of programs that answer what a test says; each call of sbatch gets the next number."""
    for name in ("SLURM_CLUSTERS", "SBATCH_CLUSTERS"):
        monkeypatch.delenv(name, raising=False)
    programs = Fakes(tmp_path / "fakes", monkeypatch, ["sbatch", "squeue", "sacct", "scontrol", "scancel"])
    programs.say("scontrol", "ClusterName = here\nMaxArraySize = 1001\nAccountingStorageType = none\n")
    programs.say("squeue", "JOBID|STATE|REASON|NAME\n")
    for call in (1, 2, 3):
        programs.say("sbatch", f"{40 + call}\n", call=call)
    staged.runner("cpu", "backend: slurm\nqueue: cpu\n")
    staged.runner("gpu", "backend: slurm\nqueue: gpu\n")
    return programs


def script_of(staged, name):
    [script] = (staged.study.training_data / name).glob("submissions/*/slurm/000000.sh")
    return script.read_text()


def test_stages_in_queues_of_one_slurm_depend_on_each_others_jobs(staged, slurm):
    runners = ["--backend", "it/features=gpu", "--backend", "cpu"]
    dry = staged.command("submit", "it/layers", *runners, "--dry-run")
    assert "--dependency=afterany:ID" in dry.stdout and "ID stands for" in dry.stdout
    said = staged.command("submit", "it/layers", *runners)
    assert said.returncode == 0, said.stderr
    assert ", to start after the job 41." in said.stdout
    assert "--dependency" not in script_of(staged, "it/features")
    assert "#SBATCH --dependency=afterany:41\n" in script_of(staged, "it/layers")
    staged.script("it/best", LAYERS.replace('needs="it/features"', 'needs=["it/features", "it/layers"]'))
    dry = json.loads(staged.command("submit", "it/best", "--backend", "gpu", "--dry-run", "--json").stdout)
    assert dry["after"] == ["41", "42"]  # what others have queued
    assert "#SBATCH --dependency=afterany:41:42\n" in dry["script"]


def test_a_queue_does_not_depend_on_jobs_of_a_pool(staged, slurm):
    staged.submit("it/features")
    dry = json.loads(staged.command("submit", "it/layers", "--backend", "cpu", "--dry-run", "--json").stdout)
    assert dry["after"] == [] and "--dependency" not in dry["script"]
    said = staged.command("submit", "it/layers", "--backend", "cpu", "--json")
    assert json.loads(said.stdout)["after"] == []
    assert "--dependency" not in script_of(staged, "it/layers")
    (staged.root / "go").touch()
    staged.wait("it/features")


def test_a_pool_waits_for_a_stage_in_a_queue(staged, slurm):
    said = staged.command("submit", "it/layers", "--backend", "it/features=gpu", "--detach", "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["after"] == []
    assert staged.counts("it/layers") == {"queued": 3}
    assert staged.command("cancel", "it/features", "--yes").returncode == 0
    assert staged.wait("it/layers") == {"new": 3}
    assert "ended with 2 cancelled" in need_stops(staged.status("it/layers"))[0]


def test_a_job_of_a_queue_that_ended_unmet_is_new_at_once_and_accounting_is_not_asked(staged, slurm):
    submitted = staged.submit("it/layers", load_runner(staged, "cpu"))
    assert staged.counts("it/layers") == {"queued": 3}  # missing, but not for long enough
    asked = len(slurm.calls("sacct"))
    for job in range(3):
        append_lines(submitted.files.journal(job, 1), [{"end": "unmet"}])
    assert staged.counts("it/layers") == {"new": 3}
    assert len(slurm.calls("sacct")) == asked
    append_lines(submitted.files.journal(0, 2), [{"end": "waited"}])  # somebody has requeued that job
    assert staged.counts("it/layers") == {"new": 2, "queued": 1}


def test_a_look_from_a_node_writes_nothing_into_what_is_needed(staged, slurm):
    first = staged.submit("it/features", load_runner(staged, "gpu"))
    second = staged.submit("it/layers", load_runner(staged, "cpu"))
    first.files.queue.write_text(first.files.queue.read_text().splitlines(keepends=True)[0])
    before = first.files.queue.read_bytes()
    words = [sys.executable, "-m", "neurofit.orchestrate.gate", str(second.files.folder), "--seconds", "0.1"]
    gate = subprocess.Popen(words, stdin=subprocess.PIPE)
    assert gate.wait(timeout=60) == START_AGAIN
    gate.stdin.close()
    assert first.files.queue.read_bytes() == before
    staged.status("it/features")
    assert b"absent" in first.files.queue.read_bytes()


def load_runner(staged, name):
    from neurofit.backends import runner

    return runner.load(staged.study.runners, name)


def test_stages_of_a_detached_submit_run_on_in_order(staged):
    said = staged.command("submit", "it/layers", "--detach")
    assert said.returncode == 0, said.stderr
    assert staged.counts("it/layers") == {"queued": 3}
    (staged.root / "go").touch()
    assert staged.wait("it/layers") == {"done": 3}
    assert {row["metrics"]["seen"] for row in staged.outcomes("it/layers")} == {2}


def test_every_script_is_loaded_once(staged, tmp_path):
    counted = tmp_path / "loaded"
    note = f"open({str(counted)!r}, 'a').write(__name__ + '\\n')\n"
    staged.script("it/features", note + textwrap.dedent(FEATURES))
    staged.script("it/layers", note + textwrap.dedent(LAYERS))
    best = LAYERS.replace('needs="it/features"', 'needs=["it/features", "it/layers"]')
    staged.script("it/best", note + textwrap.dedent(best))
    said = staged.command("submit", "it/best", "--dry-run")
    assert said.returncode == 0, said.stderr
    assert sorted(counted.read_text().split()) == sorted(set(counted.read_text().split()))
    assert len(counted.read_text().split()) == 3


def test_a_task_is_not_run_by_hand_before_what_it_needs_is_done(staged):
    said = staged.command("run", "it/layers")
    assert said.returncode == 2
    assert "it/features (0 of 2 done) is needed first" in said.stderr
    assert "neurofit submit it/features" in said.stderr
    assert not (staged.study.training_data / "it" / "layers").exists()
    assert staged.command("run", "it/layers", "--dry-run").returncode == 0
    (staged.root / "go").touch()
    staged.run("it/features")
    assert staged.command("run", "it/layers").returncode == 0
    assert staged.counts("it/layers") == {"done": 1, "new": 2}


IMPATIENT = """
import sys
from pathlib import Path
from neurofit.backends.local import pool
pool.LONGEST_PAUSE_SECONDS, pool.MOST_SERVER_STARTS = 0.01, 1
sys.exit(pool.main(Path(sys.argv[1])))
"""


def test_where_the_gate_itself_fails_the_tasks_stay_new_with_a_reason(staged):
    submitted = staged.submit("it/layers")
    os.kill(pool_of(submitted), signal.SIGKILL)
    settings = read_json(submitted.files.folder / "pool.json")
    settings["gate"]["command"] = ["/bin/false"]
    (submitted.files.folder / "pool.json").write_text(json.dumps(settings))
    words = [sys.executable, "-c", IMPATIENT, str(submitted.files.folder)]
    subprocess.run(words, input=b"\n", cwd=submitted.files.folder, timeout=60, stderr=subprocess.DEVNULL)
    assert staged.wait("it/layers") == {"new": 3}
    [note] = need_stops(staged.status("it/layers"))
    assert "what it needs could not be read again and again; see logs/pool.log" in note


def test_submit_shows_and_queues_the_stages(staged):
    dry = staged.command("submit", "it/layers", "--dry-run", "--json")
    [stage] = json.loads(dry.stdout)["stages"]
    assert (stage["experiment"], stage["to_queue"], stage["runner"]) == ("it/features", 2, "local")
    (staged.root / "go").touch()
    shown = staged.command("submit", "it/layers", "--backend", "it/features=local")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.index("it/features: 2 runs") < shown.stdout.index("it/layers: 3 runs")
    assert staged.counts("it/layers") == {"done": 3}
    assert json.loads(staged.command("show", "it/layers", "--json").stdout)["needs"] == ["it/features"]


def test_ctrl_c_while_waiting_stops_the_stages_too(staged):
    watching = subprocess.Popen(
        [sys.executable, "-m", "neurofit", "submit", "it/layers"],
        cwd=staged.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until(lambda: staged.counts("it/layers")["queued"] == 3 and staged.counts("it/features")["running"])
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=120)
    assert watching.returncode == 130
    assert not staged.wait("it/layers")["done"]
