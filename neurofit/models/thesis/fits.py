"""The thesis' way to train, and its recordings: regions of mouse V1, one or several at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurofit.models.fit import Fit
from neurofit.models.training import Training

REGION_1 = "antolik_2016/region1"
OWN = {"inputs": "global", "statistics": "own"}  # mean 0 and std 1, each part by its own statistics
SPLIT = {"monitor_test": True}  # no validation images were kept back: the monitored set is the reported one
NEURONS = {1: 103, 2: 55, 3: 102}  # of the regions
SIMULATED_IMAGES, SIMULATED_TEST = 450, 50  # of a simulated region


def fit(
    architecture: Callable,
    *,
    data: str | Callable = REGION_1,
    standardise: Any = OWN,
    epochs: int = 5_000,
    learning_rate: float = 1e-3,
    loss: str = "poisson",
    validate_every: int = 100,
    jit: bool = True,
    kind: type[Fit] = Fit,
) -> Fit:
    """A fit as the thesis made them: Adam, batches of 16, constant learning rate, no early stopping.

    The last weights are kept. A neuron's Poisson loss is divided by its mean response over training and
    monitored images, as in NDN.
    """
    training = Training(
        epochs=epochs,
        batch_size=16,
        learning_rate=learning_rate,
        loss=loss,
        unit_rates="train+monitored" if loss == "poisson" else "none",
        validate_every=validate_every,
        jit=jit,
    )
    return kind(architecture, data=data, training=training, split=SPLIT, standardise=standardise)


def several_regions(*, regions: Any = (1,), data: str = "antolik_2016") -> Any:
    """The recordings of these regions, stacked: responses block-diagonal, with a mask.

    data="simulated" gives as many simulated neurons per region, other images for each, in the recordings'
    range.
    """
    if data == "simulated":
        from neurofit import datasets

        return datasets.stack([_simulated(int(number)) for number in regions])
    return f"{data}/{'+'.join(f'region{number}' for number in regions)}"


def one_region(*, region: int = 1, data: str = "antolik_2016") -> Any:
    """`several_regions` of one."""
    return several_regions(regions=[region], data=data)


def _simulated(number: int) -> Any:
    from neurofit import datasets

    made = datasets.simulate(
        n_images=SIMULATED_IMAGES, n_test=SIMULATED_TEST, n_neurons=NEURONS.get(number, 50), seed=number
    )
    name = f"simulated/region{number}"
    images = {"image": made.inputs["image"] * 1e-6}  # 0 … 2.55e-4, as the recordings have them
    return made.derived(name=name, inputs=images, neurons=made.neurons.assign(recording=name))
