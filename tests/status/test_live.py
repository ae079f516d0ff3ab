"""Tasks while they run: how far they are, and the time that is left before any of them is done."""

from __future__ import annotations

import io

from hypothesis import given, strategies as st
from rich.console import Console, Group

from neurofit.cli.progress import _rows_of_tasks
from neurofit.status.live import AtWork, Pace, look
from neurofit.status.watch import Watch, until_over
from neurofit.store.layout import AttemptFiles

SCRIPT = """
    import time

    def fit(task, *, lr=0.1, epochs=40):
        for epoch in range(1, 31):
            task.log(epoch, **{"train/loss": 0.5, "validation/loss": 0.25})
        while not (task.study / "go").exists():
            time.sleep(0.02)
        return {"validation/loss": lr}

    experiment = nf.Experiment(fit, nf.grid(lr=[1, 2]), repetitions=2)
"""


def test_a_running_task_shows_its_epoch_of_all_and_the_metric_that_decides(bench):
    bench.script("slow", SCRIPT)
    bench.submit("slow")
    watch = Watch(bench.study, "slow", details=True)
    for (looked,) in until_over([watch], 60):
        if len(looked.at_work) == 2 and all(task.step == 30 for task in looked.at_work):
            break
    (bench.root / "go").touch()
    task = looked.at_work[0]
    assert task.said == "epoch 30/40  validation/loss 0.25  train/loss 0.5"
    assert looked.rate is None, "no task is done"
    assert looked.left_seconds is not None
    assert looked.left_seconds > 0
    bench.wait("slow")


def test_a_step_beyond_the_last_is_of_no_known_number(tmp_path):
    attempt = AttemptFiles(tmp_path / "attempt-01")
    attempt.folder.mkdir()
    attempt.history.write_text("step,train/loss,note,val_loss\n350,0.5,3,0.123456\n")
    assert look((0, 0), attempt, {"epochs": 20}).said == "step 350  val_loss 0.1235  train/loss 0.5  note 3"
    assert look((0, 0), attempt, {"steps": 400}).said.startswith("step 350/400  ")
    assert look((0, 0), attempt, {"epochs": None, "max_steps": True}).said.startswith("step 350  ")


def of(step, seconds=10.0, total=100.0, attempt=1, key=(0, 0)) -> AtWork:
    return AtWork(key, attempt, seconds, step, total)


def test_the_time_left_counts_those_that_wait():
    assert Pace().left_seconds([of(50)], running=1, queued=0, now=0) == 10
    assert Pace().left_seconds([of(50)], running=1, queued=2, now=0) == 10 + 2 * 20
    two = [of(50), of(50, key=(1, 0))]
    assert Pace().left_seconds(two, running=2, queued=2, now=0) == 10 + 20


def test_a_task_that_resumed_is_judged_by_what_it_did_since_it_was_first_seen():
    pace = Pace()
    assert pace.left_seconds([of(80, seconds=1, attempt=2)], 1, 0, now=0) is None
    assert pace.left_seconds([of(90, seconds=6, attempt=2)], 1, 0, now=5) == 5


def test_a_task_that_says_no_number_of_steps_has_no_time_left():
    assert Pace().left_seconds([of(5, total=None), of(None)], 2, 0, now=0) is None
    assert Pace().left_seconds([of(101)], 1, 0, now=0) is None


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 1e6)), max_size=4),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_the_time_left_is_never_negative(tasks, running, queued):
    at_work = [of(step, seconds, total, key=(i, 0)) for i, (step, seconds, total) in enumerate(tasks)]
    left = Pace().left_seconds(at_work, running, queued, now=1)
    assert left is None or left >= 0


class _Status:
    name = "a/group/with/a/rather/long/experiment"


class _Watched:
    status = _Status()
    at_work = (AtWork((17, 3), 1, 62.0, 4.0, 20.0, "epoch", (("validation/loss", "0.25"),)),)


@given(st.integers(12, 200))
def test_a_row_begins_with_run_and_repetition_whatever_the_width(width):
    stream = io.StringIO()
    console = Console(width=width, file=stream, height=20)
    console.print(Group(*_rows_of_tasks(_Watched(), console)))
    (line,) = stream.getvalue().splitlines()
    assert "17/3" in line
    assert len(line) <= width
    if width > 50:
        assert "epoch 4/20  validation/loss 0.25" in line


QUICK_THEN_SLOW = """
    import time

    def fit(task, *, x=0, epochs=100):
        task.log(50, loss=0.5)
        while x and not (task.study / "go").exists():
            time.sleep(0.02)
        return {"loss": x}

    experiment = nf.Experiment(fit, nf.grid(x=[0, 1, 2]))
"""


def test_one_task_that_ended_does_not_say_more_than_the_epochs_of_those_that_run(bench):
    bench.script("mixed", QUICK_THEN_SLOW)
    watch = Watch(bench.study, "mixed", details=True)
    bench.submit("mixed")
    watch.read()
    for (looked,) in until_over([watch], 60):
        if looked.ended == 1 and len([task for task in looked.at_work if task.step == 50]) == 2:
            break
    pace = Pace()
    expected = pace.left_seconds(looked.at_work, 2, 0, now=0)
    (bench.root / "go").touch()
    assert looked.left_seconds == expected, "half of the steps are left: as long as they have run"
    bench.wait("mixed")
