"""Which settings by which tasks share a GPU go together, and how many slots a pool has then."""

from __future__ import annotations

import re

import pytest

from neurofit.backends import runner
from neurofit.errors import RunnerError, SubmissionError, UsageError
from neurofit.orchestrate import job_sizes


def profile(tmp_path, text: str) -> runner.Runner:
    (tmp_path / "mine.yaml").write_text(text)
    return runner.load(tmp_path, "mine")


@pytest.mark.parametrize("kind", ["local", "slurm", "sge", "pbs"])
@pytest.mark.parametrize("wanted", ["3", "auto", "1"])
def test_a_runner_lets_tasks_share_a_gpu(tmp_path, kind, wanted):
    text = f"backend: {kind}\ntasks_per_gpu: {wanted}\nresources: {{gpus: 1, cpus: 6}}\n"
    backend = profile(tmp_path, text).backend
    number = int(wanted) if wanted.isdecimal() else wanted
    assert backend.tasks_per_gpu == number
    assert backend.tasks_at_a_time() == (1 if kind == "local" and number == 3 else number)
    assert backend.threads() == (2 if number == 3 and kind != "local" else 6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tasks_per_gpu: 0\nresources: {gpus: 1}", "'tasks_per_gpu' is 0, expected a number from 1 to 64"),
        (
            "tasks_per_gpu: 2.5\nresources: {gpus: 1}",
            "'tasks_per_gpu' is 2.5, expected a whole number or 'auto'",
        ),
        ("tasks_per_gpu: many\nresources: {gpus: 1}", "is 'many', expected a whole number or 'auto'"),
        (
            "tasks_per_gpu: 2",
            "'tasks_per_gpu' is 2, but resources.gpus is not set. The tasks of a job share one",
        ),
        (
            "tasks_per_gpu: auto\nresources: {gpus: 0}",
            "'tasks_per_gpu' is auto, but resources.gpus is 0. The",
        ),
        (
            "tasks_per_gpu: 2\nresources: {gpus: 2}",
            "write `gpus: 1` into resources, or remove tasks_per_gpu.",
        ),
        ("gpu_memory_gb: 8", "'gpu_memory_gb' is 8, but resources.gpus is not set, so that there is no GPU"),
        ("gpu_memory_gb: 0\nresources: {gpus: 1}", "'gpu_memory_gb' is 0, expected a number from"),
        (
            "workers: 2\ntasks_per_gpu: 3\nresources: {gpus: 1}",
            "'workers' is 2, so that 3 tasks (tasks_per_gpu) never share a GPU. Leave workers out, or give at least 3",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused_in_a_sentence(tmp_path, text, words):
    with pytest.raises(RunnerError, match=rf"mine\.yaml: .*{re.escape(words)}"):
        profile(tmp_path, f"backend: local\n{text}\n")


def test_workers_of_one_submission_must_fit_too(tmp_path):
    one = profile(tmp_path, "backend: local\ntasks_per_gpu: 3\nresources: {gpus: 1}\n")
    with pytest.raises(
        UsageError, match="--workers 2 does not fit runner 'mine': 'workers' is 2, so that 3 tasks"
    ):
        runner.with_workers(one, 2)
    assert runner.with_workers(one, 3).backend.workers == 3


@pytest.mark.parametrize(
    ("gpus", "settings", "slots"),
    [
        ("0", "", "000"),
        ("0,1", "", "010101"),
        ("0,1", "workers: 4\n", "0101"),
        ("0,1", "max_running: 5\n", "01010"),
        ("0,1", "workers: 40\n", "010101"),
    ],
)
def test_a_pool_spreads_its_slots_over_the_gpus(tmp_path, monkeypatch, gpus, settings, slots):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    text = f"backend: local\ntasks_per_gpu: 3\n{settings}resources: {{gpus: 1}}\n"
    found = profile(tmp_path, text).backend.slots()
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in found] == list(slots)


def test_a_pool_that_measures_has_one_slot_per_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    text = "backend: local\ntasks_per_gpu: auto\nworkers: 4\nresources: {gpus: 1}\n"
    assert len(profile(tmp_path, text).backend.slots()) == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(SubmissionError, match="this machine has 0 GPU"):
        profile(tmp_path, text).backend.slots()


@pytest.mark.parametrize(
    ("settings", "what", "advice"),
    [
        (
            "tasks_per_gpu: 3",
            "3 tasks share a GPU, 0.9 of its memory in equal parts",
            "they share resources.cpus: 2",
        ),
        ("tasks_per_gpu: 2\ngpu_memory_gb: 12", "2 tasks share a GPU, 12 GB of its memory each", ""),
        ("tasks_per_gpu: auto", "up to 8 tasks share a GPU, after the first one has been measured", ""),
        ("gpu_memory_gb: 4.5", "a task may use 4.5 GB of its GPU's memory", ""),
    ],
)
def test_a_check_says_how_tasks_share_the_gpu(tmp_path, settings, what, advice):
    backend = profile(tmp_path, f"backend: slurm\n{settings}\nresources: {{gpus: 1, cpus: 2}}\n").backend
    (found,) = job_sizes.findings(backend)
    assert (found.ok, found.what) == (True, what) and found.advice.startswith(advice)
    assert bool(found.advice) == bool(advice)


def test_auto_with_one_core_is_said_to_be_one_task(tmp_path):
    backend = profile(tmp_path, "backend: slurm\ntasks_per_gpu: auto\nresources: {gpus: 1}\n").backend
    assert (
        "auto starts at most one task per core, and resources.cpus is 1"
        in job_sizes.findings(backend)[0].advice
    )
    assert job_sizes.findings(profile(tmp_path, "backend: slurm\nresources: {gpus: 1}\n").backend) == []
