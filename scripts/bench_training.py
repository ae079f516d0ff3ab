"""Microseconds per training step of one model (batches of 16, images of 31 × 31), each way beside the others.

scripts/bench training                      HSM, what/where, and the network of Klindt et al.
scripts/bench training --models what_where  one of them
scripts/bench training --parts              also the hand-written loop, changed in one part at a time
scripts/bench training --ndn3 PATH          also NDN3: PATH is its folder, that with NDN.py
scripts/bench training --product            also through `neurofit submit`
scripts/bench training --together 10 100    so many repetitions in one program, and in two of them at once
scripts/bench training --json FILE --plot FILE

The ways take turns, in a random order in each round, since machines are shared and noisy; the table has medians,
also of the ratios within each round. CPU time is that of the whole process, and says more than time on the clock
where others work as well. The arithmetic is counted from the layers' products, forward and twice that backward, and
the bytes from weights, moments, batches and activations; it takes as long as a large product of float32 matrices, or
a large copy, of this machine in the same run.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parents[1]
SIDE = 31  # pixels
BATCH = 16
RATE = 1e-3
MATRIX = 1024  # rows and columns, for FLOP/s
COPY = 64 * 2**20  # float32 numbers, for bytes/s
IN_TURN = ("what_where", "klindt")  # TensorFlow does not vectorise their convolutions
LONGEST = 200  # epochs of one measurement
HAND, SUBMIT = "hand-written loop", "through neurofit submit (one run)"
TOGETHER = 10  # repetitions of a run, through `neurofit submit`
BOTH = f"through submit, 2 runs of {TOGETHER} together"
PRODUCT = """
import neurofit as nf
def data():
    return nf.datasets.simulate(n_images={images} + 300, n_neurons={neurons}, n_test=150)
fit = nf.models.Fit(nf.models.architectures.{name}, data=data, split={{"train": {images}, "validation": 150}},
    training=nf.models.Training(epochs={epochs}, batch_size=16, validate_every={every}, together={together}))
experiment = nf.Experiment(fit=fit, grid=nf.grid(learning_rate={rates}), repetitions={together})
"""


@dataclass(frozen=True)
class Study:
    """A model that is measured: its neurons, images of an epoch, and how it is trained through the whole product."""

    neurons: int
    images: int
    title: str
    epochs: int


STUDIES = {
    "hsm": Study(103, 1440, "HSM: DoG(9) → 20 → 103 neurons", 400),
    "what_where": Study(48, 1440, "what/where: 16 filters, 9 × 9, stride 3 → 48 neurons", 60),
    "klindt": Study(103, 320, "Klindt et al.: 3 convolutions of 48 filters → 103 neurons", 20),
}


@dataclass(frozen=True)
class Took:
    """Seconds on the clock and of CPU time."""

    wall: float
    cpu: float

    def of_each(self, number: int) -> Took:
        return Took(self.wall / number, self.cpu / number)


Way = Callable[[int], Took]  # of a number of epochs


@dataclass
class Measured:
    """What was found for one model. Times [µs per step]."""

    title: str
    weights: int
    flops: int
    bytes: int
    memory: dict[str, float] = field(default_factory=dict)  # of a GPU, at most [bytes]
    walls: dict[str, list[float]] = field(default_factory=dict)
    cpus: dict[str, list[float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def arithmetic(self, machine: Machine) -> float:
        """Microseconds that a step's arithmetic, or its bytes, would take."""
        return 1e6 * max(self.flops / machine.flops, self.bytes / machine.bytes)

    def beside_hand(self, way: str) -> float:
        """How much more CPU time a way takes than the hand-written loop in the same round, median of rounds."""
        return statistics.median(
            cpu / by_hand for cpu, by_hand in zip(self.cpus[way], self.cpus[HAND], strict=True)
        )

    def as_json(self, machine: Machine) -> dict[str, object]:
        medians = {
            way: {
                "wall": statistics.median(walls),
                "cpu": statistics.median(self.cpus[way]) if self.cpus[way] else None,
                "beside_hand": self.beside_hand(way) if self.cpus[way] else None,
            }
            for way, walls in self.walls.items()
        }
        return {**asdict(self), "medians": medians, "arithmetic": self.arithmetic(machine)}


