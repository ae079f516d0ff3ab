"""How a model is trained: plain values, cheap to import. Each of them can be an axis of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from neurofit.errors import GridError, nearest

LOSSES = ("poisson", "gaussian", "mean_squared", "bernoulli", "gamma")
OPTIMIZERS = ("adam", "adamw", "sgd", "lbfgs")
RATES = ("none", "train", "train+monitored")
TURNS = ("none", "recording")
LEAST_ROUND = 10  # iterations of L-BFGS between two validations


@dataclass(frozen=True)
class Training:
    """Settings of one training.

    Parameters
    ----------
    epochs : int, default 200
        Largest number of epochs. Every image is used once per epoch; the order depends on the seed and the
        epoch.
    batch_size : int, default 16
        Images per step. The last, smaller batch of an epoch is a step too.
    learning_rate : float, default 1e-3
        Of every step, until `decays` changes it.
    optimizer : {"adam", "adamw", "sgd", "lbfgs"}
        "adam" has β₁ = .9, β₂ = .999, ε = 1e-8. "lbfgs" is SciPy's, in float64, with all images at once: an
        epoch is one iteration, and its estimate of the curvature starts again after each validation.
    weight_decay : float, default 0
        For "adamw": per step, a weight loses this share of itself, times the learning rate.
    momentum : float, default 0
        For "sgd".
    loss : {"poisson", "gaussian", "mean_squared", "bernoulli", "gamma"}
        Summed over neurons, mean over images; "mean_squared" is the mean over both. See `models.losses`.
    unit_rates : {"none", "train", "train+monitored"}
        What each neuron's Poisson loss is divided by: nothing; its mean response to the training images, so
        that every spike counts the same; or its mean response to training and monitored images, as in NDN,
        which leaks the monitored images.
    validate_every : int, default 1
        Epochs between two validations.
    patience : int, optional
        Epochs without a better validation loss until training stops, or the learning rate decays; the best
        weights are kept. None trains to the last epoch and keeps the last weights.
    min_delta : float, default 0
        How much lower a validation loss must be to count as better.
    decay : float, default 0.3
        Factor of the learning rate at each decay, in (0, 1].
    decays : int, default 0
        How many times training returns to the best weights with a lower learning rate instead of stopping.
    decay_every : int, optional
        Epochs after which the learning rate is multiplied by `decay`, again and again, whatever the validation
        loss is. `decay_every=5, decay=0.1` is `StepLR(5, 0.1)` of PyTorch.
    rate_factors : mapping of str to float, default {}
        What the learning rate of some weights is multiplied by: names or globs, as for `freeze`, and numbers > 0.
        The first one that matches a weight counts. Kept as pairs.
    turns : {"none", "recording"}
        With "recording", every batch has images of one recording, the recordings take turns, and shorter ones
        are repeated until the longest is complete. With "none", batches are drawn from all images.
    start : str, optional
        Path of a finished task below the study whose weights are used where they fit; `{repetition}` stands
        for this task's repetition. See `fitting.warm_start.take_over`.
    path : str, optional
        A regularisation path: the name of an argument of the architecture, such as "smoothness".
    strengths : tuple of float, default ()
        Ascending values of that argument. There is one training for each, starting from the weights of the
        previous one. The validation loss selects one of them.
    freeze : tuple of str, default ()
        Names of layers ("core") or single weights ("neurons/where") that are not trained. Layers of a nested model
        are "network/conv1_conv"; names can be globs, such as "network/conv[1-3]_*".
    label_weight : float, default 1
        With `Fit(label=…)`: the loss is the response loss + this weight × the cross-entropy of the label (mean over
        images that have one). 0 trains as without the label. Validation and patience see the response loss alone.
    checkpoint_minutes : float, default 1
        Minutes between checkpoints.
    jit : bool, optional
        Compile each step with XLA. On a CPU, models without convolutions make up to twice as many steps per second,
        and convolutions are often slower; compilation takes 1 to 2 s. None: where that was measured to be faster, see
        `training_loop.program.is_faster_compiled`. The fact `jit` says what was done.
    together : int, default 1
        How many repetitions of a run one program trains: repetitions 0 to together − 1, then the next ones. Each has
        the weights that it has alone, but for rounding. A group is always trained whole, even if the experiment has
        fewer repetitions, so choose a divisor of their number. Small models without convolutions are trained several
        times as fast; others in turn, which saves only the start of their processes.

    Raises
    ------
    GridError
        If a value is not valid, or has no effect with the other values.
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
    turns: str = "none"
    start: str | None = None
    path: str | None = None
    strengths: tuple[float, ...] = ()
    freeze: tuple[str, ...] = ()
    checkpoint_minutes: float = 1.0
    # False was the default, and stays no part of ids
    jit: bool | None = field(default=None, metadata={"also_default": (False,)})
    decay_every: int | None = field(default=None, metadata={"in_settings": "if changed"})
    label_weight: float = field(default=1.0, metadata={"in_settings": "if changed"})
    rate_factors: tuple[tuple[str, float], ...] = field(default=(), metadata={"in_settings": "if changed"})
    together: int = field(default=1, metadata={"in_settings": "if changed"})

    @classmethod
    def klindt(cls, **changes: Any) -> Training:
        """The recipe of Klindt et al.

        Adam at 1e-3, batches of 256, validation every 50 steps, a patience of ten validations, and the
        learning rate cut to a third twice. Intervals are in epochs of 1,440 images (6 steps).
        docs/training.md lists the differences from the authors' code.

        Parameters
        ----------
        **changes : object
            Values that replace those of the recipe.

        Returns
        -------
        Training

        References
        ----------
        D. Klindt, A. Ecker, T. Euler and M. Bethge (2017), doi:10.48550/arXiv.1711.02653.
        """
        recipe = {
            "epochs": 5_000,
            "batch_size": 256,
            "learning_rate": 1e-3,
            "validate_every": 8,
            "patience": 80,
            "decay": 1 / 3,
            "decays": 2,
        }
        return cls(**{**recipe, **changes})

    @property
    def dtype(self) -> str:
        """Dtype of weights and data during training."""
        return "float64" if self.optimizer == "lbfgs" else "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "freeze", _names("freeze", self.freeze))
        object.__setattr__(self, "rate_factors", _factors("rate_factors", self.rate_factors))
        object.__setattr__(self, "strengths", _ascending("strengths", self.strengths))
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("loss", LOSSES),
            ("unit_rates", RATES),
            ("turns", TURNS),
        ):
            _one_of(name, getattr(self, name), known)
        if self.start is not None and not isinstance(self.start, str):
            raise GridError(f"Training: start={self.start!r}; expected the path of a task's folder, as text.")
        for name in ("epochs", "batch_size", "validate_every", "together"):
            _number(name, getattr(self, name), int, above=0)
        for name in ("learning_rate", "decay", "checkpoint_minutes"):
            _number(name, getattr(self, name), float, above=0)
        for name in ("weight_decay", "momentum", "min_delta", "label_weight"):
            _number(name, getattr(self, name), float, least=0)
        _number("decays", self.decays, int, least=0)
        if self.decay > 1:
            raise GridError(
                f"Training: decay={self.decay!r}; expected a number ≤ 1, by which the rate is multiplied."
            )
        if self.jit is not None and not isinstance(self.jit, bool):
            raise GridError(
                f"Training: jit={self.jit!r}; expected True or False, or None to let neurofit choose."
            )
        for name in ("patience", "decay_every"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), int, above=0)
        self._check_effects()

    def _check_effects(self) -> None:
        needs = {  # setting → what it has no effect without
            "weight_decay": self.weight_decay and self.optimizer != "adamw" and "optimizer 'adamw'",
            "momentum": self.momentum and self.optimizer != "sgd" and "optimizer 'sgd'",
            "unit_rates": self.unit_rates != "none" and self.loss != "poisson" and "loss 'poisson'",
            "decays": self.decays and self.patience is None and "a patience",
            "decay_every": self.decay_every is not None and self.decay == 1 and "a decay below 1",
            "min_delta": self.min_delta and self.patience is None and "a patience",
            "strengths": self.strengths and self.path is None and "a path",
            "path": self.path is not None and len(self.strengths) < 2 and "two strengths or more",
        }
        if self.optimizer == "lbfgs":
            self._check_lbfgs()
        if self.together > 1 and self.path is not None:
            raise GridError(
                f"Training: together={self.together} and path={self.path!r} do not go together: the repetitions of a "
                "regularisation path choose their strengths at different times. Leave together out."
            )
        if self.decays and self.decay_every is not None:
            raise GridError(
                f"Training: decays={self.decays} and decay_every={self.decay_every} both lower the learning rate. "
                "Leave one of them out."
            )
        for name, needed in needs.items():
            if needed:
                raise GridError(f"Training: {name}={getattr(self, name)!r} has no effect without {needed}.")

    def _check_lbfgs(self) -> None:
        for name in ("batch_size", "learning_rate", "decays", "decay_every", "rate_factors", "jit", "turns"):
            if getattr(self, name) not in (FIELDS[name], False):
                raise GridError(
                    f"Training: {name}={getattr(self, name)!r} has no effect with optimizer 'lbfgs', which "
                    "takes all images at once and computes its own step sizes."
                )
        if self.validate_every < LEAST_ROUND:
            raise GridError(
                f"Training: validate_every={self.validate_every} with optimizer 'lbfgs', which restarts "
                f"after each validation; expected a whole number ≥ {LEAST_ROUND}, such as 100."
            )


