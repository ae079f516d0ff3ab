"""Features: the activations of networks for the images of a stimulus set, on disk, one file per layer.

Modules: `networks` (which network, its weights, its pixel format), `layers` (names, globs, aliases), `keys` (what
the features depend on), `extraction` (the forward pass and the files), `matrix` (features as they are read),
`layer_inputs` (a layer as the input of a model), `registration` (features made elsewhere). The files themselves are
described in `store/features.py`. Names load on first use.
"""

from __future__ import annotations

from neurofit.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
