"""What a trained model computes and what its weights look like, as arrays that `neurofit.plotting` draws.

A model's inputs are in its *normalised* units (`normalisation.json` of its task). So is every image that
these functions take or return, unless a name says pixels; `Units` converts. Every function takes a Keras
model with one image input and one or several outputs (readouts); neurons are counted through all outputs in
order. Names load on first use.
"""

from __future__ import annotations

from neurofit.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