FIELDS = {field.name: field.default for field in fields(Training)}


def _names(name: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, (list, tuple)) and all(isinstance(one, str) for one in given):
        return tuple(given)
    raise GridError(
        f"Training: {name}={given!r}; expected a list of names, such as ['core', 'neurons/where']."
    )


def _factors(name: str, given: Any) -> tuple[tuple[str, float], ...]:
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    if isinstance(pairs, (list, tuple)) and all(
        isinstance(one, (list, tuple))
        and len(one) == 2
        and isinstance(one[0], str)
        and _is_strength(one[1])
        and one[1] > 0
        for one in pairs
    ):
        return tuple((pattern, factor) for pattern, factor in pairs)
    raise GridError(
        f"Training: {name}={given!r}; expected names of layers or weights, each with a number > 0, such as "
        "{'network/*': 0.1}."
    )


def _ascending(name: str, given: Any) -> tuple[float, ...]:
    numbers = isinstance(given, (list, tuple)) and all(_is_strength(one) for one in given)
    if not numbers or any(one >= other for one, other in itertools.pairwise(given)):
        raise GridError(
            f"Training: {name}={given!r}; expected ascending numbers ≥ 0, such as [0.01, 0.1, 1]."
        )
    return tuple(given)


def _is_strength(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise GridError(
            f"Training: {name}={value!r}; expected one of {', '.join(known)}.{nearest(str(value), known)}"
        )


def _number(
    name: str, value: Any, kind: type, *, above: float | None = None, least: float | None = None
) -> None:
    kinds = (int,) if kind is int else (int, float)
    low, sign = (above, ">") if above is not None else (least or 0, "≥")
    good = isinstance(value, kinds) and not isinstance(value, bool) and value != float("inf")
    if not good or not (value > low if above is not None else value >= low):
        what = "a whole number" if kind is int else "a number"
        raise GridError(f"Training: {name}={value!r}; expected {what} {sign} {low}.")
