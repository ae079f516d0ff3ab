"""CPU time per training step of one model of each architecture [µs]: plain, with XLA, and ten repetitions together.

scripts/bench architectures                 all of them, with the defaults of their arguments
scripts/bench architectures hsm what_where  some of them
scripts/bench architectures --json FILE --plot FILE

Batches of 16 images of 31 × 31 pixels, 103 neurons, simulated. The ways take turns, in a random order in each round;
the table has medians. `in turn`: TensorFlow cannot vectorise the model, or one step has room for one repetition only,
so that repetitions are trained one after the other in each epoch, as fast as alone. A star: neurofit trains these in
turn, because they have many weights. The defaults of `jit` and of `together` follow from this table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench_training import (
    BATCH,
    TOGETHER,
    Setting,
    Study,
    Way,
    conditions,
    heading,
    measure,
    set_up_tensorflow,
    timed,
)

NEURONS, IMAGES = 103, 1440
LEFT_OUT = {
    "penalty": "a part of architectures",
    "fine_tuned": "needs pretrained weights",
    "co_trained_cnn": "the same as shallow_cnn without labels",
    "conv_factorised_max": "conv_factorised with other penalties",
    "conv_factorised_norm2": "conv_factorised with other penalties",
}
WAYS = ("plain", "jit", "together", "together, jit")
IN_TURN = "in turn"


@dataclass
class Measured:
    """What was found for one architecture. Times of each round [µs of CPU time per step of one model]."""

    weights: int
    times: dict[str, list[float]] = field(default_factory=dict)
    why_in_turn: str = ""

    def cell(self, way: str) -> str:
        if way not in self.times:
            return IN_TURN
        star = " *" if self.why_in_turn and way.startswith("together") else ""
        return f"{statistics.median(self.times[way]):,.0f}{star}"


def names() -> list[str]:
    """The architectures that are measured."""
    from neurofit.models import architectures

    return [name for name in architectures.__all__ if name not in LEFT_OUT]


def ways_of(setting: Setting, found: Measured) -> dict[str, Way]:
    """The ways to train a model; those of repetitions together once it is known that TensorFlow vectorises it."""
    from bench_together import Together

    from neurofit.models.training_loop import group
    from neurofit.models.training_loop.vectorised import NotVectorised

    def together(jit: bool) -> Way:
        trained = Together(setting.name, TOGETHER, setting.images, setting.responses, jit=jit)
        return lambda epochs: timed(lambda: trained.train(epochs)).of_each(TOGETHER)

    ways = {"plain": setting.our_loop(jit=False), "jit": setting.our_loop(jit=True)}
    at_once = group.at_once(found.weights)
    if at_once < group.LEAST_AT_ONCE:
        found.why_in_turn = f"one step would train {at_once}"
    if at_once < 2:
        return ways
    try:
        for way, jit in (("together", False), ("together, jit", True)):
            made = together(jit)
            made(1)
            ways[way] = made
    except NotVectorised as reason:
        found.why_in_turn = str(reason)
    return ways


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench architectures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one measurement, about")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    options = parser.parse_args(words)
    wrong = [name for name in options.names if name not in names()]
    if wrong:
        why = LEFT_OUT.get(wrong[0], "there is no such architecture")
        parser.error(f"{wrong[0]}: {why}; expected some of {', '.join(names())}")
    set_up_tensorflow(options.threads)
    import keras

    load, found = [os.getloadavg()[0]], dict[str, Measured]()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or names():
            setting = Setting(name, options.threads, Path(folder), Study(NEURONS, IMAGES, name, epochs=0))
            found[name] = Measured(setting.measured.weights)
            measure(setting, ways_of(setting, found[name]), options.repeats, options.seconds)
            found[name].times = setting.measured.cpus
            keras.backend.clear_session()
    about = conditions([*load, os.getloadavg()[0]], options.threads, options.repeats)
    print("\n".join(table(about, found)))
    if options.json:
        measured = {name: asdict(one) for name, one in found.items()}
        options.json.write_text(json.dumps({**about, "architectures": measured}, indent=1) + "\n")
    if options.plot:
        plot(found, options.plot)


def table(about: dict[str, Any], found: dict[str, Measured]) -> list[str]:
    """Lines of at most 100 columns."""
    lines = [
        *heading(about),
        f"threads: {about['threads']}, medians of {about['repeats']} rounds",
        f"µs of CPU time per step of one model, {BATCH} images; together: {TOGETHER} repetitions",
        "",
        f"{'architecture':<24}{'weights':>10}" + "".join(f"{way:>15}" for way in WAYS),
    ]
    for name, one in found.items():
        lines.append(f"{name:<24}{one.weights:>10,}" + "".join(f"{one.cell(way):>15}" for way in WAYS))
    return lines


def plot(found: dict[str, Measured], path: Path) -> None:
    """A dot per way of each architecture, on a logarithmic axis."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit(f"--plot {path}: matplotlib is not installed") from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 1.2 + 0.3 * len(found)))
    for way, marker in zip(WAYS, "os^v"):
        places = [place for place, one in enumerate(found.values()) if way in one.times]
        times = [statistics.median(one.times[way]) for one in found.values() if way in one.times]
        axis.plot(times, places, marker, label=way, alpha=0.8)
    axis.set_yticks(range(len(found)), list(found))
    axis.invert_yaxis()
    axis.set(xscale="log", xlabel="CPU time per step of one model [µs]")
    axis.grid(axis="x", alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
