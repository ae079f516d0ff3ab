"""How long plan, submit, status, results and clean take of large studies: on the clock, CPU time and peak memory.

scripts/bench studies                       10,000 runs × 10 repetitions of tasks that do nothing
scripts/bench studies --tasks 1000 10000 100000 1000000 --plot growth.png
scripts/bench studies --beside PATH         also another checkout (repeatable). They take turns and read the same files
scripts/bench studies --tasks 100000 1000000 --repeats 5 1 --studies FOLDER     1 repeat of the larger one; keep both
scripts/bench studies --json FILE

The tasks are not run: their claims, outcomes and journals are written as workers write them, about 5 files and folders
a task, after a real submit to a queue that only counts its jobs. Every command runs in a process of its own, with a
cache folder of its own. Medians of repeats; memory is the largest of the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
NAME = "instant"
SCRIPT = """
import neurofit as nf
def fit(task, *, run=0):
    return {{"score": run + task.repetition}}
experiment = nf.Experiment(fit=fit, grid=nf.grid(run=list(range({runs}))), repetitions={repetitions})
"""
QUEUE = """
from dataclasses import dataclass
from neurofit.backends.base import Backend, Limits, Queued, QueueState

@dataclass(frozen=True)
class Counts(Backend):
    def preview(self, submission):
        return f"{submission.jobs} jobs"
    def submit(self, submission):
        yield Queued(submission.folder, "1", 0, submission.jobs - 1)
    def find(self, submissions):
        return []
    def poll(self, queued):
        return {(call.token, job): QueueState("pending")
                for call in queued for job in range(call.first, call.last + 1)}
    def endings(self, queued):
        return {}
    def cancel(self, queued, jobs):
        pass
    def limits(self):
        return Limits()
    def check(self):
        return []
"""
PLAN, SUBMIT = "plan (submit --dry-run)", "submit"
QUEUED, FIRST, WARM = "status, all queued", "status, first (no index)", "status"
READING = {
    "results --format csv": ("results", NAME, "--format", "csv"),
    "results (a table)": ("results", NAME),
    "results --by run": ("results", NAME, "--by", "run"),
    "plan, all done": ("submit", NAME, "--backend", "counts", "--dry-run", "--json"),
    "clean --dry-run": ("clean", "--dry-run"),
    "clean --attempts --dry-run": ("clean", "--attempts", "--dry-run"),
}
# What a machine that does nothing else should need for 100,000 tasks: seconds, and MB of memory for each.
TARGETS = {PLAN: 1.5, SUBMIT: 1.5, WARM: 1.0, "results --format csv": 5.0, "results --by run": 5.0}
MOST_MB = 500


# A study as its workers would have left it


def make_study(study: Path, runs: int, repetitions: int) -> None:
    """A study with a script whose tasks do nothing, and a queue that only counts its jobs."""
    for name in ("jobs", "runners"):
        (study / name).mkdir(parents=True)
    (study / "jobs" / f"{NAME}.py").write_text(SCRIPT.format(runs=runs, repetitions=repetitions))
    (study / "runners/counts.py").write_text(QUEUE)
    (study / "runners/counts.yaml").write_text("backend: counts.py:Counts\n")


def simulate(study: Path) -> None:
    """Write the claims, outcomes and journals of every task that is queued, byte for byte in the form of a worker's."""
    from neurofit.files import to_json
    from neurofit.process import Process
    from neurofit.store.layout import ExperimentFiles
    from neurofit.store.records import Claim, JournalLine
    from neurofit.store.registry import read_registry
    from neurofit.store.submissions import read_jobs, read_submission
    from neurofit.study import Study

    files = ExperimentFiles(Study(study), NAME)
    runs = read_registry(files.registry).runs
    worker = Process.here()
    for submission in files.submissions():
        record, inode = read_submission(submission), submission.folder.stat().st_ino
        for number, tasks in enumerate(read_jobs(submission)):
            now = round(time.time(), 3)
            lines = [JournalLine(start=worker, job=number, t=now, host=worker.host)]
            claim = Claim(submission=submission.name, job=number, start=1, inode=inode, process=worker, t=now)
            text = to_json(claim.as_object())
            made = [to_json(line.as_object()) for line in lines]
            for task in tasks:
                attempt = files.task(task.run, runs[task.run].id, task.repetition).attempt(
                    task.last_attempt + 1
                )
                os.makedirs(attempt.folder)
                outcome = to_json(_outcome(record, runs[task.run], task.repetition, number, attempt, worker))
                _write(attempt.claim, text)
                _write(attempt.stdout, "")
                _write(attempt.outcome, f"{outcome}\n")
                began = JournalLine(claim=task.key, attempt=task.last_attempt + 1, t=now)
                made += [to_json(began.as_object()), f'{{"outcome":{outcome}}}']
            made.append(to_json(JournalLine(end="done").as_object()))
            _write(submission.journal(number, 1), "\n".join(made) + "\n")


