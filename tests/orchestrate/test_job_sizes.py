"""How many tasks a job has: a run's repetitions, enough to fill a shared GPU, or less so that no worker is idle."""

from __future__ import annotations

import pytest

from neurofit.backends.base import Resources
from neurofit.backends.local.backend import LocalBackend
from neurofit.backends.slurm.backend import SlurmBackend
from neurofit.orchestrate.plan import SubmitOptions, load, make

GRID = """
    class Fit:
        def __call__(self, task, *, run=0):
            return {{"x": run}}
        def arguments(self):
            return {{"run": 0}}
        {together}
    experiment = nf.Experiment(Fit(), nf.grid(run=list(range(7))), repetitions={repetitions})
"""
SEARCH = """
    def fit(task, *, lr=0.1):
        return {{"x": lr}}
    experiment = nf.Experiment(fit, nf.search(lr=nf.uniform(0.1, 1.0), trials=12, metric="x", at_once={at_once}))
"""


def shared(tasks: int | str, **settings) -> SlurmBackend:
    return SlurmBackend(tasks_per_gpu=tasks, resources=Resources(gpus=1, cpus=8), **settings)


def plan(bench, name: str = "one", **options):
    return make(bench.study, load(bench.study, name), SubmitOptions(**options))


@pytest.mark.parametrize(
    ("repetitions", "together", "backend", "sizes"),
    [
        (1, "", shared(1), [1] * 7),
        (1, "", shared(3), [3, 3, 1]),
        (2, "", shared(3), [4, 4, 4, 2]),
        (5, "", shared(3), [5] * 7),
        (1, "", shared("auto"), [7]),
        (2, "def together(self, tasks): ...", shared(3), [6, 6, 2]),
        (5, "", shared(3, tasks_per_job=2), [2] * 17 + [1]),
        (1, "", LocalBackend(tasks_per_gpu=3, resources=Resources(gpus=1)), [1] * 7),
        (1, "", LocalBackend(tasks_per_gpu="auto", resources=Resources(gpus=1)), [7]),
    ],
)
def test_a_job_has_enough_to_fill_its_gpu(bench, repetitions, together, backend, sizes):
    bench.script("one", GRID.format(repetitions=repetitions, together=together))
    jobs = plan(bench).jobs_of(backend)
    assert [len(job) for job in jobs] == sizes
    assert sorted(task.key for job in jobs for task in job) == sorted(plan(bench).keys())


@pytest.mark.parametrize(
    ("repetitions", "together", "backend", "sizes"),
    [
        (3, "", LocalBackend(workers=7), [3] * 7),
        (3, "", LocalBackend(workers=8), [1] * 21),
        (3, "", LocalBackend(workers=8, tasks_per_job=2), [2] * 10 + [1]),
        (3, "def together(self, tasks): ...", LocalBackend(workers=8), [3] * 7),
        (5, "def repetitions_together(self, params): return 2", LocalBackend(workers=8), [2, 2, 1] * 7),
        (3, "", SlurmBackend(), [3] * 7),
    ],
)
def test_runs_are_divided_where_workers_of_this_machine_would_be_idle(
    bench, repetitions, together, backend, sizes
):
    bench.script("one", GRID.format(repetitions=repetitions, together=together))
    assert [len(job) for job in plan(bench).jobs_of(backend)] == sizes


@pytest.mark.parametrize(
    ("at_once", "tasks", "sizes", "jobs_at_a_time"),
    [(6, 1, [1] * 12, 6), (6, 3, [3] * 4, 2), (2, 3, [2] * 6, 1), (10, "auto", [8, 4], 1)],
)
def test_a_search_has_no_more_trials_at_a_time_than_it_says(bench, at_once, tasks, sizes, jobs_at_a_time):
    bench.script("one", SEARCH.format(at_once=at_once))
    profile = bench.runner(
        "queue", f"backend: slurm\ntasks_per_gpu: {tasks}\nresources: {{gpus: 1, cpus: 8}}\n"
    )
    found = plan(bench)
    assert [len(job) for job in found.jobs_of(profile.backend)] == sizes
    assert found.throttled(profile).backend.max_running == jobs_at_a_time


@pytest.mark.process
def test_the_plan_says_how_tasks_share_a_gpu_and_which_jobs_have_too_few(bench):
    bench.script("one", GRID.format(repetitions=2, together=""))
    for name, tasks_per_job in (("full", "null"), ("few", "2")):
        settings = f"tasks_per_gpu: 3\ntasks_per_job: {tasks_per_job}\nresources: {{gpus: 1, cpus: 6}}\n"
        bench.runner(name, f"backend: slurm\n{settings}")
        said = bench.command("submit", "one", "--backend", name, "--dry-run").stdout
        assert "  3 tasks share a GPU, 0.9 of its memory in equal parts.\n" in said
        assert "OMP_NUM_THREADS=2" in said
        few = "  6 of 7 jobs have fewer than 3 tasks, and 3 share a GPU (tasks_per_gpu): a part of it stays unused."
        assert (few in said) == (name == "few")
