"""How much memory a map takes, forecast before the work starts, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass

from neurofit import process
from neurofit.errors import UsageError

LEAST_UNITS, MOST_UNITS = 64, 8192  # of a block: enough for fast products, and no more than helps
SHARE = 0.8  # of what is available, unless a limit is set
LIBRARIES = 128 * 2**20  # buffers of BLAS and LAPACK, and code that loads on first use [bytes]
OF_A_FIT = 6  # matrices (image, image) beside the products: kernel, eigenvectors, LAPACK's workspace


@dataclass(frozen=True)
class Forecast:
    """The memory of the products and of a fit to them, beyond what the process uses already.

    Parameters
    ----------
    products, fit, units : int
        Bytes of the products of all bands, of the largest step of a fit, and of one unit of a block.
    block : int
        Units that are read at a time.
    """

    products: int
    fit: int
    units: int
    block: int

    @property
    def total(self) -> int:
        """Bytes."""
        return LIBRARIES + self.products + max(self.fit, self.units * self.block)


def available_bytes(memory_gb: float | None = None) -> tuple[int | None, str]:
    """Bytes that may be used and what sets them, in words; None if nothing is known.

    Parameters
    ----------
    memory_gb : float, optional
        Memory of the whole process [GB of 2³⁰ bytes]. Default: 80 % of what it can still take, as its control
        group, its limits and the host say.
    """
    room = process.memory_available()
    if memory_gb is not None:
        if not memory_gb > 0:
            raise UsageError(f"memory_gb={memory_gb!r}: expected a number of GB > 0.")
        asked = max(int(memory_gb * 2**30) - process.memory_used(), 0)
        if room is None or asked <= room:
            return asked, f"memory_gb={memory_gb:g} less what this process uses already"
        return room, f"memory_gb={memory_gb:g}, but this process can take no more than that"
    if room is None:
        return None, "no limit is known"
    return int(SHARE * room), f"{SHARE:.0%} of what this process can still take"


def forecast(
    images: int, units: int, bands: int = 1, neurons: int = 0, *, memory_gb: float | None = None
) -> Forecast:
    """Forecast the memory of the products (image, image) and of a map fitted to them, and choose the block.

    Parameters
    ----------
    images, units : int
        Of the widest band.
    bands, neurons : int
    memory_gb : float, optional
        See `available_bytes`.

    Returns
    -------
    Forecast

    Raises
    ------
    UsageError
        If it does not fit, with both numbers.
    """
    square = 8 * images * images
    per_unit = 16 * images + 16 * neurons  # as read, at most float64, and centred, in float64
    products, fit = bands * square, OF_A_FIT * square + 4 * 8 * images * neurons
    room, why = available_bytes(memory_gb)
    if room is None:
        return Forecast(products, fit, per_unit, min(units, MOST_UNITS))
    block = min(units, MOST_UNITS, max((room - LIBRARIES - products) // per_unit, 0))
    least = LIBRARIES + products + max(fit, per_unit * min(units, LEAST_UNITS))
    if least > room:
        raise UsageError(
            f"A map from {images:,} images needs {_gb(least)} of memory ({bands} × {images:,} × {images:,} "
            f"products, and the work of a fit), and {_gb(room)} may be used ({why}). Set a larger memory_gb, ask "
            "the queue for more memory, or use fewer images or bands."
        )
    return Forecast(products, fit, per_unit, block)


def fits_in_memory(what: str, needed: int, memory_gb: float | None = None) -> None:
    """Raise UsageError with both numbers unless this number of bytes may be used."""
    room, why = available_bytes(memory_gb)
    if room is not None and needed > room:
        raise UsageError(f"{what} needs {_gb(needed)} of memory, and {_gb(room)} may be used ({why}).")


def _gb(size: int) -> str:
    return f"{size / 2**30:,.2f} GB"
