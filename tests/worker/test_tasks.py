"""What becomes of a task: every way in which its process can end, told apart in the outcome."""

from __future__ import annotations

import os
import signal
import time

import pytest


def only(bench, name: str) -> dict:
    (record,) = bench.outcomes(name)
    return record


def test_a_fit_that_returns_numbers_is_done_and_its_record_says_all_about_it(bench):
    bench.script(
        "one",
        """
        def fit(task, *, a=1, b=2):
            task.record(stop_reason="enough")
            task.log(3, loss=0.5)
            return {"test/score": a + b}
        experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[5]), repetitions=1)
    """,
    )
    assert bench.run("one") == {"done": 1}
    record = only(bench, "one")
    assert record["metrics"] == {"test/score": 7}
    assert record["params"] == {"a": 5} and record["defaults"] == {"b": 2}
    assert record["facts"] == {"stop_reason": "enough"} and record["progress"] == 3
    assert record["peak_memory_gb"] > 0 and record["code"] and record["versions"]["python"]
    folder = bench.study.training_data / "one" / record["log"]
    assert (folder / "history.csv").read_text() == "step,loss\n3,0.5\n"


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("raise ValueError('no such filter')", "exception", "no such filter"),
        ("import sys; sys.exit('bye')", "exception", "bye"),
        ("import os; os._exit(3)", "exit", "exited with status 3"),
        ("import os; os.abort()", "signal", "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal", "SIGKILL"),
        ("raise MemoryError", "memory", "MemoryError"),
        ("pass", "metrics", "returned None"),
        ("return {}", "metrics", "empty dict"),
        ("return {'r': float('nan')}", "metrics", "'r' is nan"),
        ("return {'r': 'high'}", "metrics", "'r' is str 'high'"),
        ("return {'r': [1, 2]}", "metrics", "'r' is list"),
        ("return 3", "metrics", "returned int"),
        ("task.record(x={1, 2})", "exception", "JSON cannot hold"),
        ("task.log(1, loss='low')", "exception", "expected a number"),
    ],
)
def test_every_bad_end_is_distinguished(bench, body, kind, words):
    bench.script("bad", f"def fit(task):\n    {body}\nexperiment = nf.Experiment(fit=fit)\n")
    assert bench.run("bad") == {"failed": 1}
    error = only(bench, "bad")["error"]
    assert error["kind"] == kind
    assert words in error["message"]


MUTE = """
class Mute(ValueError):
    def __str__(self): raise RuntimeError("no words")
    __repr__ = __str__
"""


@pytest.mark.parametrize(
    ("body", "type_", "words"),
    [
        ("raise Mute()", "Mute", "__str__ raises"),
        ("raise RuntimeError('outer') from Mute()", "RuntimeError", "outer"),
        ("return {'x': Mute()}", "BadMetrics", "Metric 'x' is Mute"),
        ("return {Mute(): 1}", "BadMetrics", "named Mute"),
        ("return Mute()", "BadMetrics", "returned Mute"),
        ("task.log(1, loss=Mute())", "UsageError", "'loss' is Mute"),
    ],
)
def test_an_exception_whose_text_cannot_be_made_keeps_its_type(bench, body, type_, words):
    bench.script("mute", MUTE + f"def fit(task):\n    {body}\nexperiment = nf.Experiment(fit)\n")
    assert bench.command("run", "mute").returncode == 3
    error = only(bench, "mute")["error"]
    assert error["type"] == type_ and words in error["message"]


def test_an_exception_names_the_users_own_line(bench):
    bench.script(
        "deep",
        """
        import json
        def inner():
            return json.loads("{")
        def fit(task):
            return inner()
        experiment = nf.Experiment(fit=fit)
    """,
    )
    bench.run("deep")
    error = only(bench, "deep")["error"]
    last = error["frames"][-1]
    assert (last["file"], last["function"], last["code"]) == (
        "jobs/deep.py",
        "inner",
        'return json.loads("{")',
    )
    assert "json/decoder.py" in error["traceback"]
    assert "neurofit/" not in error["traceback"], "it begins where the user's code does"


