"""Folds of the training images, in which the settings of a map are chosen."""

from __future__ import annotations

import numpy as np

from neurofit.errors import DataError, ShapeError

RULES = ("stratified", "grouped", "random")


def folds_of(images: int, count: int, *, rule: str = "random", labels=None, seed: int = 0) -> np.ndarray:
    """The fold of every image.

    Parameters
    ----------
    images : int
    count : int
        Folds, at least 2.
    rule : {"stratified", "grouped", "random"}
        "stratified": every fold has its share of the images of each label, so that a map is tested on the
        objects that it was fitted to. "grouped": all images of a label are in one fold, so that it is tested
        on objects that it has not seen. "random" uses no labels.
    labels : ndarray, shape (image,), optional
        For example the object in each image.
    seed : int, default 0

    Returns
    -------
    ndarray of int, shape (image,)
        0 … count − 1. Sizes differ by at most one, except for "grouped".

    Raises
    ------
    DataError
        If there are too few images or labels, or labels are missing.
    ShapeError
        If the numbers of labels and images differ.
    """
    if rule not in RULES:
        raise DataError(f"folds: rule={rule!r}; expected one of {', '.join(RULES)}.")
    if not 2 <= count <= images:
        raise DataError(f"folds={count} of {images} training images: expected 2 … {images}.")
    shuffle = np.random.default_rng(seed)
    order = shuffle.permutation(images)
    found = np.empty(images, np.int64)
    if rule == "random":
        found[order] = np.arange(images) % count
        return found
    if labels is None:
        raise DataError(f"Folds that are {rule} need the labels of the images, such as their objects.")
    labels = np.asarray(labels)
    if labels.shape != (images,):
        raise ShapeError(f"{labels.shape} labels for {images} training images: expected ({images},).")
    names, number = np.unique(labels, return_inverse=True)
    if rule == "stratified":  # dealt label by label, so that neither labels nor folds pile up
        order = order[np.argsort(number[order], kind="stable")]
        found[order] = np.arange(images) % count
        return found
    if len(names) < count:
        raise DataError(
            f"folds={count}, grouped by {len(names)} labels: expected at most {len(names)} folds."
        )
    sizes, filled, fold_of = np.bincount(number), np.zeros(count, np.int64), np.empty(len(names), np.int64)
    labelled = shuffle.permutation(len(names))
    for label in labelled[
        np.argsort(-sizes[labelled], kind="stable")
    ]:  # the largest first, into the emptiest
        fold_of[label] = filled.argmin()
        filled[fold_of[label]] += sizes[label]
    return fold_of[number]