@dataclass
class Machine:
    """Repeats of FLOP/s of a float32 product and of bytes/s of a copy, read and written, per CPU second."""

    products: list[float] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)

    @property
    def flops(self) -> float:
        return statistics.median(self.products)

    @property
    def bytes(self) -> float:
        return statistics.median(self.copies)

    def measure(self) -> None:
        import numpy as np
        import tensorflow as tf

        matrix = tf.random.normal((MATRIX, MATRIX))
        product = functools.partial(tf.linalg.matmul, matrix, matrix)
        product()
        self.products.append(10 * 2 * MATRIX**3 / timed(lambda: [product().numpy() for _ in range(10)]).cpu)
        source, target = np.ones(COPY, np.float32), np.ones(COPY, np.float32)  # ones: all pages are there
        self.copies.append(2 * source.nbytes / timed(lambda: np.copyto(target, source)).cpu)


def timed(run: Callable[[], object]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


# What a step computes


def multiply_adds(layer) -> int:
    """Multiplications of a layer for one image. Elementwise operations are left out."""
    kind, given = type(layer).__name__, layer.input.shape[1:]
    if kind == "Dense":
        return math.prod(layer.kernel.shape)
    if kind == "Convolution":
        return math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3])
    if kind == "DifferenceOfGaussians":
        return math.prod(given) * layer.filters
    if kind == "FactorisedReadout":
        return (math.prod(given) + given[-1]) * layer.neurons
    return 0


def flops_and_bytes(model, neurons: int) -> tuple[int, int]:
    """Of one step. Bytes: the batch is read and written once; each layer's output and its gradient are written and
    read; of weights and moments, four arrays are read and three written.
    """
    flops = 3 * 2 * BATCH * sum(map(multiply_adds, model.layers))
    outputs = sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    weights = sum(math.prod(one.shape) for one in model.trainable_variables)
    numbers = BATCH * (2 * (SIDE**2 + neurons) + 4 * outputs) + 7 * weights
    return flops, 4 * numbers


# The ways


