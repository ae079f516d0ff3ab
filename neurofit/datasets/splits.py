"""Which images a model is trained on, monitored on, and tested on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurofit.datasets.dataset import Dataset
from neurofit.errors import DataError

RULES = ("greedy", "exact")


@dataclass(frozen=True)
class Split:
    """Sizes of the parts: a float is a share of all images (0 … 1), an int is a number of images.

    Parameters
    ----------
    train : float or int, optional
        None = all remaining images; with a share or a number, the surplus stays unused.
    validation : float or int, default 0.15
        0 = none (no early stopping, no search).
    test : float or int, default 0.2
        Not used if the data set has an official test set, or there are folds.
    monitor_test : bool, default False
        As in the thesis: there is no validation set; the test set is monitored *and* reported, and
        `Parts.monitors_test` is True.
    ignore_groups : bool, default False
        As published splits were made: images in the order of `numpy.random.default_rng(seed).permutation`,
        the first `train` of them, then `validation`, then `test`. Copies of a test image can then be in the
        training set, which raises the scores of every model, more so the more it can memorise. Use it only
        for comparison with published numbers.
    rule : {"greedy", "exact"}
        How groups are chosen for a part. "exact" meets the requested size if some set of groups does, and
        otherwise comes as near as groups allow. "greedy" takes groups in random order while each brings the
        size nearer, and can overshoot by most of a group; it is the default so that existing scripts keep
        their splits. `Parts.overshot` names the parts that it missed.

    Raises
    ------
    DataError
        If a size or the rule is not valid.
    """

    train: float | int | None = None
    validation: float | int = 0.15
    test: float | int = 0.2
    monitor_test: bool = False
    ignore_groups: bool = field(
        default=False, metadata={"in_settings": "if changed"}
    )  # runs of before it keep their ids
    rule: str = field(default="greedy", metadata={"in_settings": "if changed"})

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise DataError(f"Split(rule={self.rule!r}): expected one of {', '.join(map(repr, RULES))}.")
        for name in ("train", "validation", "test"):
            _check_amount(name, getattr(self, name))


@dataclass(frozen=True)
class Parts:
    """The parts of a split data set. No group of images is in two of them.

    Parameters
    ----------
    train : Dataset
    validation : Dataset or None
    test : Dataset
    monitors_test : bool, default False
        Whether the test set is monitored during training.
    overshot : tuple of str
        Parts that have more images than requested although the rule "exact" would come nearer.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset
    monitors_test: bool = False
    overshot: tuple[
        str, ...
    ] = ()  # parts that got more images than asked for although the rule "exact" would not

    @property
    def monitored(self) -> Dataset | None:
        """The part to monitor during training: validation or None; the test set if `monitors_test`."""
        return self.test if self.monitors_test else self.validation

    @property
    def leaked(self) -> int:
        """Number of test images with a copy in another part: 0 unless the split ignored groups."""
        seen = [part.groups for name, part in self.items() if name != "test"]
        return int(np.isin(self.test.groups, np.concatenate(seen)).sum())

    def items(self) -> list[tuple[str, Dataset]]:
        """("train", …), ("validation", …) if there is one, ("test", …)."""
        named = (("train", self.train), ("validation", self.validation), ("test", self.test))
        return [(name, part) for name, part in named if part is not None]


