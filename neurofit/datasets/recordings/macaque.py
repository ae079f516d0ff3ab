"""The macaque V1 recordings.

data/macaque_v1/NNmean50ms_smallim_d2_crop.mat    MATLAB 5: images (270, 33, 33), activity (270, neuron)
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from neurofit.datasets.dataset import Dataset
from neurofit.datasets.recordings import duplicates
from neurofit.datasets.recordings.matlab import read_mat, same_length, with_axes


class Macaque:
    """Macaque V1, natural images (Kohn laboratory, CRCNS pvc-8), as prepared by Kindel et al. 2019.

    Responses are mean spike counts in 50 ms over 20 trials (×20 = spikes/s), without single trials. Every
    recording has the same 270 images, so `image_ids` are 0 … 269 in all. The images are photographs and
    copies of them rotated by multiples of 45°: a photograph and its copies are one group (`duplicates`).

    References
    ----------
    W. Kindel, E. Christensen and J. Zylberberg (2019), doi:10.1167/19.4.29.
    """

    kind: ClassVar[str] = "macaque_v1"
    description: ClassVar[str] = (
        "macaque V1, 270 natural images 33×33, mean spike counts in 50 ms (Kindel et al. 2019)"
    )
    parts: ClassVar[tuple[str, ...]] = tuple(f"{number:02d}" for number in range(1, 11))
    merge: ClassVar[str] = "join"
    has_test: ClassVar[bool] = False

    def part(self, text: str) -> str:
        """ "2" and "02" are one recording."""
        return f"{int(text):02d}" if text.isdecimal() else text

    def files(self, part: str) -> tuple[str, ...]:
        return (f"{part}mean50ms_smallim_d2_crop.mat",)

    def hint(self, name: str) -> str:
        return ""

    def place(self, path: Path) -> str | None:
        """Where a file of this name belongs, below data/macaque_v1; None for any other file."""
        return path.name if any(path.name in self.files(part) for part in self.parts) else None

    def validate(self, path: Path, place: str) -> None:
        self._dataset(path, place[:2])

    def read(self, part: str, folder: Path) -> Dataset:
        return self._dataset(folder / self.files(part)[0], part)

    def _dataset(self, path: Path, part: str) -> Dataset:
        arrays = read_mat(path, ("images", "activity"))
        images = with_axes(path, "images", arrays["images"], ("image", "height", "width"))
        responses = with_axes(path, "activity", arrays["activity"], ("image", "neuron"))
        same_length(path, "images", images, "activity", responses)
        return Dataset(
            name=f"{self.kind}/{part}",
            inputs={"image": images[..., None]},
            responses=responses,
            groups=duplicates.groups(images),
        )
