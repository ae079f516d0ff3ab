"""Trials that end early, through the real worker: what they decide on, what is recorded, and what counts."""

from __future__ import annotations

import os

import pytest

import neurofit as nf
from neurofit.errors import UsageError
from neurofit.experiments.grid.search import Search
from neurofit.status.experiment_status import read_status
from neurofit.store.layout import AttemptFiles, TaskFiles
from neurofit.suggestions.trial import KnownTrial
from neurofit.tables.best import best_of
from neurofit.tables.comparison import by_run
from neurofit.tables.notes import notes
from neurofit.tables.rows import read_rows
from neurofit.worker.pruning import Feed, Pruning, Teller
from neurofit.worker.task_context import TaskContext

GROWING = """
    def fit(task, quality, epochs=27):
        for epoch in range(1, epochs + 1):
            value = quality * (1 - 0.9 ** epoch)
            task.log(epoch, **{"validation/correlation": value})
            if task.should_prune():
                break
        return {"validation/correlation": value}

    experiment = nf.Experiment(
        fit,
        nf.search(quality=nf.uniform(0, 1), trials=24, metric="validation/correlation", pruner="hyperband",
                  sampler="random"),
        repetitions=2,
    )
    """


def search(pruner: str | None = "median", metric: str = "score") -> Search:
    found = nf.search(x=nf.uniform(0, 1), trials=10, metric=metric, pruner=pruner).search
    assert found is not None
    return found


def known(number: int, last: float, state: str = "done", steps: int = 10) -> KnownTrial:
    values = {step: last * step / steps for step in range(1, steps + 1)}
    return KnownTrial(number, state, {"x": 0.5}, last if state == "done" else None, values)


@pytest.mark.process
def test_hyperband_ends_trials_early_and_what_they_got_to_does_not_count(bench):
    name = bench.script("growing", GROWING)
    assert bench.run(name) == {"done": 48}
    rows = read_rows(read_status(bench.study, name))
    pruned = {row["run"] for row in rows if "pruned_at" in row["facts"]}
    assert len(pruned) >= 12
    for row in rows:
        if row["run"] not in pruned:
            assert row["metrics"]["validation/correlation"] == pytest.approx(
                row["params"]["quality"] * (1 - 0.9**27)
            )
        elif row["repetition"] == 0:
            assert 1 <= row["facts"]["pruned_at"] < 27 and row["metrics"]
        else:
            assert row["facts"]["pruned_at"] < 27 and row["metrics"] == {}, "it was not started"
    best = max(rows, key=lambda row: row["params"]["quality"])
    assert best["run"] not in pruned
    assert best_of(rows, name, "max:validation/correlation").run == best["run"]
    table = by_run(rows).set_index("run")
    assert (table.loc[sorted(pruned), "repetitions"] == 0).all() and (table["missing"] == 0).all()
    assert table.loc[sorted(pruned), "validation/correlation mean"].isna().all()
    assert table.loc[sorted(pruned), "pruned"].tolist() == [2] * len(pruned)
    said = f"{2 * len(pruned)} of 48 tasks were ended early by the search (pruned_at) and left out of means."
    assert said in notes(rows)
    listed = bench.command("results", name, "--format", "csv").stdout.splitlines()
    assert f",{best['id'][:8]}" in listed[1] or best["id"] in listed[1], "the best trial is listed first"
    assert not bench.submit(name), "nothing is left to do"


@pytest.mark.process
def test_a_program_is_ended_early_by_what_it_prints(bench):
    (bench.root / "program.py").write_text(
        "import sys, time\n"
        "for step in range(1, 21):\n"
        "    print('step', step, 'score', float(sys.argv[1]) * step, flush=True)\n"
        "    time.sleep(0.02)\n"
        "print('score', sys.argv[1])\n"
    )
    bench.script(
        "program",
        r"""
        fit = nf.Command(
            ["python", "program.py", "{quality}"], code=["program.py"],
            progress=r"step (?P<step>\d+) score (?P<score>\S+)", pattern=r"^score (?P<score>\S+)",
        )
        grid = nf.search(
            quality=nf.uniform(-1, 1), trials=16, metric="score", pruner="median", sampler="qmc", at_once=1
        )
        experiment = nf.Experiment(fit, grid)
        """,
    )
    bench.run("program")
    rows = read_rows(read_status(bench.study, "program"))
    assert {row["state"] for row in rows} == {"done"}
    pruned = [row for row in rows if "pruned_at" in row["facts"]]
    assert len(pruned) >= 3 and len(rows) - len(pruned) >= 5, (
        "points that are spread evenly lie on both sides"
    )
    for row in rows:
        steps = row["facts"].get("pruned_at", 1)  # the last line has the score of a single step
        assert row["metrics"]["score"] == pytest.approx(row["params"]["quality"] * steps)