def _outcome(record: Any, run: Any, repetition: int, job: int, attempt: Any, worker: Any) -> dict[str, Any]:
    """The outcome of a task that did nothing, whose times and memory differ from task to task."""
    from neurofit.experiments.seeds import Seeds
    from neurofit.store.records import Outcome

    seconds = 1e-3 + 1e-4 * (run.number * 7 % 31)
    moment = f"2026-11-28T{run.number % 24:02d}:{repetition % 60:02d}:{run.number % 60:02d}"
    cores = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    variables = {f"{name}_NUM_THREADS": "1" for name in cores}
    variables |= {f"TF_NUM_{name}_THREADS": "1" for name in ("INTRAOP", "INTEROP")}
    return Outcome(
        experiment=NAME,
        run=run.number,
        id=run.id,
        architecture=run.architecture,
        params=run.params,
        derived=run.derived,
        on_grid=run.on_grid,
        defaults={},
        repetition=repetition,
        repetitions=record.repetitions,
        split_by=record.split_by,
        seeds=Seeds(repetition).record(),
        attempt=attempt.number,
        state="done",
        metrics={"score": run.params["run"] + repetition},
        facts={},
        submission=record.name,
        job=job,
        host=worker.host,
        pid=worker.pid,
        started=f"{moment}.{run.number % 1000:03d}+00:00",
        ended=f"{moment}.{run.number % 1000:03d}+00:00",
        wall_seconds=round(seconds, 4),
        cpu_seconds=round(2 * seconds, 4),
        peak_memory_gb=round(0.018 + 1e-4 * (run.number % 9), 4),
        code=record.code_hash,
        commit=record.commit,
        dirty=record.dirty,
        versions={name: record.versions[name] for name in ("python", "neurofit")},
        log=attempt.folder.relative_to(attempt.folder.parents[3]).as_posix(),
        environment={"variables": variables},
    ).as_object()


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def count_files(folder: Path) -> dict[str, int]:
    """Files and folders below a folder."""
    files = folders = 0
    for _, inner, names in os.walk(folder):
        files, folders = files + len(names), folders + len(inner)
    return {"files": files, "folders": folders}


# What it takes


