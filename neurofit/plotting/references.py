"""Published results to draw beside curves: mean validation correlation on the three regions of the Antolík data.

No number is corrected for the noise of the responses. Names are MODEL/REGION, such as `hsm/region1`.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurofit.errors import NameUnknown, nearest

_ANTOLIK = "doi:10.1371/journal.pcbi.1004927"
_KLINDT = "doi:10.48550/arXiv.1711.02653"
_THESIS = "msc-neuro thesis, region 1, after 35,000 epochs"
_SINGLE = {  # name: (title, value in regions 1, 2, 3, source); the best or only run that its authors report
    "hsm": ("HSM", (0.51, 0.43, 0.46), _ANTOLIK),
    "rln": ("rLN", (0.31, 0.24, 0.30), _ANTOLIK),
    "what-where": ("what/where", (0.55, 0.45, 0.49), _KLINDT),
    "lnp": ("LNP", (0.37, 0.30, 0.38), _KLINDT),
    "fc": ("fully connected readout", (0.47, 0.34, 0.43), _KLINDT + ", table 1"),
}
_RUNS = {  # name: (title, percentiles 50, 90, 10 over repetitions in each region, source)
    "hsm-runs": (
        "HSM, runs",
        ((0.479, 0.501, 0.442), (0.412, 0.435, 0.382), (0.437, 0.449, 0.419)),
        _ANTOLIK,
    ),
    "bl1": ("thesis bl1", ((0.42, 0.48, 0.30),), _THESIS),
    "bl2": ("thesis bl2", ((0.508, 0.521, 0.49),), _THESIS),
    "bl3": ("thesis bl3", ((0.50, 0.521, 0.492),), _THESIS),
    "bl4": ("thesis bl4", ((0.514, 0.531, 0.498),), _THESIS),
}


@dataclass(frozen=True)
class Reference:
    """A published result: drawn as a line at `value`, with a band from `bottom` to `top` if both are known.

    Parameters
    ----------
    name : str
        Key in REFERENCES.
    title : str
        Text beside the line.
    value : float
    source : str
        Where it was published.
    top, bottom : float, optional
        Percentiles 90 and 10 over runs.
    """

    name: str
    title: str
    value: float
    source: str
    top: float | None = None
    bottom: float | None = None


def _table() -> dict[str, Reference]:
    found = {}
    for name, (title, values, source) in _SINGLE.items():
        for region, value in enumerate(values, start=1):
            key = f"{name}/region{region}"
            found[key] = Reference(key, f"{title}, region {region}", value, source)
    for name, (title, percentiles, source) in _RUNS.items():
        for region, (value, top, bottom) in enumerate(percentiles, start=1):
            key = f"{name}/region{region}"
            found[key] = Reference(key, f"{title}, region {region}", value, source, top, bottom)
    return found


REFERENCES = _table()


def reference(name: str) -> Reference:
    """The published result of this name, or a line at a number: "hsm/region1", ".47", "ours=.47".

    Parameters
    ----------
    name : str
        A name of REFERENCES, a number, or NAME=NUMBER.

    Returns
    -------
    Reference

    Raises
    ------
    NameUnknown
        The name is unknown, and is not a number.
    """
    if name in REFERENCES:
        return REFERENCES[name]
    title, equals, number = name.rpartition("=")
    try:
        return Reference(name, title if equals else number, float(number), "given")
    except ValueError:
        raise NameUnknown(
            f"There is no reference '{name}'.{nearest(name, REFERENCES)} References: {', '.join(REFERENCES)}; "
            "or a number, such as ours=0.47."
        ) from None