def test_output_is_captured_at_descriptor_level_with_programs_and_libraries(bench):
    bench.script(
        "loud",
        """
        import os, subprocess, sys, ctypes
        def fit(task):
            print("from print")
            os.write(1, b"from a descriptor\\n")
            subprocess.run(["echo", "from a program"])
            libc = ctypes.CDLL(None); libc.puts(b"from C"); libc.fflush(None)
            print("to stderr", file=sys.stderr)
            return {"x": 1}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    bench.run("loud")
    folder = bench.study.training_data / "loud" / only(bench, "loud")["log"]
    assert (folder / "stdout.log").read_text().splitlines() == [
        "from print",
        "from a descriptor",
        "from a program",
        "from C",
    ]
    assert (folder / "stderr.log").read_text() == "to stderr\n"


def test_arguments_of_every_kind_arrive_unharmed(bench):
    odd = [
        'it\'s "quoted"',
        "two\nlines\ttab",
        "$(touch /tmp/never)`x`;&",
        "näïve ☃ 日本",
        "x" * 100_000,
        "\udcff",
        "",
    ]
    bench.script(
        "odd",
        f"""
        def fit(task, *, text="", nested=None):
            import hashlib
            assert isinstance(text, str)
            print(ascii(text))
            return {{"length": len(text), "same": int(text == {odd!r}[task.params["index"]])}}
        def outer(task):
            return fit(task, text=task.params["text"])
        texts = nf.grid(text={odd!r}).derive(index=lambda text: {odd!r}.index(text))
        experiment = nf.Experiment(fit=outer, grid=texts)
    """,
    )
    assert bench.run("odd") == {"done": len(odd)}
    assert all(record["metrics"]["same"] == 1 for record in bench.outcomes("odd"))
    assert not os.path.exists("/tmp/never")


def test_repetitions_seed_the_global_generators_equally_in_every_run(bench):
    bench.script(
        "draw",
        """
        import random
        def fit(task, *, a=1):
            return {"draw": random.random()}
        experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2]), repetitions=2)
    """,
    )
    bench.run("draw")
    draws = {(r["run"], r["repetition"]): r["metrics"]["draw"] for r in bench.outcomes("draw")}
    assert draws[0, 0] == draws[1, 0] != draws[0, 1] == draws[1, 1]


def test_a_task_over_its_minutes_fails_with_its_checkpoint_kept(bench):
    bench.script(
        "slow",
        """
        import time
        def fit(task):
            with task.save_checkpoint(1) as folder:
                (folder / "here").write_text("x")
            for step in range(1000):
                if task.should_stop():
                    task.stop(step)
                time.sleep(0.05)
            return {"x": 1}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    bench.submit("slow", bench.runner(text="backend: local\nworkers: 1\ntask_minutes: 0.02\n"))
    assert bench.wait("slow") == {"failed": 1}
    record = only(bench, "slow")
    assert record["error"]["kind"] == "timeout" and "task_minutes (0.02)" in record["error"]["message"]
    run = next((bench.study.training_data / "slow" / "runs").iterdir())
    assert (run / "rep-00" / "checkpoint" / "000001" / "here").exists()


