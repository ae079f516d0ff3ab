"""92 colour images of objects, and dissimilarity matrices of human and monkey IT for them.

data/rdm92/Kriegeskorte_Neuron2008_supplementalData.mat
    stimuli_92objs        struct (92,): image (175, 175, 3) uint8 RGB on grey, category, human, face, animal, natural
    RDMs_mIT_hIT_fig1     struct (2,): monkey IT and human IT, vectors of 4,186 pairs
data/rdm92/92_brainRDMs.mat
    RDMs                  struct (subject, session): human IT, matrices of 92×92

The pairs are in the order of `scipy.spatial.distance.squareform`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from neurofit.datasets.dataset import Dataset
from neurofit.datasets.pixels import PixelFormat
from neurofit.datasets.recordings.matlab import read_structs
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.errors import DataError

STIMULI = "Kriegeskorte_Neuron2008_supplementalData.mat"
HUMAN = "92_brainRDMs.mat"
_COUNT = 92
_PAIRS = _COUNT * (_COUNT - 1) // 2
_FLAGS = ("human", "face", "animal", "natural")


@dataclass(frozen=True, eq=False)
class MeasuredRdms:
    """Dissimilarity matrices of the responses to 92 images. Symmetric, with zeros on the diagonal.

    Parameters
    ----------
    monkey : ndarray, shape (image, image)
        Of 674 neurons of macaque IT.
    human : ndarray, shape (subject, session, image, image)
        Of fMRI in human IT: 4 subjects, 2 sessions.
    """

    monkey: np.ndarray
    human: np.ndarray


class Rdm92:
    """92 colour images of objects, with dissimilarity matrices of human and monkey IT.

    There are no responses of neurons, so this is not a data set for `load`: `load_stimuli` has the images, and
    `rdms` the matrices.

    References
    ----------
    N. Kriegeskorte et al. (2008), doi:10.1016/j.neuron.2008.10.043.
    """

    kind: ClassVar[str] = "rdm92"
    description: ClassVar[str] = (
        "human and monkey IT, 92 colour images, dissimilarity matrices (Kriegeskorte et al. 2008)"
    )
    parts: ClassVar[tuple[str, ...]] = ("",)
    merge: ClassVar[str] = "join"
    has_test: ClassVar[bool] = False
    stimulus_parts: ClassVar[tuple[str, ...]] = ()

    def part(self, text: str) -> str:
        return text

    def files(self, part: str) -> tuple[str, ...]:
        return (STIMULI, HUMAN)

    def hint(self, name: str) -> str:
        return ""

    def place(self, path: Path) -> str | None:
        return path.name if path.name in self.files("") else None

    def validate(self, path: Path, place: str) -> None:
        if place == HUMAN:
            _human(path)
        else:
            _images(path)
            _monkey(path)

    def read(self, part: str, folder: Path) -> Dataset:
        raise DataError(
            "rdm92 has no responses of neurons: it cannot be loaded as a data set. Its images are "
            "datasets.load_stimuli('rdm92', data), its matrices datasets.rdms('rdm92', data)."
        )

    def stimuli(self, part: str, folder: Path) -> StimulusSet:
        return _images(folder / STIMULI)

    def rdms(self, folder: Path) -> MeasuredRdms:
        return MeasuredRdms(_monkey(folder / STIMULI), _human(folder / HUMAN))


def _images(path: Path) -> StimulusSet:
    rows = read_structs(path, ("stimuli_92objs",))["stimuli_92objs"].ravel(order="F")
    _check_count(path, "stimuli_92objs", rows)
    images = [row.get("image") for row in rows]
    shapes = {getattr(image, "shape", None) for image in images}
    if len(shapes) != 1 or any(getattr(image, "dtype", None) != np.uint8 for image in images):
        raise DataError(
            f"{path}: the images of 'stimuli_92objs' have shapes {sorted(map(str, shapes))}; expected "
            "(height, width, 3) of uint8, the same for all."
        )
    labels: dict[str, np.ndarray] = {"category": np.array([str(row.get("category", "")) for row in rows])}
    for flag in _FLAGS:
        labels[flag] = np.array([bool(np.any(row.get(flag, 0))) for row in rows])
    ids = [f"object/{number:02d}" for number in range(_COUNT)]
    return StimulusSet.from_array(
        "rdm92", np.stack([np.asarray(one) for one in images]), PixelFormat(), ids, labels
    )


def _monkey(path: Path) -> np.ndarray:
    rows = read_structs(path, ("RDMs_mIT_hIT_fig1",))["RDMs_mIT_hIT_fig1"].ravel(order="F")
    vectors = [np.asarray(row["RDM"]).ravel() for row in rows if isinstance(row.get("RDM"), np.ndarray)]
    if len(vectors) != 2 or any(len(one) != _PAIRS for one in vectors):
        raise DataError(
            f"{path}: 'RDMs_mIT_hIT_fig1' has vectors of lengths {[len(one) for one in vectors]}; expected 2 of "
            f"{_PAIRS}."
        )
    matrix = np.zeros((_COUNT, _COUNT))
    matrix[np.triu_indices(_COUNT, 1)] = vectors[0]
    return _checked(path, "RDMs_mIT_hIT_fig1", matrix + matrix.T)


def _human(path: Path) -> np.ndarray:
    rows = read_structs(path, ("RDMs",))["RDMs"]
    rows = rows.reshape(rows.shape[-2:]) if rows.size == np.prod(rows.shape[-2:]) else rows
    matrices = [row.get("RDM") for row in rows.ravel()]
    shapes = {getattr(one, "shape", None) for one in matrices}
    if rows.ndim != 2 or shapes != {(_COUNT, _COUNT)}:
        raise DataError(
            f"{path}: 'RDMs' is {rows.shape} with matrices {sorted(map(str, shapes))}; expected (subject, session) "
            f"with matrices ({_COUNT}, {_COUNT})."
        )
    stacked = np.stack([np.asarray(one, np.float64) for one in matrices]).reshape(*rows.shape, _COUNT, _COUNT)
    return _checked(path, "RDMs", stacked)


def _check_count(path: Path, key: str, rows: np.ndarray) -> None:
    if len(rows) != _COUNT:
        raise DataError(f"{path}: '{key}' has {len(rows)} elements; expected {_COUNT}.")


def _checked(path: Path, key: str, matrices: np.ndarray) -> np.ndarray:
    if not np.isfinite(matrices).all() or not np.allclose(matrices, np.swapaxes(matrices, -1, -2)):
        raise DataError(f"{path}: '{key}' has matrices that are not finite and symmetric. Download it again.")
    return matrices
