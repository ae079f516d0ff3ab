"""The independent random streams of a task.

The seed of a stream is the first 31 bits of sha256("neurofit <stream> <seed>"): similar seeds give unrelated
streams, and every version of neurofit gives the same ones. The seed is the number of the repetition; for `split`,
it is 0 unless each repetition has its own split.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Seeds:
    """Seeds of the streams of a task, each in [0, 2³¹).

    Parameters
    ----------
    seed : int
        The number of the repetition.
    split_by : {None, "repetition", "fold"}, default None
        As in `Experiment`.

    Attributes
    ----------
    init : int
        For the initial values of parameters.
    shuffle : int
        For the order of the data.
    noise : int
        For dropout and simulations.
    split : int
        For the split of the data.
    """

    seed: int
    split_by: str | None = None

    @property
    def init(self) -> int:
        return stream("init", self.seed)

    @property
    def shuffle(self) -> int:
        return stream("shuffle", self.seed)

    @property
    def noise(self) -> int:
        return stream("noise", self.seed)

    @property
    def split(self) -> int:
        """The same for all repetitions unless split_by is "repetition": folds are parts of one split."""
        return stream("split", self.seed if self.split_by == "repetition" else 0)

    def record(self) -> dict[str, int]:
        """The seeds of all streams, by name."""
        return {"init": self.init, "shuffle": self.shuffle, "noise": self.noise, "split": self.split}


def stream(name: str, seed: int) -> int:
    """The seed of the stream of this name."""
    digest = hashlib.sha256(f"neurofit {name} {seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