def test_a_task_over_its_memory_is_ended_and_says_so(bench):
    bench.script(
        "fat",
        """
        import time
        def fit(task):
            block = bytearray(300 * 2**20)
            time.sleep(30)
            return {"x": len(block)}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    bench.submit("fat", bench.runner(text="backend: local\nworkers: 1\nresources: {memory_gb: 0.2}\n"))
    assert bench.wait("fat") == {"failed": 1}
    error = only(bench, "fat")["error"]
    assert error["kind"] == "memory" and "more than resources.memory_gb (0.2)" in error["message"]


def test_what_a_killed_task_had_started_dies_with_it(bench, tmp_path):
    bench.script(
        "parent",
        f"""
        import os, signal, subprocess
        def fit(task):
            program = subprocess.Popen(["sleep", "1000"])
            open({str(tmp_path / "pid")!r}, "w").write(str(program.pid))
            os.kill(os.getpid(), signal.SIGKILL)
        experiment = nf.Experiment(fit=fit)
    """,
    )
    assert bench.run("parent") == {"failed": 1}
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _is_running(pid):
        time.sleep(0.02)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


GROUP = """
    import os, signal
    class Together:
        def __call__(self, task):
            print("alone", task.repetition)
            return {"x": task.repetition}
        def arguments(self):
            return {"crash": False}
        def together(self, tasks):
            print("together", len(tasks))
            if tasks[0].params["crash"]:
                os.kill(os.getpid(), signal.SIGKILL)
            return [{"x": 10 + task.repetition} for task in tasks]
    experiment = nf.Experiment(fit=Together(), grid=nf.grid(crash=[%s]), repetitions=3)
"""


def test_repetitions_are_offered_together_and_share_a_log(bench):
    bench.script("group", GROUP % "False")
    assert bench.run("group") == {"done": 3}
    records = bench.outcomes("group")
    assert [record["metrics"]["x"] for record in records] == [10, 11, 12]
    assert len({record["log"] for record in records}) == 1


def test_members_of_a_group_that_crashed_are_tried_alone(bench):
    bench.script("group", GROUP % "True")
    assert bench.run("group") == {"done": 3}
    records = bench.outcomes("group")
    assert [(record["metrics"]["x"], record["attempt"]) for record in records] == [(0, 2), (1, 2), (2, 2)]


def test_a_script_that_cannot_be_loaded_where_it_runs_fails_its_tasks_with_the_reason(bench, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    bench.script(
        "fragile",
        f"""
        import os
        if not os.path.exists({str(flag)!r}):
            raise RuntimeError("the licence server is away")
        def fit(task):
            return {{"x": 1}}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    from neurofit.orchestrate.plan import SubmitOptions, load, make
    from neurofit.orchestrate.submit import submit

    plan = make(bench.study, load(bench.study, "fragile"), SubmitOptions())
    flag.unlink()
    submit(plan, bench.runner())
    assert bench.wait("fragile") == {"failed": 1}
    assert "the licence server is away" in only(bench, "fragile")["error"]["message"]


def test_a_fit_that_never_asks_is_stopped_where_it_stands(bench):
    bench.script(
        "deaf",
        """
        import time
        def fit(task):
            time.sleep(60)
            return {"x": 1}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    submitted = bench.submit("deaf")
    bench.wait("deaf", until=lambda counts: counts["running"] == 1)
    os.kill(int(submitted.ids[0]), signal.SIGTERM)
    assert bench.wait("deaf", seconds=10) == {"stopped": 1}


@pytest.mark.parametrize(
    ("body", "state", "words"),
    [
        ("task.log(np.int64(3), loss=1)", "done", None),
        ("task.stop(np.int64(3))", "stopped", None),
        ("with task.save_checkpoint(np.int64(3)): pass", "done", None),
        ("with task.save_checkpoint(3.0): pass", "done", None),
        ("with task.save_checkpoint(0.5): pass", "failed", "checkpoint is 0.5, expected an integer"),
        ("return {'x': 10**305}", "failed", "'x' is too large"),
        ("task.log('three', loss=1)", "failed", "The step is str 'three'"),
        ("facts = [1]; task.record(facts=facts); facts.append(float('nan'))", "done", None),
        ("sys.stdout.close(); sys.stderr.close()", "done", None),
        ("sys.stdout = sys.stderr = None", "done", None),
        ("sys.stdout.close(); sys.stderr.close(); raise ValueError('closed')", "failed", "closed"),
        ("os.closerange(0, 200)", "done", None),
        ("os.chdir('/'); os.umask(0o777)", "done", None),
        ("os.write(1, bytes(range(256))); print('\\udcff')", "done", None),
        ("subprocess.Popen(['sleep', '5'], start_new_session=True)", "done", None),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "done", None),
        ("if not os.fork(): raise ValueError('in what it forked')\n    time.sleep(0.3)", "done", None),
        ("if not os.fork(): return {'x': 2}\n    time.sleep(0.3)", "done", None),
    ],
)
def test_whatever_a_fit_does_to_its_process_its_outcome_is_its_own(bench, body, state, words):
    script = f"""
import os, signal, subprocess, sys, time
import numpy as np
def fit(task):
    {body}
    return {{'x': 1}}
experiment = nf.Experiment(fit=fit)
"""
    bench.script("odd", script)
    assert bench.run("odd") == {state: 1}
    record = only(bench, "odd")
    assert record["attempt"] == 1
    assert record["metrics"] == ({"x": 1} if state == "done" else {})
    assert words is None or words in record["error"]["message"]


def test_a_stop_that_comes_while_the_outcome_is_written_comes_too_late(bench):
    bench.script(
        "late",
        """
        import os, signal
        from neurofit.worker import child
        publish = child.publish
        def stopped_while_publishing(*arguments, **options):
            os.kill(os.getpid(), signal.SIGTERM)
            return publish(*arguments, **options)
        child.publish = stopped_while_publishing
        def fit(task):
            return {"x": 1}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    assert bench.run("late") == {"done": 1}


def test_files_that_checkpoints_keep_may_lie_in_folders(bench):
    bench.script(
        "events",
        """
        def fit(task):
            task.keep("events/*")
            for folder in task.checkpoints[:1]:
                task.resume(folder)
                return {"kept": int((task.folder / "events" / "a").read_text() == "before")}
            (task.folder / "events").mkdir()
            (task.folder / "events" / "a").write_text("before")
            with task.save_checkpoint(1):
                pass
            (task.folder / "events" / "a").write_text("before and after")
            task.stop()
        experiment = nf.Experiment(fit=fit)
    """,
    )
    assert bench.run("events") == {"stopped": 1}
    assert bench.run("events") == {"done": 1}
    assert only(bench, "events")["metrics"] == {"kept": 1}


STEPS = """
    import time
    def fit(task):
        first = 0
        for folder in task.checkpoints[:1]:
            first = int((folder / "step").read_text())
            task.resume(folder)
        print(first)
        for step in range(first, 1000):
            if step == {until} or task.should_stop():
                task.stop(step)
            with task.save_checkpoint(step) as folder:
                (folder / "step").write_text(str(step))
        return {{"x": 1}}
    experiment = nf.Experiment(fit=fit)
"""


def first_steps(bench, name: str) -> list[int]:
    """Where each attempt at the only task began."""
    return [
        int(path.read_text())
        for path in sorted(bench.study.training_data.glob(f"{name}/runs/*/*/*/stdout.log"))
    ]


def test_a_rerun_starts_from_scratch_and_is_gone_on_with_from_its_own_checkpoint(bench):
    bench.script("steps", STEPS.format(until=30))
    assert bench.run("steps") == {"stopped": 1}
    bench.script("steps", STEPS.format(until=10))
    assert bench.run("steps", rerun=True) == {"stopped": 1}
    assert bench.run("steps") == {"stopped": 1}
    assert first_steps(bench, "steps") == [0, 0, 9]


def test_a_rerun_that_left_no_checkpoint_leaves_none_of_before_either(bench):
    bench.script("steps", STEPS.format(until=30))
    bench.run("steps")
    bench.script("steps", STEPS.format(until=0))
    bench.run("steps", rerun=True)
    bench.run("steps")
    assert first_steps(bench, "steps") == [0, 0, 0]


def test_a_retry_goes_on_from_the_checkpoint_of_what_failed(bench):
    bench.script("steps", STEPS.replace("task.stop(step)", "raise ValueError").format(until=30))
    assert bench.run("steps") == {"failed": 1}
    bench.script("steps", STEPS.format(until=40))
    assert bench.run("steps", retry=True) == {"stopped": 1}
    assert first_steps(bench, "steps") == [0, 29]


WALLTIME = "backend: local\nworkers: 1\nresources: {walltime_minutes: 0.02}\n"


def test_a_job_over_its_walltime_goes_on_from_its_checkpoint(bench):
    slowly = STEPS.replace("with task", "time.sleep(0.05)\n            with task").replace("1000", "50")
    bench.script("long", slowly.format(until=-1))
    bench.submit("long", bench.runner(text=WALLTIME))
    assert bench.wait("long") == {"done": 1}
    assert (
        sorted(first_steps(bench, "long")) == first_steps(bench, "long")
        and only(bench, "long")["attempt"] > 1
    )


def test_a_job_that_its_walltime_brings_no_further_is_not_started_endlessly(bench):
    bench.script(
        "long",
        """
        import time
        def fit(task):
            time.sleep(60)
            return {"x": 1}
        experiment = nf.Experiment(fit=fit, repetitions=2)
    """,
    )
    bench.submit("long", bench.runner(text=WALLTIME))
    assert bench.wait("long", seconds=15) == {"stopped": 1, "new": 1}
    assert (
        "resources.walltime_minutes"
        in next(bench.study.training_data.glob("long/*/*/logs/pool.log")).read_text()
    )


def test_an_exception_whose_message_cannot_be_read_keeps_its_type(bench):
    bench.script(
        "mute",
        """
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no words")
            __repr__ = __str__
        def fit(task):
            raise Mute
        experiment = nf.Experiment(fit=fit)
    """,
    )
    assert bench.run("mute") == {"failed": 1}
    error = only(bench, "mute")["error"]
    assert (error["kind"], error["type"]) == ("exception", "Mute")
    assert error["message"] and error["frames"][-1]["function"] == "fit"


def test_the_version_of_a_library_may_be_text_of_a_class_of_its_own(bench):
    """As that of PyTorch."""
    bench.script(
        "versions",
        """
        import sys, types
        class Version(str):
            pass
        def fit(task):
            sys.modules["torch"] = types.ModuleType("torch")
            sys.modules["torch"].__version__ = Version("2.9.1")
            return {"m": 1}
        experiment = nf.Experiment(fit=fit)
        """,
    )
    assert bench.run("versions") == {"done": 1}
    assert bench.outcomes("versions")[0]["versions"]["torch"] == "2.9.1"
