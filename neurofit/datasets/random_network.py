"""A small convolutional network with fixed random weights, in NumPy: responses can be planted in its layers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

LAYERS = {  # name: (side of the kernel, stride, filters)
    "layer1": (5, 2, 16),
    "layer2": (3, 2, 32),
    "layer3": (3, 2, 64),
    "layer4": (3, 2, 64),
}
SMALLEST = 39  # pixels: layer4 then has one place


@dataclass(frozen=True)
class RandomNetwork:
    """Four convolutions with strides and rectification, with weights that are random and never trained.

    Parameters
    ----------
    seed : int
        The seed alone decides the weights.
    """

    seed: int
    weights: dict[str, np.ndarray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rng, channels, weights = np.random.default_rng((11, self.seed)), 3, {}
        for name, (side, _, filters) in LAYERS.items():
            drawn = rng.normal(0, (2 / (side * side * channels)) ** 0.5, (side, side, channels, filters))
            weights[name] = (drawn - drawn.mean(axis=(0, 1, 2))).astype(np.float32)
            channels = filters
        object.__setattr__(self, "weights", weights)

    def features(self, images: np.ndarray, layer: str) -> np.ndarray:
        """Activations of a layer.

        Parameters
        ----------
        images : ndarray, shape (image, height, width, channel)
            RGB, 0 … 255.
        layer : str
            A name in LAYERS.

        Returns
        -------
        ndarray of float32, shape (image, unit)
        """
        values = np.asarray(images, np.float32) / 255 - 0.5
        for name, (side, stride, _) in LAYERS.items():
            windows = np.lib.stride_tricks.sliding_window_view(values, (side, side), axis=(1, 2))
            windows = windows[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
            values = np.maximum(np.tensordot(windows, self.weights[name], 3), 0)
            if name == layer:
                break
        return values.reshape(len(values), -1)
