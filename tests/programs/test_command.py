"""Real programs as fits, in real pools."""

from __future__ import annotations

import os
import signal
import textwrap
import time

import pytest

from neurofit.errors import GridError, StudyError
from neurofit.files import read_json
from neurofit.process import Process
from neurofit.programs.command import Command

TRAIN = """
import argparse, json, os, pathlib, signal, sys, time
from lib.model import loss

options = argparse.ArgumentParser()
for name in ("--lr", "--steps", "--pause"):
    options.add_argument(name, type=float)
for name in ("--seed", "--out", "--keep", "--note"):
    options.add_argument(name)
given = options.parse_args()
state = pathlib.Path(given.keep, "state.json")
step = first = json.loads(state.read_text())["step"] if state.exists() else 0
asked = []
signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
while step < given.steps:
    step += 1
    print(f"step {step} loss {loss(given.lr, step)}", flush=True)
    state.with_suffix(".new").write_text(json.dumps({"step": step}))
    state.with_suffix(".new").replace(state)
    if asked:
        sys.exit(1)
    time.sleep(given.pause)
metrics = {"loss": loss(given.lr, step), "first": first, "note": len(given.note)}
pathlib.Path(given.out, "metrics.json").write_text(json.dumps(metrics))
"""
NOTE = 'it\'s "quoted", $(not run); {a}'
MODEL = "def loss(lr, step):\n    return lr / step\n"
SCRIPT = """
    experiment = nf.Experiment(
        fit=nf.Command(
            "python train.py --lr {{lr}} --seed {{seeds.init}} --out {{folder}} --keep {{persistent}} "
            "--steps {{steps}} --pause {{pause}} --note {{note}}",
            metrics="metrics.json",
            code=["train.py", "lib/"],
            defaults={{"steps": 3, "pause": 0.0, "note": "it's \\"quoted\\", $(not run); {{a}}"}},
            progress=r"step (?P<step>\\d+) loss (?P<loss>\\S+)",
        ),
        grid=nf.grid({axes}),
        repetitions={repetitions},
    )
"""


@pytest.fixture
def trains(bench):
    """Writes the program and an experiment of it."""
    (bench.root / "lib").mkdir()
    (bench.root / "lib" / "model.py").write_text(MODEL)
    (bench.root / "train.py").write_text(TRAIN)

    def write(axes: str = "lr=[0.1]", repetitions: int = 1) -> str:
        return bench.script("train", SCRIPT.format(axes=axes, repetitions=repetitions))

    return write


@pytest.fixture
def program(bench):
    """Writes an experiment of a Python program of a few lines; `metrics.json` goes to its folder."""

    def write(text: str, options: str = 'metrics="metrics.json"', words: str = "{folder}") -> str:
        (bench.root / "program.py").write_text(textwrap.dedent(text))
        return bench.script(
            "program",
            f"""
            experiment = nf.Experiment(
                nf.Command("python program.py {words}", code="program.py", {options})
            )
            """,
        )

    return write


