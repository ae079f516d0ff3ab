"""A network of NumPy that notes which images it sees, and a program that extracts its features.

As a program: `numpy_network.py STUDY LAYERS [--stop-after IMAGES]` extracts layers; with --stop-after it prints
"waiting" after so many images and then does nothing until it is killed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurofit.datasets.pixels import PixelFormat
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.study import Study

UNIT = PixelFormat(0, 1, "rgb")


def stimuli(count: int = 100, seed: int = 0) -> StimulusSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 6, 5, 3)).astype(np.uint8)
    return StimulusSet.from_array(
        "noise", pixels, PixelFormat(0, 255, "rgb"), ids=[f"image {number}" for number in range(count)]
    )


@dataclass
class NumpyNetwork:
    """Three layers: sums over channels, sums over rows, and all values times the weight."""

    weight: float = 2.0
    name: str = "sums"
    weights: str = "given"
    pixels: PixelFormat = UNIT
    layers: tuple[str, ...] = ("channels", "rows", "all")
    architecture_digest: str = "sums"
    seen: list[int] = field(default_factory=list)  # images per batch
    passes: list[tuple[str, ...]] = field(default_factory=list)
    stop_after: int | None = None
    batches: Path | None = None  # a file with one line per batch

    @property
    def weights_digest(self) -> str:
        return repr(self.weight)

    def unit_shape(self, layer):
        return {"channels": (6, 5), "rows": (5, 3), "all": (6, 5, 3)}[layer]

    def outputs(self, images, layers):
        every = {"channels": images.sum(-1), "rows": images.sum(1), "all": images}
        return [every[layer] * np.float32(self.weight) for layer in layers]

    def forward(self, layers, batch):
        self.passes.append(tuple(layers))

        def run(images):
            assert len(images) == batch, "every batch has the compiled shape"
            if self.stop_after is not None and sum(self.seen) >= self.stop_after:
                print("waiting", flush=True)
                time.sleep(600)
            self.seen.append(len(images))
            if self.batches is not None:
                with self.batches.open("a") as file:
                    file.write(",".join(layers) + "\n")
            return self.outputs(images, layers)

        return run


def main(root: str, layers: str, stop_after: str = "") -> None:
    from neurofit import features

    study = Study(Path(root))
    network = NumpyNetwork(
        stop_after=int(stop_after) if stop_after else None, batches=study.root / "batches.txt"
    )
    found = features.extract(network, stimuli(), layers.split(","), study=study)
    print("done", *found, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
