"""A program that extracts a layer of a small network of Keras: `keras_network.py STUDY LAYER STOP_AFTER`.

It prints "ready" before it begins, writes a line per batch to `batches.txt`, and after STOP_AFTER images prints
"waiting" and does nothing until it is killed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from neurofit import features
from neurofit.datasets.pixels import PixelFormat
from neurofit.datasets.stimulus_set import StimulusSet


def pictures() -> StimulusSet:
    pixels = np.random.default_rng(0).integers(0, 256, (160, 16, 16, 3)).astype(np.uint8)
    return StimulusSet.from_array("noise", pixels, PixelFormat(0, 255, "rgb"))


def small():
    import keras

    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="first"),
            keras.layers.Conv2D(2, 3, name="last"),
        ]
    )


class Noted:
    """A loaded network that notes its batches, and stops."""

    def __init__(self, data: Path, batches: Path | None = None, stop_after: int = sys.maxsize) -> None:
        self.network = features.Network(small, seed=4, pixels="torch").load(16, 16, data)
        self.batches, self.stop_after = batches, stop_after

    def __getattr__(self, name):
        return getattr(self.network, name)

    def forward(self, layers, batch):
        run, seen = self.network.forward(layers, batch), 0

        def noted(images):
            nonlocal seen
            if seen >= self.stop_after:
                print("waiting", flush=True)
                time.sleep(600)
            seen += len(images)
            if self.batches is not None:
                with self.batches.open("a") as file:
                    file.write(",".join(layers) + "\n")
            return run(images)

        return noted


def main(root: str, layer: str, stop_after: str) -> None:
    study = Path(root)
    network = Noted(study / "data", study / "batches.txt", int(stop_after))
    print("ready", flush=True)
    found = features.extract(network, pictures(), layer, study=study)[layer]
    print("done", found.record.origin["resumed_at"], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