def until(found, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_printed(task, text: str) -> None:
    log = task / "attempt-01" / "stdout.log"
    until(lambda: log.exists() and text in log.read_text())


def folders(bench, name: str):
    return sorted((bench.study.training_data / name / "runs").glob("*/rep-*"))


def failure(bench, name: str = "program") -> str:
    assert bench.run(name) == {"failed": 1}
    (record,) = bench.outcomes(name)
    assert record["error"]["type"] in ("ProgramError", "BadMetrics")
    return record["error"]["message"]


def test_a_program_gets_its_arguments_as_words_and_leaves_metrics_and_a_curve(bench, trains):
    trains("lr=[0.1, 0.2]", repetitions=2)
    assert bench.run("train") == {"done": 4}
    assert {tuple(record["metrics"].values()) for record in bench.outcomes("train")} == {
        (0.1 / 3, 0, len(NOTE)),
        (0.2 / 3, 0, len(NOTE)),
    }
    history = next((bench.study.training_data / "train").rglob("history.csv")).read_text()
    assert history.splitlines()[0] == "step,loss"
    assert [line.partition(",")[0] for line in history.splitlines()[1:]] == ["1", "2", "3"]
    assert {record["architecture"] for record in bench.outcomes("train")} == {"train.py"}


def test_what_runs_is_the_code_at_the_time_of_the_submit(bench, trains):
    trains("lr=[0.1]", repetitions=3)
    bench.runner(text="backend: local\nworkers: 1\n")
    bench.submit("train", bench.runner(text="backend: local\nworkers: 1\n"))
    (bench.root / "lib" / "model.py").write_text("raise SystemExit('changed')\n")
    (bench.root / "train.py").unlink()
    assert bench.wait("train") == {"done": 3}


def test_an_argument_that_reads_like_a_file_of_the_code_stays_as_it_is(bench, trains):
    trains("lr=[0.1], note=['train.py']")
    assert bench.run("train") == {"done": 1}
    assert [record["metrics"]["note"] for record in bench.outcomes("train")] == [len("train.py")]


def test_changed_code_of_a_program_is_reported(bench, trains):
    trains()
    assert bench.run("train") == {"done": 1}
    status = bench.command("status", "train", "--json")
    assert '"done_other_code": 0' in status.stdout
    (bench.root / "lib" / "model.py").write_text(MODEL + "\n# changed\n")
    status = bench.command("status", "train", "--json")
    assert '"done_other_code": 1' in status.stdout


def test_a_stopped_program_finds_its_own_checkpoint_and_a_rerun_begins_anew(bench, trains):
    trains("lr=[0.1], steps=[40], pause=[0.1]")
    bench.submit("train")
    bench.wait("train", until=lambda counts: counts["running"])
    (task,) = folders(bench, "train")
    state = task / "persistent-01" / "state.json"
    until(state.exists)
    assert bench.command("cancel", "train", "--yes").returncode == 0
    assert bench.wait("train") == {"cancelled": 1}
    outcome = read_json(task / "attempt-01" / "outcome.json")
    assert outcome["state"] == "stopped" and outcome["progress"] == read_json(state)["step"]
    bench.submit("train", retry=True)
    assert bench.wait("train") == {"done": 1}
    (record,) = bench.outcomes("train")
    assert record["metrics"]["first"] == outcome["progress"] > 0
    assert bench.run("train", rerun=True) == {"done": 1}
    (record,) = bench.outcomes("train")
    assert record["metrics"]["first"] == 0 and record["attempt"] == 3
    assert sorted(path.name for path in task.glob("persistent-*")) == ["persistent-01", "persistent-03"]


def test_a_program_dies_with_its_worker_and_goes_on_in_the_next_attempt(bench, trains):
    trains("lr=[0.1], steps=[30], pause=[0.1]")
    submitted = bench.submit("train")
    bench.wait("train", until=lambda counts: counts["running"])
    (task,) = folders(bench, "train")
    state = task / "persistent-01" / "state.json"
    until(state.exists)
    os.kill(int(submitted.ids[0]), signal.SIGKILL)
    assert bench.wait("train") == {"lost": 1}
    reached = read_json(state)["step"]
    time.sleep(0.3)
    assert read_json(state)["step"] == reached, "the program has ended"
    bench.submit("train", retry=True)
    assert bench.wait("train") == {"done": 1}
    (record,) = bench.outcomes("train")
    assert record["metrics"]["first"] == reached


def test_a_program_that_ignores_the_signal_is_killed_and_the_task_is_stopped(bench, program, monkeypatch):
    program(
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("step 5", flush=True)
        time.sleep(600)
        """
    )
    (bench.study.root / "sitecustomize.py").write_text(
        "import neurofit.worker.program as program\nprogram.STOP_SECONDS = 0.5\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(bench.study.root))
    bench.submit("program")
    bench.wait("program", until=lambda counts: counts["running"])
    (task,) = folders(bench, "program")
    until_printed(task, "step 5")
    assert bench.command("cancel", "program", "--yes").returncode == 0
    assert bench.wait("program") == {"cancelled": 1}
    assert read_json(task / "attempt-01" / "outcome.json")["state"] == "stopped"


@pytest.mark.parametrize(
    "text",
    [
        "os.kill(os.getppid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getppid(), signal.SIGTERM); sys.exit(0)",
        "subprocess.Popen(['sh', '-c', f'sleep 0.05; kill -TERM {os.getppid()}'], stdout=-3, stderr=-3); sys.exit(3)",
    ],
    ids=["killed", "ended", "first"],
)
def test_a_queue_may_signal_every_process_of_a_job_so_that_a_program_ends_before_it_is_asked(
    bench, program, text
):
    program(f"import os, signal, subprocess, sys\nprint('step 5', flush=True)\n{text}\n")
    assert bench.run("program") == {"stopped": 1}
    (record,) = bench.outcomes("program")
    assert record["progress"] == 5 and record["reason"]["kind"] == "signal"


def test_another_signal_can_ask_a_program_to_stop(bench, program):
    program(
        """
        import signal, sys, time
        signal.signal(signal.SIGUSR1, lambda number, frame: sys.exit(print("saved")))
        print("step 1", flush=True)
        time.sleep(600)
        """,
        options='metrics="metrics.json", stop_signal="SIGUSR1"',
    )
    bench.submit("program")
    bench.wait("program", until=lambda counts: counts["running"])
    (task,) = folders(bench, "program")
    until_printed(task, "step 1")
    assert bench.command("cancel", "program", "--yes").returncode == 0
    assert bench.wait("program") == {"cancelled": 1}
    assert "saved" in (task / "attempt-01" / "stdout.log").read_text()


def test_processes_that_a_program_leaves_behind_are_ended_and_not_waited_for(bench, program):
    program(
        """
        import json, pathlib, subprocess, sys
        left = subprocess.Popen(["sleep", "600"])  # it keeps the program's output open
        pathlib.Path(sys.argv[1], "metrics.json").write_text(json.dumps({"pid": left.pid}))
        """
    )
    assert bench.run("program") == {"done": 1}
    (record,) = bench.outcomes("program")
    assert Process.of(int(record["metrics"]["pid"])).started == 0, "it was ended"


def test_bytes_that_are_no_text_reach_the_log_as_they_are(bench, program):
    program(
        r"""
        import sys
        sys.stdout.buffer.write(b"\xff\xfe step 3\r step 4\n accuracy \xe9 0.5\n")
        """,
        options='pattern=r"accuracy .* (?P<accuracy>\\S+)"',
    )
    assert bench.run("program") == {"done": 1}
    (task,) = folders(bench, "program")
    assert b"\xff\xfe step 3\r step 4\n accuracy \xe9 0.5\n" in (task / "attempt-01/stdout.log").read_bytes()
    (record,) = bench.outcomes("program")
    assert record["metrics"] == {"accuracy": 0.5} and record["progress"] == 4


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "print('no such file'); raise SystemExit(7)",
            "",
            "ended with exit status 7. Its last lines:\nno such",
        ),
        ("import os; os.abort()", "", "ended with the signal SIGABRT"),
        ("pass", "", "wrote no metrics.json into its folder"),
        ("open(__import__('sys').argv[1] + '/metrics.json', 'w').write('{\"r\": ')", "", "as JSON"),
        (
            "open(__import__('sys').argv[1] + '/metrics.json', 'w').write('{\"r\": \"x\"}')",
            "",
            "expected a number",
        ),
        (
            "open(__import__('sys').argv[1] + '/metrics.json', 'w').write('{\"r\": NaN}')",
            "",
            "a finite number",
        ),
        ("print('r none')", 'pattern=r"r (?P<r>\\\\S+)"', "no line of its output has a number for 'r'"),
    ],
)
def test_a_program_that_fails_says_how(bench, program, text, options, message):
    program(text, options=options or 'metrics="metrics.json"')
    assert message in failure(bench)


def test_a_program_that_fails_by_hand_shows_its_own_words_and_no_frames_of_neurofit(bench, program):
    program("print('no such file'); raise SystemExit(7)")
    said = bench.command("run", "program")
    assert said.returncode == 3 and "correct the program or its command" in said.stderr
    (task,) = folders(bench, "program")
    log = (task / "attempt-01" / "stderr.log").read_text()
    assert "ended with exit status 7" in log and "Traceback" not in log


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("no-such-program-anywhere", "was not found"),
        ("./data.txt", "may not be executed"),
    ],
)
def test_a_program_that_cannot_start_is_named(bench, words, message):
    (bench.root / "data.txt").write_text("text")
    bench.script("program", f'experiment = nf.Experiment(nf.Command("{words}", metrics="m.json"))')
    assert message in failure(bench)


def test_a_value_that_cannot_be_a_word_fails_its_task_alone(bench, trains):
    trains("lr=[0.1], note=[None, 'a']")
    assert bench.run("train") == {"failed": 1, "done": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there are no metrics"),
        ({"metrics": "/tmp/m.json"}, "a file in the attempt's folder"),
        ({"metrics": "../m.json"}, "a file in the attempt's folder"),
        ({"metrics": "m.txt"}, "its name ends in .json"),
        ({"metrics": 3}, "a file in the attempt's folder"),
        ({"pattern": "r"}, "no named group"),
        ({"metrics": "m.json", "code": ["/etc/passwd"]}, "no path relative to the study"),
        ({"metrics": "m.json", "code": [3]}, "no path relative to the study"),
        ({"metrics": "m.json", "defaults": {"lrr": 1}}, "Did you mean 'lr'"),
        ({"metrics": "m.json", "progress": "(?P<x>.)"}, "no group (?P<step>"),
        ({"metrics": "m.json", "stop_signal": "SIGKILL"}, "a signal that a program can catch"),
        ({"metrics": "m.json", "stop_signal": 15}, "a signal that a program can catch"),
        ({"metrics": "m.json", "environment": {"A": 3}}, "not a variable and its text"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(options, message):
    with pytest.raises(GridError) as error:
        Command("train.py {lr}", **options)
    assert message in str(error.value)


def test_an_axis_that_is_no_placeholder_is_refused_with_the_nearest(bench):
    bench.script(
        "program",
        'experiment = nf.Experiment(nf.Command("a {learning_rate}", metrics="m.json"), nf.grid(learnin_rate=[1]))',
    )
    answer = bench.command("submit", "program", "--dry-run")
    assert "the fit has no argument 'learnin_rate'. Did you mean 'learning_rate'?" in answer.stderr


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('["trian.py"]', "code='trian.py' names no file of"),
        ('["data/"]', "names no file of"),
        ('[name + ".py"]', "code='train.py' is computed"),
    ],
)
def test_code_that_is_missing_or_computed_is_refused_before_anything_is_queued(bench, code, message):
    (bench.root / "train.py").write_text("")
    (bench.root / "data").mkdir()
    (bench.root / "data" / "a.py").write_text("")
    bench.script(
        "program",
        f'name = "train"\nexperiment = nf.Experiment(nf.Command("python train.py", metrics="m.json", code={code}))',
    )
    with pytest.raises(StudyError) as error:
        bench.submit("program")
    assert message in str(error.value)


def test_the_id_of_a_run_depends_on_the_command_and_not_on_defaults_or_code(bench):
    from neurofit.experiments.experiment import Experiment
    from neurofit.experiments.grid.grid import grid

    def ids(*words, **options):
        return [
            run.id for run in Experiment(Command(*words, metrics="m.json", **options), grid(lr=[1])).runs()
        ]

    assert ids("a {lr}") == ids("a {lr}", code=["a.py"][:0], progress=r"(?P<step>\d+)")
    assert ids("a {lr}") != ids("b {lr}")
    assert ids("a {lr}") != ids("a {lr}", environment={"A": "1"})


ARGPARSE = """
import argparse, json, pathlib

def make_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    parser.add_argument("--sizes", type=int, nargs="*", default=[4])
    parser.add_argument("--note", default="none")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", required=True)
    return parser

if __name__ == "__main__":
    given = vars(make_parser().parse_args())
    pathlib.Path(given["out"], "given.json").write_text(json.dumps(given))
    rate, amp = given["learning_rate"], int(given["amp"])
    metrics = {"rate": rate, "amp": amp, "seed": given["seed"], "first": given["sizes"][0]}
    pathlib.Path(given["out"], "metrics.json").write_text(json.dumps(metrics))
else:
    raise SystemExit("imported")
"""
FROM_ARGPARSE = """
    experiment = nf.Experiment(
        nf.Command.from_argparse("train.py", fixed={"out": "{folder}"}, metrics="metrics.json"%s),
        grid=nf.grid(%s),
        repetitions=2,
    )
"""


def test_the_options_of_a_program_are_the_arguments(bench):
    (bench.root / "train.py").write_text(ARGPARSE)
    note = "learning_rate=[0.5], amp=[True, False], note=['--seed 9 $(x)']"
    bench.script("train", FROM_ARGPARSE % ("", note))
    assert bench.run("train") == {"done": 4}
    (bench.root / "train.py").write_text("raise SystemExit")  # jobs run the copy
    outcomes = bench.outcomes("train")
    assert {(one["params"]["amp"], one["metrics"]["amp"], one["metrics"]["seed"]) for one in outcomes} == {
        (True, 1, 0),
        (True, 1, 1),
        (False, 0, 0),
        (False, 0, 1),
    }
    assert {(one["metrics"]["rate"], one["metrics"]["first"]) for one in outcomes} == {(0.5, 4)}
    assert outcomes[0]["defaults"] == {"optimizer": "sgd", "sizes": [4]}
    given = read_json(bench.study.training_data / "train" / outcomes[0]["log"] / "given.json")
    assert given["note"] == "--seed 9 $(x)"


@pytest.mark.parametrize(
    ("settings", "axes", "said"),
    [
        ("", "lerning_rate=[1]", "Did you mean 'learning_rate'"),
        ("", "seed=[1]", "'seed'"),
        ("", "optimizer=['rmsprop']", "optimizer=rmsprop: expected one of sgd, adam"),
        ("", "amp=['yes']", "amp=yes: expected True or False"),
        (", defaults={}", "", "the program's own are used"),
        (", function='make_parsr'", "", "has no function 'make_parsr'. Did you mean 'make_parser'?"),
    ],
)
def test_what_is_no_option_of_the_program_is_refused(bench, settings, axes, said):
    (bench.root / "train.py").write_text(ARGPARSE)
    bench.script("train", FROM_ARGPARSE % (settings, axes))
    answer = bench.command("submit", "train", "--dry-run")
    assert (
        answer.returncode == 1
        and said in " ".join(answer.stderr.split())
        and "Traceback" not in answer.stderr
    )


def test_what_is_fixed_must_be_options_and_placeholders_must_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.py").write_text(
        "p.add_argument('--folder')\np.add_argument('--on', action='store_true')\n"
    )
    monkeypatch.setitem(globals(), "__file__", None)
    for fixed, said in [
        ({}, "the option 'folder' has the name of a placeholder"),
        ({"flder": "{folder}"}, "no option 'flder'. Did you mean 'folder'?"),
        ({"on": "{folder}", "folder": "a"}, "expected a text for an option that takes one"),
        ({"folder": 3}, "'folder' is 3"),
    ]:
        with pytest.raises(GridError) as error:
            Command.from_argparse("x.py", fixed=fixed, metrics="m.json")
        assert said in str(error.value)
    found = Command.from_argparse("x.py", fixed={"folder": "in put/{seed}"}, metrics="m.json")
    assert found.arguments() == {"on": False} and found.template.texts[1:] == (
        "x.py",
        "--folder=in put/{seed}",
    )
