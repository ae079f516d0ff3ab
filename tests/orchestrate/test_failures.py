"""Failures explained: grouped, set apart from what is done, and with what helps."""

from __future__ import annotations

import json

import pytest

from neurofit.backends.job_script import DISK_FULL
from neurofit.experiments.selector import naming
from neurofit.orchestrate.explanations import common_factors, explained, remedy
from neurofit.orchestrate.failures import failures
from neurofit.store.records import ErrorRecord, ResourcesRecord
from neurofit.store.state import State

THREE_CAUSES = """
    import os, signal
    def fit(task, *, batch=1, rate=0.1):
        print("batch", batch)
        if batch == 512:
            raise ValueError(f"batch {batch} is too much for '{task.folder}'")
        if batch == 128 and rate == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        return {"m": 1.0}
    experiment = nf.Experiment(fit, grid=nf.grid(batch=[16, 64, 128, 512], rate=[0.1, 1]), repetitions=2)
"""


def test_identical_failures_are_listed_once_with_common_factors_and_remedy(bench):
    bench.script("three", THREE_CAUSES)
    assert bench.run("three") == {"done": 10, "failed": 6}
    status = bench.status("three")
    error, crash = explained(status, status.all_keys())
    assert (len(error.failure.tasks), error.kind, crash.kind) == (4, "exception", "signal")
    assert [(factor.name, factor.value, factor.failed, factor.done) for factor in error.common_factors] == [
        ("batch", 512, 4, 0)
    ]
    assert crash.common_factors[0].name == "batch" and (
        crash.common_factors[0].done,
        crash.common_factors[0].of_done,
    ) == (2, 10)
    assert error.last_lines[-1].startswith("ValueError: batch 512")
    assert error.remedy.command == "neurofit submit three:6-7 --retry"
    assert crash.remedy.first == "find the cause in `neurofit logs three:5/0`"

    said = bench.command("failures", "three")
    assert said.returncode == 3, said.stderr
    assert "4 tasks failed: ValueError: batch 512" in said.stdout
    assert "  all with batch=512; of the tasks that are done: none of 10\n" in said.stdout
    assert "jobs/three.py, line 7, in fit" in said.stdout
    record = json.loads(bench.command("failures", "three:5", "--json").stdout)
    assert [len(one["tasks"]) for one in record["failures"]] == [2]
    assert (
        bench.command("failures", "three:0").stdout
        == "None of the selected tasks failed, was lost or stopped.\n"
    )


def test_what_happened_before_the_worker_ran_is_shown_with_its_log(bench):
    bench.script("three", THREE_CAUSES)
    bench.submit("three", bench.runner(text="backend: local\nsetup: [module load no-such-thing, exit 3]\n"))
    assert bench.wait("three") == {"failed": 16}
    status = bench.status("three")
    (failure,) = failures(status, status.all_keys())
    assert len(failure.tasks) == 16 and failure.log.name == "pool.log"
    said = bench.command("failures", "three").stdout
    assert "fork server ended" in said and "pool.log:" in said and "module" in said
    assert (
        "Next step: find the cause in `neurofit logs three:0/0`; then neurofit submit three --retry" in said
    )


def test_an_earlier_exception_is_not_blamed_for_a_job_that_never_began(bench):
    bench.script("three", THREE_CAUSES)
    bench.run("three")
    bench.submit("three", bench.runner("bad", "backend: local\nsetup: [exit 3]\n"), retry=True)
    bench.wait("three")
    status = bench.status("three")
    (one,) = explained(status, status.all_keys())
    assert one.kind == "queue" and "fork server" in one.failure.message
    assert one.remedy.command == "neurofit submit three --backend bad --retry"


def test_values_that_done_tasks_often_have_are_no_explanation():
    done = [{"a": a, "b": b} for a in (1, 2) for b in (1, 2, 3, 4)]
    assert common_factors([{"a": 1, "b": 5}, {"a": 1, "b": 5}], done)[0].name == "b"
    assert len(common_factors([{"a": 1, "b": 5}, {"a": 1, "b": 5}], done)) == 1
    assert common_factors([{"a": 1, "b": 5}], done) == [] == common_factors([{"a": 9}] * 5, [])


