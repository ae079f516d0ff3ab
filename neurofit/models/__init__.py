"""Layers, penalties, losses, architectures, and `Fit`, which trains models. TensorFlow is used only here.

Names load on first use (PEP 562). `Fit` and `Training` do not import Keras. The other names do, and Keras
then uses its own defaults, whatever `~/.keras/keras.json` says.
"""

from __future__ import annotations

from neurofit.environment import settle_keras
from neurofit.lazy import attach

settle_keras()
__getattr__, __dir__, __all__ = attach(__name__, __file__)