def measures(bench: Any, full: Path, repeats: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name and measurement of every command of one checkout, in their order; `full` is the study of done tasks."""
    for _ in range(repeats):
        yield PLAN, lambda: bench.neurofit("submit", NAME, "--backend", "counts", "--dry-run", "--json")
        yield SUBMIT, lambda: bench.neurofit("submit", NAME, "--backend", "counts", "--yes")
        yield QUEUED, lambda: bench.neurofit("status")
        yield "", lambda: _forget(bench.study)
    yield "", lambda: bench.move_to(full)
    for _ in range(repeats):
        yield "", lambda: shutil.rmtree(bench.cache, ignore_errors=True)
        yield FIRST, lambda: bench.neurofit("status")
        yield WARM, lambda: bench.neurofit("status")
        for name, words in READING.items():
            yield name, lambda words=words: bench.neurofit(*words)


def _forget(study: Path) -> None:
    """Remove what was submitted."""
    for name in ("training_data", ".neurofit"):
        shutil.rmtree(study / name, ignore_errors=True)  # 0.1.0 had no marker of the storage


def measure(benches: list[Any], full: Path, repeats: int) -> list[dict[str, list[Any]]]:
    """Costs of each checkout by command; checkouts take turns, the first to run changes from one to the next."""
    found: list[dict[str, list[Any]]] = [defaultdict(list) for _ in benches]
    for number, steps in enumerate(zip(*(measures(bench, full, repeats) for bench in benches))):
        for place in range(len(benches))[:: -1 if number % 2 else 1]:
            name, step = steps[place]
            cost = step()
            if name:
                print(f"  {benches[place].checkout.name}: {name}: {cost.wall:.2f} s", file=sys.stderr)
                found[place][name].append(cost)
    return found


def summary(costs: list[Any]) -> dict[str, float]:
    """Seconds on the clock and of CPU time, medians, and MB, the largest."""
    return {
        "wall": statistics.median(one.wall for one in costs),
        "cpu": statistics.median(one.cpu for one in costs),
        "memory": max(one.memory for one in costs),
    }


def main(words: list[str], new_bench: Callable[[Path, Path], Any]) -> None:
    """Measure. `new_bench` makes the folder in which commands of a checkout run."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tasks", type=int, nargs="+", default=[100_000], metavar="N", help="of each study")
    parser.add_argument("--repetitions", type=int, default=10, help="of each run")
    parser.add_argument(
        "--repeats",
        type=int,
        nargs="+",
        default=[5],
        metavar="N",
        help="of each command; or one for each of --tasks",
    )
    parser.add_argument(
        "--beside", type=Path, action="append", default=[], metavar="PATH", help="a checkout to compare with"
    )
    parser.add_argument("--folder", type=Path, help="where to make the studies; default: a temporary one")
    parser.add_argument(
        "--studies",
        type=Path,
        metavar="FOLDER",
        help="keep studies of finished tasks here, and use those that are here",
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="time and memory over the number of tasks")
    options = parser.parse_args(words)
    if bad := [number for number in options.tasks if number < options.repetitions]:
        parser.error(f"--tasks {bad[0]}: expected at least --repetitions, {options.repetitions}")
    if len(options.repeats) not in (1, len(options.tasks)):
        parser.error(f"--repeats: expected 1 number or {len(options.tasks)}, as many as --tasks")
    repeats = options.repeats * (1 if len(options.repeats) > 1 else len(options.tasks))
    checkouts = [*(path.resolve() for path in options.beside), HERE]
    load = [os.getloadavg()[0]]
    sizes = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for tasks, number in zip(options.tasks, repeats):
            sizes.append(_of_size(Path(folder), checkouts, tasks, number, options, new_bench))
    load.append(os.getloadavg()[0])
    about = {
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "load": load},
        "python": sys.version.split()[0],
        "date": time.strftime("%Y-%m-%d"),
        "repetitions": options.repetitions,
        "checkouts": [path.name for path in checkouts],
    }
    print("\n".join(table(about, sizes)))
    if options.json:
        options.json.write_text(json.dumps({**about, "studies": sizes}, indent=1) + "\n")
    if options.plot:
        plot(about, sizes, options.plot)


def _of_size(
    folder: Path, checkouts: list[Path], tasks: int, repeats: int, options: Any, new_bench: Any
) -> dict[str, Any]:
    runs = tasks // options.repetitions
    print(f"{runs:,} runs × {options.repetitions} repetitions", file=sys.stderr)
    benches = [new_bench(path, folder / str(number)) for number, path in enumerate(checkouts)]
    for bench in benches:
        shutil.rmtree(bench.study)
        make_study(bench.study, runs, options.repetitions)
    full = (options.studies or folder).resolve() / f"{runs}-runs-of-{options.repetitions}"
    about = full / "about.json"  # written last: without it, the study is not whole
    if not about.exists():
        about.write_text(json.dumps(make_full(full / "study", runs, options.repetitions)))
    made = json.loads(about.read_text())
    print(f"  simulated in {made['simulated_in']:.0f} s: {made}", file=sys.stderr)
    load = [os.getloadavg()[0]]
    found = measure(benches, full / "study", repeats)
    load.append(os.getloadavg()[0])
    if options.studies is None:
        shutil.rmtree(full)
    return {
        "tasks": runs * options.repetitions,
        "runs": runs,
        **made,
        "repeats": repeats,
        "load": load,
        "medians": [{name: summary(costs) for name, costs in one.items()} for one in found],
        "rounds": [{name: [vars(cost) for cost in costs] for name, costs in one.items()} for one in found],
    }


