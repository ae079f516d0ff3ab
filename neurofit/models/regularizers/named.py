"""Penalties by the names that NDN gives them."""

from __future__ import annotations

from neurofit.errors import UsageError, nearest
from neurofit.models.regularizers.competition import Glocal, Local, Max, MaxFilters, MaxSpace
from neurofit.models.regularizers.penalty import L1, L2, Norm2, OnKernel, Orthogonal, Penalty
from neurofit.models.regularizers.smoothness import Center, Laplacian

KEYS = {
    "l1": (L1, {}),
    "l2": (L2, {}),
    "norm2": (Norm2, {}),
    "max": (Max, {}),
    "max_filt": (MaxFilters, {}),
    "max_space": (MaxSpace, {}),
    "d2x": (Laplacian, {"axes": (0, 1)}),
    "d2t": (Laplacian, {"axes": (2,)}),
    "d2xt": (Laplacian, {"axes": (0, 1, 2)}),
    "local": (Local, {}),
    "glocal": (Glocal, {}),
    "center": (Center, {}),
    "orth": (Orthogonal, {}),
}

OF_FACTORS = {"norm2_filt": "what", "norm2_space": "where"}


def named(key: str, strength: float | None, grid: tuple[int, int, int] | None = None) -> Penalty | None:
    """The penalty that NDN calls `key`; None if the strength is 0 or None.

    Parameters
    ----------
    key : str
        One of KEYS.
    strength : float or None
        The penalty's factor λ.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis, for penalties that know places or channels.

    Returns
    -------
    Penalty or None

    Raises
    ------
    UsageError
        There is no such key, or the strength is below 0.
    """
    if key not in KEYS:
        of = OF_FACTORS.get(key)
        offer = f" It is norm2 on a readout's {of}: {of}_regularizer=Norm2(λ)." if of else nearest(key, KEYS)
        raise UsageError(f"No penalty '{key}'.{offer} There are: {', '.join(KEYS)}.")
    if not strength:
        return None
    kind, settings = KEYS[key]
    where = {"grid": grid} if issubclass(kind, OnKernel) else {}
    return kind(strength, **settings, **where)
