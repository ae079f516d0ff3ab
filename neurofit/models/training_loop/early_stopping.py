"""When to stop, when to reduce the learning rate, and which weights to keep: numbers in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from neurofit.models.training import Training


class Verdict(Enum):
    """What to do after a validation. DECAY returns to the best weights, with a lower learning rate."""

    BETTER = "better"
    WAIT = "wait"
    DECAY = "decay"  # back to the best weights, with a smaller learning rate
    STOP = "stop"


@dataclass(frozen=True)
class Progress:
    """How far a training is. `waited` counts epochs since the best one, or since the last decay."""

    learning_rate: float
    decays_left: int
    epoch: int = 0
    best_epoch: int | None = None
    best_loss: float | None = None
    waited: int = 0

    @classmethod
    def start(cls, training: Training) -> Progress:
        """The progress before the first epoch."""
        return cls(learning_rate=training.learning_rate, decays_left=training.decays)

    def after(self, loss: float, training: Training, passed: int) -> tuple[Progress, Verdict]:
        """The progress after a validation, `passed` epochs after the previous one; and what to do."""
        if self.best_loss is None or loss < self.best_loss - training.min_delta:
            return replace(self, best_epoch=self.epoch, best_loss=loss, waited=0), Verdict.BETTER
        waited = self.waited + passed
        if training.patience is None or waited < training.patience:
            return replace(self, waited=waited), Verdict.WAIT
        if not self.decays_left:
            return replace(self, waited=waited), Verdict.STOP
        smaller = self.learning_rate * training.decay
        return replace(self, waited=0, decays_left=self.decays_left - 1, learning_rate=smaller), Verdict.DECAY