@dataclass
class Setting:
    """One model and its simulated data, which every way trains from the start."""

    name: str
    threads: int
    folder: Path
    study: Study
    measured: Measured = field(init=False)
    _started: list[subprocess.Popen[str]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        import numpy as np

        draw = np.random.default_rng(0)
        study = self.study
        self.images = draw.standard_normal((study.images, SIDE, SIDE, 1)).astype(np.float32)
        self.responses = draw.poisson(1.0, (study.images, study.neurons)).astype(np.float32)
        self.steps = study.images // BATCH
        self.orders = np.stack([draw.permutation(study.images) for _ in range(LONGEST)]).astype(np.int32)
        model = self.model()
        weights = sum(math.prod(one.shape) for one in model.trainable_variables)
        self.measured = Measured(study.title, weights, *flops_and_bytes(model, study.neurons))

    def model(self):
        from neurofit.models import architectures
        from neurofit.models.building import Shapes, build

        shapes = Shapes({"image": self.images.shape[1:]}, {"neurons": self.responses.shape[1]})
        return build(getattr(architectures, self.name), shapes, {}, SimpleNamespace(init=1, noise=2))

    def program(self, **how: bool):
        from neurofit.models import Training
        from neurofit.models.data import Arrays
        from neurofit.models.training_loop.program import Program

        training = Training(batch_size=BATCH, learning_rate=RATE, **how)
        return Program(self.model(), training, Arrays({"image": self.images}, self.responses, None))

    def ways(self, parts: bool, ndn3: Path | None, together: Sequence[int] = ()) -> Iterator[tuple[str, Way]]:
        yield HAND, self.by_hand()
        yield f"{HAND}, jit", self.by_hand(jit=True)
        yield "neurofit's loop", self.our_loop()
        yield "neurofit's loop, jit", self.our_loop(jit=True)
        yield "its update, called alone", self.update_alone()
        yield "Keras fit", self.keras_fit()
        for number in together:
            if self.name in IN_TURN:
                self.measured.skipped[f"{number} together"] = "convolutions are trained in turn"
                continue
            yield f"{number} together", self.together(number, 1)
            yield f"{number} together, jit", self.together(number, 1, jit=True)
            yield f"{number} together, jit, two processes", self.together(number, 2, jit=True)
        if parts:
            for name, changed in changes(self.model()).items():
                yield f"{HAND}: {name}", self.by_hand(changed)
        if ndn3 is None:
            self.measured.skipped["NDN3"] = "no --ndn3 PATH"
        elif self.name == "klindt":
            self.measured.skipped["NDN3"] = "it has no batch normalisation"
        else:
            yield "NDN3", self.ndn3(ndn3)

    def by_hand(self, parts=None, *, jit: bool = False) -> Way:
        import bench_loops
        import numpy as np

        model = self.model()
        values = [
            [np.asarray(one.value) for one in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]
        loop = bench_loops.Loop(self.name, *values, self.images, self.responses, parts, jit=jit)
        return lambda epochs: timed(lambda: loop.run(self.orders[:epochs], RATE))

    def our_loop(self, **how: bool) -> Way:
        program = self.program(**how)
        state = program.start()

        def train(epochs: int) -> None:
            nonlocal state
            state, *_ = program.epochs(state, self.orders[:epochs], RATE)

        return lambda epochs: timed(lambda: train(epochs))

    def update_alone(self) -> Way:
        import tensorflow as tf

        from neurofit.models.training_loop.program import compiled

        program = self.program()
        update = compiled(program._one_update)
        rows, rate, state = self.orders[0, :BATCH], tf.constant(RATE), program.start()
        batch = tf.nest.map_structure(
            lambda one: None if one is None else tf.gather(one, rows), program._data
        )
        now = state.weights, state.moments, state.step, state.other

        def train(epochs: int) -> None:
            nonlocal now
            for _ in range(epochs * self.steps):
                *now, costs = update(batch, *now, rate)
            costs.numpy()

        return lambda epochs: timed(lambda: train(epochs))

    def keras_fit(self) -> Way:
        import keras

        def loss(wanted, rates):
            return keras.ops.sum(rates - wanted * keras.ops.log(rates + 1e-6), axis=-1)

        model = self.model()
        model.compile(keras.optimizers.Adam(RATE, epsilon=1e-8), loss)
        train = functools.partial(model.fit, self.images, self.responses, batch_size=BATCH, verbose=0)
        return lambda epochs: timed(lambda: train(epochs=epochs))

    def ndn3(self, path: Path) -> Way:
        ask = self._process("bench_ndn3.py", str(path), self.name, str(self.threads))

        def train(epochs: int) -> Took:
            ask(epochs)
            return Took(**ask())

        return train

    def together(self, number: int, processes: int, *, jit: bool = False) -> Way:
        """Repetitions in one program, in each of so many processes at once: seconds per repetition."""
        words = self.name, str(number), str(self.threads), "jit" if jit else "plain"
        asked = [self._process("bench_together.py", *words) for _ in range(processes)]
        way = f"{number} together{', jit' if jit else ''}{', two processes' if processes > 1 else ''}"

        def train(epochs: int) -> Took:
            for ask in asked:
                ask(epochs)
            took = [ask() for ask in asked]
            if "memory" in took[0]:
                self.measured.memory[way] = max(one["memory"] for one in took)
            models = number * processes
            return Took(max(one["wall"] for one in took) / models, sum(one["cpu"] for one in took) / models)

        return train

    def _process(self, script: str, *words: str) -> Callable[..., Any]:
        """Start a program that trains when asked: called with epochs it asks, and without them it has the answer."""
        import numpy as np

        data = self.folder / f"{self.name}.npz"
        if not data.exists():
            np.savez(data, images=self.images, responses=self.responses)
        log = self.folder / f"{script}_{len(self._started)}"
        with open(log, "w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name(script)), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._started.append(process)
        assert process.stdin is not None and process.stdout is not None
        print(data, file=process.stdin, flush=True)

        def ask(epochs: int | None = None) -> Any:
            if epochs is not None:
                return print(epochs, file=process.stdin, flush=True)
            line = process.stdout.readline()
            if not line:
                sys.exit(f"{script} {' '.join(words)} failed:\n{log.read_text(encoding='utf-8')[-2000:]}")
            return json.loads(line)

        return ask

    def close(self) -> None:
        """End the processes that were started."""
        for process in self._started:
            process.communicate()


def changes(model) -> dict[str, object]:
    """The hand-written loop with one part as in our loop, or without it; and with all parts as in ours."""
    import tensorflow as tf
    from bench_loops import Parts

    def stateless(weights, other, images):
        rates, other, penalties = model.stateless_call(
            weights, other, images, training=True, return_losses=True
        )
        penalty = tf.add_n(penalties) if penalties else tf.zeros((), images.dtype)
        return rates, [tf.convert_to_tensor(one) for one in other], penalty

    return {
        "Adam by formula": Parts(adam="each"),
        "one weight vector": Parts(adam="vector"),
        "nested loops": Parts(nested=True),
        "stateless_call": Parts(forward=stateless),
        "missing responses": Parts(missing=True),
        "all of these, as ours": Parts(adam="vector", nested=True, forward=stateless, missing=True),
        "no gathers": Parts(gather=False),
        "no penalties": Parts(penalties=False),
    }


# Measuring


def measure(
    setting: Setting, ways: dict[str, Way], repeats: int, seconds: float, machine: Machine | None = None
) -> None:
    """Let the ways take turns, and the machine if its rates are wanted. Each way trains for about so many seconds."""
    found, epochs, shuffled = setting.measured, {}, random.Random(0)
    for name, way in ways.items():
        progress(f"{setting.name}: {name}")
        found.walls[name], found.cpus[name] = [], []
        way(1)  # compiles
        epochs[name] = max(1, min(LONGEST, round(seconds / way(1).wall)))
        way(epochs[name])  # compiles a loop for any number of epochs
    for number in range(repeats):
        progress(f"{setting.name}: round {number + 1} of {repeats}")
        if machine is not None:
            machine.measure()
        for name in shuffled.sample(list(ways), len(ways)):
            took, steps = ways[name](epochs[name]), epochs[name] * setting.steps
            found.walls[name].append(1e6 * took.wall / steps)
            found.cpus[name].append(1e6 * took.cpu / steps)


def through_the_product(name: str, folder: Path, threads: int, together: int = 1, runs: int = 1) -> float:
    """Microseconds per step of one model that `neurofit submit` trains: the time between events of the second half.

    With its validations, event file, history and checkpoints; without the start of its process. Of several runs at
    once, and repetitions together, the time is divided by their number.
    """
    import tensorflow as tf

    model, study = STUDIES[name], folder / f"study_{name}_{together}_{runs}"
    every = model.epochs // 20
    for part in ("jobs", "runners"):
        (study / part).mkdir(parents=True)
    rates = [RATE * (1 + 0.1 * number) for number in range(runs)]
    (study / "jobs" / "bench.py").write_text(
        PRODUCT.format(name=name, every=every, rates=rates, together=together, **asdict(model))
    )
    (study / "runners" / "local.yaml").write_text(f"backend: local\nresources:\n  cpus: {threads}\n")
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(HERE)}
    words = [sys.executable, "-m", "neurofit", "submit", "bench", "--yes", "--workers", str(runs)]
    ran = subprocess.run(words, cwd=study, env=environment, capture_output=True, text=True)
    events = list(study.glob("training_data/bench/**/events.out.tfevents.*"))
    if ran.returncode or not events:
        sys.exit(f"neurofit submit failed with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    half = every * 10  # an epoch after which the loop validated: others are written with the next such one
    took = []
    for path in events:
        times = {
            one.step: one.wall_time
            for one in tf.compat.v1.train.summary_iterator(str(path))
            if one.WhichOneof("what") == "summary"
        }
        took.append(times[model.epochs] - times[half])
    steps = (model.epochs - half) * model.images / BATCH
    return 1e6 * statistics.mean(took) / steps / together / runs


def set_up_tensorflow(threads: int) -> None:
    """Import TensorFlow with the settings of jobs and this number of threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def progress(text: str) -> None:
    print(text, file=sys.stderr)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one measurement, about")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--product", action="store_true")
    parser.add_argument("--together", type=int, nargs="+", default=[], metavar="N")
    parser.add_argument("--ndn3", type=Path, metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    options = parser.parse_args(words)
    if options.ndn3 is not None and not (options.ndn3 / "NDN.py").is_file():
        parser.error(f"--ndn3 {options.ndn3}: expected the folder that has NDN.py")
    set_up_tensorflow(options.threads)
    machine = Machine()
    found: dict[str, Measured] = {}
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            setting = Setting(name, options.threads, Path(folder), STUDIES[name])
            found[name] = setting.measured
            try:
                ways = dict(setting.ways(options.parts, options.ndn3, options.together))
                measure(setting, ways, options.repeats, options.seconds, machine)
            finally:
                setting.close()
            if options.product:
                progress(f"{name}: {SUBMIT}")
                took = through_the_product(name, Path(folder), options.threads)
                found[name].walls[SUBMIT], found[name].cpus[SUBMIT] = [took], []
                if options.together and name not in IN_TURN:
                    took = through_the_product(name, Path(folder), options.threads, TOGETHER, runs=2)
                    found[name].walls[BOTH], found[name].cpus[BOTH] = [took], []
    about = conditions([*load, os.getloadavg()[0]], options.threads, options.repeats)
    print("\n".join(table(about, found, machine)))
    if options.json:
        measured = {name: one.as_json(machine) for name, one in found.items()}
        rates = {"flops": machine.flops, "bytes": machine.bytes, "repeats": asdict(machine)}
        options.json.write_text(json.dumps({**about, "rates": rates, "models": measured}, indent=1) + "\n")
    if options.plot:
        plot(found, machine, options.plot)


# What is shown


def conditions(load: Sequence[float], threads: int, repeats: int) -> dict[str, Any]:
    """Where and how it was measured, for JSON; `load` is that of the machine, before and after."""
    return {
        "machine": {"processor": processor(), "cores": os.cpu_count(), "load": load},
        "versions": versions(),
        "threads": threads,
        "repeats": repeats,
        "date": time.strftime("%Y-%m-%d"),
    }


def heading(about: dict[str, Any]) -> list[str]:
    """The first lines of a table: the machine and the versions."""
    where, load = about["machine"], " → ".join(f"{one:.1f}" for one in about["machine"]["load"])
    return [
        f"{where['processor']}, {where['cores']} cores, load {load}, {about['date']}",
        ", ".join(f"{name} {version}" for name, version in about["versions"].items()),
    ]


def table(about: dict[str, Any], found: dict[str, Measured], machine: Machine) -> list[str]:
    """Lines of at most 100 columns."""
    lines = [
        *heading(about),
        f"threads: {about['threads']}, medians of {about['repeats']} rounds; "
        f"{machine.flops / 1e9:.0f} GFLOP/s, {machine.bytes / 1e9:.1f} GB/s per CPU second",
        "µs per step of one model, 16 images; ratios are of CPU time, × by hand within each round",
    ]
    for one in found.values():
        arithmetic = one.arithmetic(machine)
        lines += [
            "",
            f"{one.title}; {one.weights:,} weights",
            f"{one.flops / 1e6:,.2f} MFLOP a step: {1e6 * one.flops / machine.flops:,.0f} µs; "
            f"{one.bytes / 1e6:.2f} MB: {1e6 * one.bytes / machine.bytes:,.0f} µs",
            f"{'':<40}{'clock':>9}{'CPU time':>10}{'× by hand':>12}{'× arithmetic':>14}",
        ]
        for way, walls in one.walls.items():
            row = f"{way:<40}{statistics.median(walls):>9,.0f}"
            if one.cpus[way]:
                cpu = statistics.median(one.cpus[way])
                row += f"{cpu:>10,.0f}{one.beside_hand(way):>12.2f}{cpu / arithmetic:>14.1f}"
            lines.append(row)
        lines += [f"{way:<40} at most {size / 1e6:,.0f} MB of GPU memory" for way, size in one.memory.items()]
        lines += [f"{way:<40} not measured: {why}" for way, why in one.skipped.items()]
    return lines


def plot(found: dict[str, Measured], machine: Machine, path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        sys.exit(f"--plot {path}: matplotlib is not installed")
    matplotlib.use("agg")
    from matplotlib import pyplot, ticker

    counts = [len(one.walls) for one in found.values()]
    figure, axes = pyplot.subplots(
        len(found),
        figsize=(8, 1.0 + 0.8 * len(found) + 0.25 * sum(counts)),
        height_ratios=counts,
        squeeze=False,
        layout="constrained",
    )
    for axis, one in zip(axes[:, 0], found.values()):
        for place, (way, walls) in enumerate(one.walls.items()):
            times = one.cpus[way] or walls
            axis.hlines(place, one.arithmetic(machine), statistics.median(times), color="0.75", linewidth=9)
            axis.plot(times, [place] * len(times), "k.", markersize=3)
        line = axis.axvline(one.arithmetic(machine), color="C3", label="arithmetic alone")
        axis.set_yticks(range(len(one.walls)), list(one.walls))
        axis.invert_yaxis()
        axis.set(xscale="log", xlabel="µs")
        first, last = axis.get_xlim()
        steps = (1, 2, 5) if last > 20 * first else (1, 1.5, 2, 3, 4, 5, 6, 8)
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=steps))
        axis.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.set_title(one.title, fontsize="medium")
    figure.suptitle(
        "CPU time per step of one model (through submit: on the clock); dots: each round", fontsize="medium"
    )
    figure.legend(handles=[line], loc="outside lower right")
    figure.savefig(path, dpi=150)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    import keras
    import numpy as np
    import tensorflow as tf

    from neurofit import __version__

    return {
        "neurofit": __version__,
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "NumPy": np.__version__,
    }
