"""The independent random streams of a task.

Each is the first 31 bits of sha256("neurofit <stream> <seed>"), so that nearby seeds share nothing and other
versions draw the same. The seed is the repetition; `split` takes 0 for every repetition unless they are to
differ in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Seeds:
    """Seeds in [0, 2³¹) for initialisation, the order of the data, noise (dropout, simulation), and the
    split.
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
        """The same for all repetitions (folds are parts of one split), unless split_by is "repetition"."""
        return stream("split", self.seed if self.split_by == "repetition" else 0)

    def record(self) -> dict[str, int]:
        """All of them, by name."""
        return {"init": self.init, "shuffle": self.shuffle, "noise": self.noise, "split": self.split}


def stream(name: str, seed: int) -> int:
    digest = hashlib.sha256(f"neurofit {name} {seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