def make_full(study: Path, runs: int, repetitions: int) -> dict[str, float]:
    """A study whose tasks are all done; the number of its files and folders, and seconds that it took."""
    shutil.rmtree(study.parent, ignore_errors=True)
    make_study(study, runs, repetitions)
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(HERE / "scripts")))}
    # in a process of its own, since the peak memory of a new process is at least that of the process that starts it
    made = "import sys, pathlib, bench_studies; bench_studies.simulate(pathlib.Path(sys.argv[1]))"
    submit = [sys.executable, "-m", "neurofit", "submit", NAME, "--backend", "counts", "--yes"]
    subprocess.run(submit, cwd=study, env=environment, check=True, capture_output=True)
    subprocess.run([sys.executable, "-c", made, str(study)], env=environment, check=True)
    seconds = time.perf_counter() - started
    return {**count_files(study / "training_data"), "simulated_in": seconds}


# What is shown


def table(about: dict[str, Any], sizes: list[dict[str, Any]]) -> list[str]:
    """Lines: for each study and command, time on the clock, CPU time and memory in each checkout."""
    machine, names = about["machine"], about["checkouts"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, load "
        f"{' → '.join(f'{one:.1f}' for one in machine['load'])}, {about['date']}, Python {about['python']}",
        "medians of repeats; memory: the largest",
    ]
    for size in sizes:
        medians = size["medians"]
        width = max(map(len, medians[-1]))
        headers = [f"{kind} {name}"[-16:] for kind in ("clock", "CPU", "MB") for name in names]
        if len(names) == 1:
            headers = ["clock [s]", "CPU [s]", "MB"]
        breadth = max(10, *map(len, headers)) + 1
        lines += [
            "",
            f"{size['runs']:,} runs × {about['repetitions']} repetitions, {size['tasks']:,} tasks: "
            f"{size['files']:,} files in {size['folders']:,} folders; repeats: {size['repeats']}, "
            f"load {' → '.join(f'{one:.1f}' for one in size['load'])}",
            " " * width + "".join(f"{one:>{breadth}}" for one in headers) + f"{'target':>{breadth}}",
        ]
        for name in medians[-1]:
            cells = [f"{one[name][kind]:.2f}" for kind in ("wall", "cpu") for one in medians]
            cells += [f"{one[name]['memory']:.0f}" for one in medians]
            target = TARGETS.get(name) if size["tasks"] == 100_000 else None
            cells.append("" if target is None else f"{target:g} s")
            lines.append(f"{name:<{width}}" + "".join(f"{cell:>{breadth}}" for cell in cells).rstrip())
    return lines


def plot(about: dict[str, Any], sizes: list[dict[str, Any]], path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        sys.exit(f"--plot {path}: matplotlib is not installed")
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (times, memory) = pyplot.subplots(1, 2, figsize=(11, 4.5))
    tasks = [size["tasks"] for size in sizes]
    commands = list(sizes[0]["medians"][-1])
    for number in range(len(about["checkouts"])):
        is_last = number == len(about["checkouts"]) - 1
        for place, name in enumerate(commands):
            style = {"color": f"C{place}", "linestyle": "-" if is_last else ":", "marker": "."}
            label = name if is_last else None
            medians = [size["medians"][number][name] for size in sizes]
            times.plot(tasks, [one["wall"] for one in medians], label=label, **style)
            memory.plot(tasks, [one["memory"] for one in medians], **style)
    for axis, title in ((times, "time on the clock [s]"), (memory, "peak memory [MB]")):
        axis.set(xscale="log", yscale="log", xlabel="tasks", title=title)
        axis.grid(alpha=0.3)
    if len(about["checkouts"]) > 1:
        times.set_xlabel(f"tasks (dotted: {', '.join(about['checkouts'][:-1])})")
    times.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