@pytest.mark.parametrize("python", ["has memfd_create", "has none"])
def test_a_trial_hears_of_what_others_have_got_to_since_it_started(monkeypatch, python):
    if python == "has none":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    feed = Feed([known(number, 1.0, "open", steps=2) for number in range(5)])
    trial = Pruning(search(), "group", 9, [known(number, 1.0, "open", steps=2) for number in range(5)], feed)
    trial.note(1, {"score": 0.0})
    assert not trial.should_prune(), "no other trial is done"
    feed.tell([known(number, 1.0) for number in range(5)])
    assert not trial.should_prune(), "nothing was logged since"
    trial.note(2, {"score": 0.0, "other": 9.0})
    assert trial.should_prune() and trial.pruned_at == 2
    trial.note(3, {"score": 99.0})
    assert trial.should_prune() and trial.pruned_at == 2, "what is decided stays"


@pytest.mark.process
def test_what_is_told_reaches_a_forked_process_in_order_and_once():
    feed = Feed([])
    read, write = os.pipe()
    feed.tell([known(3, 0.5, "open", steps=4)])
    if (pid := os.fork()) == 0:
        os.read(read, 1)  # both were told by now
        news = [(one.number, one.state, one.value, len(one.steps)) for one in feed.news()]
        again = feed.news()
        right = news == [(3, "open", None, 4), (3, "done", 1.5, 6), (4, "failed", None, 0)] and not again
        os._exit(0 if right else 1)
    feed.tell([known(3, 0.5, "open", steps=4)])  # nothing is new
    later = KnownTrial(
        3, "done", {}, 1.5, {**known(3, 0.5, steps=4).steps, **dict.fromkeys(range(5, 11), 1.0)}
    )
    feed.tell([later, KnownTrial(4, "failed", {"x": 1})])
    os.write(write, b".")
    assert os.waitpid(pid, 0)[1] == 0
    for descriptor in (read, write):
        os.close(descriptor)
    feed.close()


@pytest.mark.process
def test_a_worker_of_many_trials_keeps_no_descriptor_of_them(bench):
    name = bench.script(
        "many",
        """
        import os

        def fit(task, x):
            task.log(1, score=x)
            task.should_prune()
            return {"score": x, "descriptors": len(os.listdir("/proc/self/fd"))}

        experiment = nf.Experiment(
            fit, nf.search(x=nf.uniform(0, 1), trials=12, metric="score", pruner="median", sampler="random")
        )
        """,
    )
    bench.submit(name, bench.runner(text="backend: local\nworkers: 1\n"))
    bench.wait(name)
    open_files = [row["metrics"]["descriptors"] for row in read_rows(read_status(bench.study, name))]
    assert len(open_files) == 12 and max(open_files) - min(open_files) <= 1


def test_a_worker_looks_rarely_if_looking_takes_long(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("neurofit.worker.pruning.time.monotonic", lambda: clock[0])
    looks: list[float] = []

    def look() -> list[KnownTrial]:
        looks.append(clock[0])
        clock[0] += 2.0
        if len(looks) == 2:
            raise OSError("the storage is away")
        return []

    teller = Teller(Feed([]), look)
    for second in range(100):
        clock[0] = max(clock[0], float(second))
        teller.tell_if_due()
    assert looks == [3.0, 45.0, 87.0]


def context(folder, pruning: Pruning | None) -> TaskContext:
    attempt = AttemptFiles(folder / "attempt-01")
    attempt.folder.mkdir(parents=True, exist_ok=True)
    return TaskContext({}, 0, 1, None, folder, TaskFiles(folder), attempt, pruning=pruning)


def test_a_task_that_goes_on_knows_the_steps_of_the_attempt_before(tmp_path):
    others = [known(number, 10.0) for number in range(5)]
    first = context(tmp_path, Pruning(search(), "group", 7, others, Feed(others)))
    first.log(1, score=50.0)
    with first.save_checkpoint(1) as folder:
        (folder / "weights").write_text("")
    first.log(2, score=0.0)
    first.close()
    second = context(tmp_path, Pruning(search(), "group", 7, others, Feed(others)))
    second.attempt = AttemptFiles(tmp_path / "attempt-02")
    second.attempt.folder.mkdir()
    second = TaskContext(
        {}, 0, 1, None, tmp_path, TaskFiles(tmp_path), second.attempt, pruning=second.pruning
    )
    second.resume(second.checkpoints[0])
    second.log(2, score=0.0)
    assert not second.should_prune(), "its best value, at step 1, is above the median"
    third = context(tmp_path / "other", Pruning(search(), "group", 8, others, Feed(others)))
    third.log(2, score=0.0)
    assert third.should_prune() and third.facts["pruned_at"] == 2


def test_a_task_without_a_search_never_ends_early(tmp_path):
    task = context(tmp_path, None)
    task.log(1, score=-1e9)
    assert not task.should_prune() and task.facts == {}
    with pytest.raises(UsageError, match="expected a number"):
        task.log(2, score="x")
