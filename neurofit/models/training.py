"""How a model is trained: plain values, cheap to import, each of them an axis that a grid may set."""

from __future__ import annotations

from dataclasses import dataclass, fields

from neurofit.errors import GridError, nearest

LOSSES = ("poisson", "gaussian", "bernoulli", "gamma")
OPTIMIZERS = ("adam", "adamw", "sgd")
RATES = ("none", "train", "train+monitored")


@dataclass(frozen=True)
class Training:
    """Settings of one training.

    Parameters
    ----------
    epochs : at most; every image once per epoch, in an order that seed and epoch decide
    batch_size : images per step; an epoch's last, smaller batch is a step of its own
    learning_rate : of every step, until `decays` change it
    optimizer : "adam" (β₁ .9, β₂ .999, ε 1e-8), "adamw" or "sgd"
    weight_decay : of adamw: the share, times the learning rate, that a weight loses per step
    momentum : of sgd
    loss : "poisson" or "gaussian": summed over neurons, mean over images
    unit_rates : what a neuron's Poisson loss is divided by: "none" (nothing), "train" (its mean response to the
        training images: each spike counts alike), "train+monitored" (as NDN did, which leaks the monitored images)
    validate_every : epochs between two looks at the monitored set
    patience : epochs without a better validation loss until training stops, or the learning rate decays; the best
        weights are kept. None: train to the last epoch, and keep the last weights
    min_delta : how much lower a loss must be to be better
    decay, decays : instead of stopping, go back to the best weights with learning_rate × decay, this many times
    checkpoint_minutes : between checkpoints
    jit : compile a step with XLA: up to twice as many steps per second for small models on a CPU, 2 s later
    """

    epochs: int = 200
    batch_size: int = 16
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    loss: str = "poisson"
    unit_rates: str = "none"
    validate_every: int = 1
    patience: int | None = None
    min_delta: float = 0.0
    decay: float = 0.3
    decays: int = 0
    checkpoint_minutes: float = 1.0
    jit: bool = False

    def __post_init__(self) -> None:
        for name, known in (("optimizer", OPTIMIZERS), ("loss", LOSSES), ("unit_rates", RATES)):
            _one_of(name, getattr(self, name), known)
        for name in ("epochs", "batch_size", "validate_every"):
            _number(name, getattr(self, name), int, above=0)
        for name in ("learning_rate", "decay", "checkpoint_minutes"):
            _number(name, getattr(self, name), float, above=0)
        for name in ("weight_decay", "momentum", "min_delta"):
            _number(name, getattr(self, name), float, least=0)
        _number("decays", self.decays, int, least=0)
        if self.patience is not None:
            _number("patience", self.patience, int, above=0)
        self._nothing_in_vain()

    def _nothing_in_vain(self) -> None:
        vain = {
            "weight_decay": self.weight_decay and self.optimizer != "adamw" and "optimizer 'adamw'",
            "momentum": self.momentum and self.optimizer != "sgd" and "optimizer 'sgd'",
            "unit_rates": self.unit_rates != "none" and self.loss != "poisson" and "loss 'poisson'",
            "decays": self.decays and self.patience is None and "a patience",
        }
        for name, needed in vain.items():
            if needed:
                raise GridError(f"Training: {name}={getattr(self, name)!r} does nothing without {needed}.")


FIELDS = {field.name: field.default for field in fields(Training)}


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise GridError(f"Training: {name}={value!r}; known are {', '.join(known)}.{nearest(str(value), known)}")


def _number(name: str, value: object, kind: type, *, above: float | None = None, least: float | None = None) -> None:
    kinds = (int,) if kind is int else (int, float)
    low, sign = (above, ">") if above is not None else (least, "≥")
    good = isinstance(value, kinds) and not isinstance(value, bool)
    if not good or not (value > low if above is not None else value >= low) or value == float("inf"):
        what = "a whole number" if kind is int else "a number"
        raise GridError(f"Training: {name}={value!r}; expected {what} {sign} {low}.")