def split(
    dataset: Dataset, spec: Split, seed: int, fold: int | None = None, folds: int | None = None
) -> Parts:
    """Split a data set. The seed alone decides the parts.

    No group is divided: sizes are met as nearly as groups allow. With `fold`, the test set is that fold. An
    official test set remains the test set: validation is then cut from the rest (shares are of the rest), and
    a fold is the *validation* set. Images in a group with an official test image are left out of the rest.

    Parameters
    ----------
    dataset : Dataset
    spec : Split
    seed : int
    fold : int, optional
        0 … folds - 1.
    folds : int, optional
        At least 2.

    Returns
    -------
    Parts

    Raises
    ------
    DataError
        If a part would be empty, sizes exceed the number of images, or a fold is out of range.
    """
    _check_fold(dataset, spec, fold, folds)
    if spec.ignore_groups:
        return _parts(dataset, spec, _permuted(dataset, spec, seed, in_folds=folds is not None))
    groups, official = dataset.groups, dataset.official is not None
    is_test = dataset.official == "test" if official else np.zeros(dataset.n_images, bool)
    rest, chosen = np.flatnonzero(~np.isin(groups, groups[is_test])), {"test": np.flatnonzero(is_test)}
    total = len(rest)
    wanted = _wanted(spec, official, folds is not None)
    _check_sum(dataset.name, spec, wanted, total)
    if fold is not None and folds is not None:
        part = "validation" if official else "test"
        chosen[part] = _fold(groups, rest, seed, fold, folds)
        rest = np.setdiff1d(rest, chosen[part])
    cut, overshot = _CUTS[spec.rule], []
    for stream, part in enumerate(("test", "validation")):
        if part in wanted:
            target = _count(wanted[part], total)
            chosen[part] = cut(groups, rest, target, (seed, stream))
            if _overshoots(groups, rest, target, len(chosen[part])):
                overshot.append(part)
            rest = np.setdiff1d(rest, chosen[part])
    if spec.train is not None and not _takes_the_rest(spec.train, wanted):
        target = _count(spec.train, total)  # groups may have left fewer than requested: then all are taken
        rest = rest if target >= len(rest) else cut(groups, rest, target, (seed, 3))
    chosen["train"] = rest
    return _parts(dataset, spec, chosen, tuple(overshot))


def _wanted(spec: Split, official: bool, in_folds: bool) -> dict[str, float | int]:
    """The sizes of parts to cut, without those given by an official test set or by a fold."""
    wanted = {}
    if not official and not in_folds:
        wanted["test"] = spec.test
    if spec.validation and not spec.monitor_test and not (official and in_folds):
        wanted["validation"] = spec.validation
    return wanted


def _parts(
    dataset: Dataset, spec: Split, chosen: dict[str, np.ndarray], overshot: tuple[str, ...] = ()
) -> Parts:
    for name, images in chosen.items():
        if not len(images):
            raise DataError(
                f"{dataset.name}: the {name} part of {spec} would be empty. There are {dataset.n_images} "
                f"images in {len(np.unique(dataset.groups))} groups, and a group is never divided."
            )
    parts = {name: dataset.take(np.sort(images)) for name, images in chosen.items()}
    return Parts(parts["train"], parts.get("validation"), parts["test"], spec.monitor_test, overshot)


def _permuted(dataset: Dataset, spec: Split, seed: int, *, in_folds: bool) -> dict[str, np.ndarray]:
    """The first images of a permutation are the training set, then validation, then test."""
    if dataset.official is not None or in_folds or spec.monitor_test:
        raise DataError(
            f"{dataset.name}: ignore_groups permutes all images, so that there is neither an official test "
            "set, nor folds, nor monitor_test."
        )
    total = dataset.n_images
    _check_sum(dataset.name, spec, wanted := {"validation": spec.validation, "test": spec.test}, total)
    counts = {part: _count(amount, total) for part, amount in wanted.items()}
    train = total - sum(counts.values()) if spec.train is None else _count(spec.train, total)
    ends = np.cumsum([train, counts["validation"], counts["test"]])
    order = np.random.default_rng(seed).permutation(total)
    chosen = dict(zip(("train", "validation", "test"), np.split(order[: ends[-1]], ends[:-1])))
    return (
        chosen
        if spec.validation
        else {name: images for name, images in chosen.items() if name != "validation"}
    )


def _greedy_cut(groups: np.ndarray, images: np.ndarray, target: int, key: tuple[int, ...]) -> np.ndarray:
    """About `target` of these images: groups in random order, each taken if it brings the number nearer."""
    labels, sizes = np.unique(groups[images], return_counts=True)
    taken, count = [], 0
    for index in np.random.default_rng(key).permutation(len(labels)):
        if abs(count + sizes[index] - target) < abs(count - target):
            taken.append(labels[index])
            count += sizes[index]
    return images[np.isin(groups[images], taken)]


def _exact_cut(groups: np.ndarray, images: np.ndarray, target: int, key: tuple[int, ...]) -> np.ndarray:
    """The number of these images nearest to `target` that whole groups can make.

    Groups are taken in random order while they fit. If that leaves a gap, the number of groups of each size
    is changed as little as necessary, and the first groups of each size in the same order are taken.
    """
    labels, sizes = np.unique(groups[images], return_counts=True)
    order = np.random.default_rng(key).permutation(len(labels))
    by_size = {size: order[sizes[order] == size] for size in sorted(set(sizes.tolist()), reverse=True)}
    proposed, left = dict.fromkeys(by_size, 0), target
    for size in sizes[order].tolist():
        if size <= left:
            proposed[size] += 1
            left -= size
    sums = _sums(by_size)  # of the sizes from each on
    left, taken = _nearest_sum(sums[0], target), []
    for (size, members), after in zip(by_size.items(), sums[1:]):
        counts = [n for n in range(len(members) + 1) if n * size <= left and after >> (left - n * size) & 1]
        count = min(counts, key=lambda n: abs(n - proposed[size]))
        taken.append(members[:count])
        left -= count * size
    return images[np.isin(groups[images], labels[np.concatenate([*taken, np.empty(0, int)]).astype(int)])]