def test_nine_in_ten_is_enough_and_eight_is_not():
    done = [{"host": f"gpu{n}"} for n in range(10)]
    assert common_factors([{"host": "gpu7"}] * 9 + [{"host": "gpu1"}], done)[0].failed == 9
    assert common_factors([{"host": "gpu7"}] * 8 + [{"host": "gpu1"}] * 2, done) == []


@pytest.mark.parametrize(
    ("error", "state", "command"),
    [
        (
            {"kind": "memory", "message": ""},
            State.FAILED,
            "neurofit submit e --backend q --retry --memory 23",
        ),
        (
            {"kind": "queue", "message": "it used more memory than it asked for on n7"},
            State.FAILED,
            "neurofit submit e --backend q --retry --memory 23",
        ),
        (
            {"kind": "queue", "message": "its time limit was over: raise resources.walltime_minutes"},
            State.FAILED,
            "neurofit submit e --backend q --retry --minutes 120",
        ),
        ({"kind": "queue", "message": DISK_FULL}, State.FAILED, "neurofit submit e --backend q --retry"),
        (
            {"kind": "queue", "message": "its node failed (n7)"},
            State.FAILED,
            "neurofit submit e --backend q --retry",
        ),
        ({"kind": "queue", "message": "its worker disappeared"}, State.LOST, "neurofit submit e --backend q"),
    ],
)
def test_each_cause_has_its_command(error, state, command):
    resources = ResourcesRecord(memory_gb=12, walltime_minutes=60)
    tasks = [(0, 0), (1, 0)]
    known = ErrorRecord(**error)
    found = remedy(
        "e", known, state, tasks, all_failed=2, repetitions=1, runner="q", resources=resources, peak_gb=15.2
    )
    assert found.command == command and ("free space" in found.first) == (error["message"] == DISK_FULL)


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        ("ResourceExhaustedError", "OOM when allocating tensor with shape[16,48,31,31] on /device:GPU:0"),
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB."),
        ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes."),
        ("InternalError", "Failed call to cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        ("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
@pytest.mark.parametrize(
    ("shared", "words"), [(1, "fix the error"), (3, "which was 3"), ("auto", "by which `auto`")]
)
def test_a_gpu_that_tasks_share_and_that_is_full_has_its_own_advice(type_, message, shared, words):
    error = ErrorRecord(kind="exception", type=type_, message=message)
    known = {"all_failed": 2, "repetitions": 1, "runner": "q", "resources": ResourcesRecord(), "peak_gb": 1.0}
    found = remedy("e", error, State.FAILED, [(0, 0), (1, 0)], **known, tasks_per_gpu=shared)
    assert words in found.first and found.command == "neurofit submit e --backend q --retry"
    other = ErrorRecord(kind="exception", type="ValueError", message="memory")
    assert "fix the error" in remedy("e", other, State.FAILED, [(0, 0)], **known, tasks_per_gpu=shared).first


def test_runs_as_a_selector():
    assert naming("e", [(1, 0), (4, 0), (5, 3), (6, 0)]) == "e:1,4-6"
    assert naming("e", [(run, 0) for run in range(0, 40, 2)]) == "e"


def test_a_submission_may_ask_for_other_resources_than_its_runner(bench):
    bench.script("three", THREE_CAUSES)
    bench.runner(text="backend: local\nworkers: 2\nresources: {cpus: 2, memory_gb: 3}\n")
    words = ("submit", "three:0", "--memory", "4.5", "--minutes", "30")
    assert ", runner local with 4.5 GB, 30 min\n" in bench.command(*words, "--dry-run").stdout
    assert bench.command(*words, "--cpus", "1").returncode == 0
    (part,) = bench.status("three").submissions
    wanted = part.record.resources
    assert (wanted.cpus, wanted.gpus, wanted.memory_gb, wanted.walltime_minutes) == (1, None, 4.5, 30)
    assert bench.command("submit", "three", "--memory", "0").returncode == 2
