"""GPU hours: a GPU that tasks share counts once."""

from __future__ import annotations

import pytest

from neurofit.report.costs import costs
from neurofit.store.journal import Journal
from neurofit.store.records import JournalLine, ResourcesRecord, TaskOutcome


def outcome(repetition: int, start: int, minutes: float) -> dict:
    record = TaskOutcome(
        run=0,
        repetition=repetition,
        attempt=1,
        state="done",
        started=f"2026-01-01T00:{start:02d}:00.000+00:00",
        wall_seconds=60 * minutes,
        cpu_seconds=60 * minutes,
    )
    return record.as_object()


SPANS = [(0, 30), (0, 30), (0, 30), (30, 20), (30, 10)]  # minutes: three at a time, then two, then one


@pytest.mark.parametrize(
    ("sharing", "gpu_hours"),
    [
        ({"tasks_per_gpu": 3, "tasks_at_a_time": 3}, 50 / 60),  # the job held its GPU for 50 minutes
        ({"tasks_per_gpu": "auto", "tasks_at_a_time": "auto"}, 50 / 60),
        ({"tasks_per_gpu": 3, "tasks_at_a_time": 1}, 50 / 60 / 3),  # of a pool whose jobs share the GPU
    ],
)
def test_what_a_job_held_is_counted_once(bench, sharing, gpu_hours):
    from msgspec.structs import replace

    from neurofit.orchestrate.plan import SubmitOptions, load, make
    from neurofit.orchestrate.submit import submission_record
    from neurofit.status.experiment_status import read_status
    from neurofit.store.layout import ExperimentFiles
    from neurofit.store.registry import register
    from neurofit.store.submissions import write_submission

    bench.script("one", "def fit(task): return {'m': 1}\nexperiment = nf.Experiment(fit, repetitions=5)\n")
    plan = make(bench.study, load(bench.study, "one"), SubmitOptions())
    files = ExperimentFiles(bench.study, "one")
    files.folder.mkdir(parents=True)
    register(files.registry, plan.status.registry, plan.registered())
    record = submission_record(plan, bench.runner(), [])
    record = replace(record, resources=ResourcesRecord(gpus=1), **sharing)
    submission = write_submission(files, "20260101-000000-queue-abcd", record, plan.jobs(None))
    journal = Journal(submission, 0)
    for number, (start, minutes) in enumerate(SPANS):
        journal.write(JournalLine(claim=(0, number), attempt=1))
        journal.copy_outcome(outcome(number, start, minutes))
    journal.close()
    (found,) = costs(read_status(bench.study, "one"), plan.keys())
    assert found.gpu_hours == pytest.approx(gpu_hours) and found.hours == pytest.approx(2.0)