_CUTS = {"greedy": _greedy_cut, "exact": _exact_cut}


def _sums(by_size: dict[int, np.ndarray]) -> list[int]:
    """For each size in order, and for none: numbers that groups of this and later sizes can make, as bits."""
    sums = [1]
    for size, members in reversed(by_size.items()):
        possible, left, step = sums[-1], len(members), 1
        while left:  # 1, 2, 4 … and the rest of them make every number of groups
            step = min(step, left)
            possible |= possible << (step * size)
            left, step = left - step, step * 2
        sums.append(possible)
    return sums[::-1]


def _nearest_sum(sums: int, target: int) -> int:
    below = (sums & ((1 << (target + 1)) - 1)).bit_length() - 1
    above = sums >> target
    above = target + (above & -above).bit_length() - 1 if above else below
    return below if target - below <= above - target else above


def _overshoots(groups: np.ndarray, images: np.ndarray, target: int, count: int) -> bool:
    """Whether `count` is more than requested, and groups could come nearer."""
    if count <= target:
        return False
    sizes, numbers = np.unique(np.unique(groups[images], return_counts=True)[1], return_counts=True)
    sums = _sums({size: np.empty(number) for size, number in zip(sizes.tolist(), numbers.tolist())})
    return abs(_nearest_sum(sums[0], target) - target) < count - target


def _fold(groups: np.ndarray, images: np.ndarray, seed: int, fold: int, folds: int) -> np.ndarray:
    """The images of this fold: groups by size, ties in random order, each to the smallest fold so far."""
    labels, sizes = np.unique(groups[images], return_counts=True)
    order = np.random.default_rng((seed, 2)).permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, mine = np.zeros(folds, np.int64), []
    for index in order:
        smallest = int(np.argmin(filled))
        filled[smallest] += sizes[index]
        if smallest == fold:
            mine.append(labels[index])
    return images[np.isin(groups[images], mine)]


def _takes_the_rest(train: float | int, wanted: dict[str, float | int]) -> bool:
    """Whether train takes all remaining images, as with shares that sum to 1.

    Rounding and groups can give the other parts a few images more or fewer.
    """
    shares = [train, *wanted.values()]
    return all(isinstance(share, float) for share in shares) and sum(shares) > 1 - 1e-9


def _count(amount: float | int, total: int) -> int:
    return round(amount * total) if isinstance(amount, float) else amount


def _check_sum(name: str, spec: Split, wanted: dict[str, float | int], total: int) -> None:
    amounts = [*wanted.values()] + ([] if spec.train is None else [spec.train])
    asked = sum(amount * total if isinstance(amount, float) else amount for amount in amounts)
    if asked > total * (1 + 1e-9):
        raise DataError(f"{name}: {spec} asks for {asked:g} images together; there are {total}.")


def _check_amount(name: str, amount: float | int | None) -> None:
    if amount is None and name == "train":
        return
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not amount >= 0:
        raise DataError(
            f"Split({name}={amount!r}): expected a share (float, 0 … 1) or a number of images (int)."
        )
    if isinstance(amount, float) and amount > 1:
        raise DataError(
            f"Split({name}={amount!r}): a share is at most 1; a number of images is an int, {int(amount)}."
        )


def _check_fold(dataset: Dataset, spec: Split, fold: int | None, folds: int | None) -> None:
    if fold is None and folds is None:
        return
    if fold is None or folds is None:
        raise DataError(f"fold={fold} of folds={folds}: give both or neither.")
    if folds < 2 or not 0 <= fold < folds:
        raise DataError(f"fold={fold} of folds={folds}: expected at least 2 folds, and 0 ≤ fold < folds.")
    if dataset.official is not None and spec.monitor_test:
        raise DataError(
            f"{dataset.name} has an official test set, so a fold is its validation set; {spec} wants none."
        )
