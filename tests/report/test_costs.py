"""GPU hours: a GPU that tasks share counts once."""

from __future__ import annotations

import pytest

from neurofit.overlap import MANY, overlapped
from neurofit.report import costs as costs_of
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


def submitted(bench, repetitions: int, tasks_per_job: int | None, **sharing):
    """A submission whose jobs hold a GPU, and its plan."""
    from msgspec.structs import replace

    from neurofit.orchestrate.plan import SubmitOptions, load, make
    from neurofit.orchestrate.submit import submission_record
    from neurofit.store.layout import ExperimentFiles
    from neurofit.store.registry import register
    from neurofit.store.submissions import write_submission

    bench.script(
        "one",
        f"def fit(task): return {{'m': 1}}\nexperiment = nf.Experiment(fit, repetitions={repetitions})\n",
    )
    plan = make(bench.study, load(bench.study, "one"), SubmitOptions())
    files = ExperimentFiles(bench.study, "one")
    files.folder.mkdir(parents=True)
    register(files.registry, plan.status.registry, plan.registered())
    record = submission_record(plan, bench.runner(), [])
    record = replace(record, resources=ResourcesRecord(gpus=1), **sharing)
    jobs = plan.jobs(tasks_per_job)
    return write_submission(files, "20260101-000000-queue-abcd", record, jobs), plan


def end(submission, job: int, spans: dict[int, tuple[int, float]]) -> None:
    """Write the journal of a job. By repetition: the minute at which it started, and how many it took."""
    journal = Journal(submission, job)
    for number, (start, minutes) in spans.items():
        journal.write(JournalLine(claim=(0, number), attempt=1))
        journal.copy_outcome(outcome(number, start, minutes))
    journal.close()


@pytest.mark.parametrize(
    ("sharing", "gpu_hours"),
    [
        ({"tasks_per_gpu": 3, "tasks_at_a_time": 3}, 50 / 60),  # the job held its GPU for 50 minutes
        ({"tasks_per_gpu": "auto", "tasks_at_a_time": "auto"}, 50 / 60),
        ({"tasks_per_gpu": 3, "tasks_at_a_time": 1}, 50 / 60 / 3),  # of a pool whose jobs share the GPU
    ],
)
def test_what_a_job_held_is_counted_once(bench, sharing, gpu_hours):
    submission, plan = submitted(bench, 5, None, **sharing)
    end(submission, 0, dict(enumerate(SPANS)))
    (found,) = costs(bench.status("one"), plan.keys())
    assert found.gpu_hours == pytest.approx(gpu_hours) and found.hours == pytest.approx(2.0)


@pytest.mark.parametrize("slow", [0.0, 1e9])
def test_costs_do_not_depend_on_how_quick_the_file_system_is(bench, monkeypatch, slow):
    submission, plan = submitted(bench, 60, 1)
    for number in range(60):
        end(submission, number, {number: (0, number)})
    monkeypatch.setattr(
        costs_of, "overlapped", lambda ask, about, most=MANY: overlapped(ask, about, most, slow=slow)
    )
    (found,) = costs(bench.status("one"), plan.keys())
    assert found.attempts == 60 and found.hours == pytest.approx(sum(range(60)) / 60) == found.gpu_hours
