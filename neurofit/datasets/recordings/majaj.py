"""Macaque IT, images of objects on natural backgrounds: the file `IT_data.h5` of a course at EPFL (NX-414).

data/majaj_2015/IT_data.h5
    stimulus_train, stimulus_val, stimulus_test    (image, channel, height, width), normalised for ImageNet
    spikes_train, spikes_val                       (image, neuron); there are none for the test images
    object_train, object_val, object_test          (image,) names of objects, bytes in latin-1
    truth/                                         only in files that `make_example` wrote

The published file has 2,592, 288 and a number of hidden images of 224×224, and 168 neurons.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from neurofit.datasets import hdf5
from neurofit.datasets.dataset import Dataset
from neurofit.datasets.disk_images import DiskImages
from neurofit.datasets.image_sources import ImageSource, in_hdf5
from neurofit.datasets.pixels import IMAGENET
from neurofit.datasets.recordings import converted
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.errors import DataError, NameUnknown, NeurofitError, nearest

FILE = "IT_data.h5"
PARTS = ("train", "val", "test")
WITH_RESPONSES = ("train", "val")
STORED = replace(IMAGENET, axes="channels_first")
CATEGORIES = {  # of the 64 three-dimensional models that were rendered
    "animals": "bear blCow breed_pug ELEPHANT_M GORILLA hedgehog LIONESS TURTLE_L",
    "boats": "BAHRAIN CGTG_L cruiser DTUG_L motoryacht MQUEEN_L SISTER_L support",
    "cars": "alfa155 astra Beetle bmw325 bora_a celica clio z3",
    "chairs": "_001 _004 _008 _010 _011 _014 _031 _033",
    "faces": "face0001 face0002 face0003 face0004 face0005 face0006 face0007 face0008",
    "fruits": (
        "Apple_Fruit_obj Apricot_obj Peach_obj Pear_obj raspberry_obj Strawberry_obj walnut_obj "
        "watermelon_obj"
    ),
    "planes": "_01_Airliner_2jetEngines _05_future _19_flyingBoat f16 junkers88 mig29 rdbarren sopwith",
    "tables": "_08 _10 _11 _12 _18 _37 _38 _44",
}
CATEGORY_OF = {name: category for category, names in CATEGORIES.items() for name in names.split()}
_PREFIXES = {  # the same models under plain names: car_astra, chair3, airplane2
    **{word: category for category in CATEGORIES for word in (category, category.removesuffix("s"))},
    "airplane": "planes",
    "ship": "boats",
}
_PLAIN = {
    **dict.fromkeys(
        ("bear", "cow", "dog", "elephant", "gorilla", "hedgehog", "lioness", "lion", "turtle"), "animals"
    ),
    **dict.fromkeys(
        ("apple", "apricot", "peach", "pear", "raspberry", "strawberry", "walnut", "watermelon"), "fruits"
    ),
}


class Majaj:
    """Macaque IT, colour images of 64 objects in 8 categories, mean responses 70–170 ms.

    Responses are normalised and averaged over trials, so that no ceiling can be computed. As a data set, the
    training images are the official training set, and the validation images the official test set, because
    published scores are for these. The hidden test images have no responses: they are a stimulus set alone.

    References
    ----------
    N. Majaj, H. Hong, E. Solomon and J. DiCarlo (2015), doi:10.1523/JNEUROSCI.5181-14.2015.
    """

    kind: ClassVar[str] = "majaj_2015"
    description: ClassVar[str] = "macaque IT, colour images of 64 objects, 168 neurons (Majaj et al. 2015)"
    parts: ClassVar[tuple[str, ...]] = ("",)
    merge: ClassVar[str] = "join"
    has_test: ClassVar[bool] = False
    stimulus_parts: ClassVar[tuple[str, ...]] = PARTS
    compressed: ClassVar[str] = FILE

    def part(self, text: str) -> str:
        return text

    def files(self, part: str) -> tuple[str, ...]:
        return (FILE,)

    def hint(self, name: str) -> str:
        return " `neurofit data make-example majaj_2015` makes a small file with the same keys."

    def note(self, folder: Path) -> str:
        """What `neurofit data` says after the description; an example must not pass for the recording."""
        try:
            return "; an example made by make-example" if is_example(folder / FILE) else ""
        except NeurofitError:
            return ""

    def place(self, path: Path) -> str | None:
        return FILE if path.name.lower() == FILE.lower() else None

    def validate(self, path: Path, place: str) -> None:
        """Check everything in the file. All images are read once, some at a time."""
        _check(path)
        for part in PARTS:
            for rows, images in _stimuli(path, part).blocks():
                if not np.isfinite(images).all():
                    raise DataError(
                        f"{path}: stimulus_{part} has NaN or infinite values in images {rows.start} to "
                        f"{rows.stop - 1}."
                    )

    def read(self, part: str, folder: Path) -> Dataset:
        """The images with responses, at full size: 1.7 GB for the published file."""
        return dataset(folder)

    def large(self, folder: Path, above: int) -> Dataset:
        """As `read`; images that were converted stay on disk if they take more than `above` bytes in memory."""
        sources = [converted.images(folder / FILE, part) for part in WITH_RESPONSES]
        size = sum(4 * int(np.prod(one.shape)) for one in sources if one is not None)
        return dataset(folder, on_disk=None not in sources and size > above)

    def responses(self, folder: Path) -> Dataset:
        """The data set with the rows of its images in `stimuli("", folder)` instead of the images."""
        return dataset(folder, with_images=False)

    def stimuli(self, part: str, folder: Path) -> StimulusSet:
        """The images of a part; without a name, those of training and validation, as in the data set."""
        path = folder / FILE
        if part:
            return _stimuli(path, part)
        return StimulusSet.joined(self.kind, [_stimuli(path, one) for one in WITH_RESPONSES])


def dataset(
    folder: Path,
    *,
    resize: tuple[int, int] | None = None,
    with_images: bool = True,
    on_disk: bool = False,
) -> Dataset:
    """The data set in this folder.

    Parameters
    ----------
    folder : Path
        data/majaj_2015 of a study.
    resize : tuple of int, optional
        (height, width) that images are resized to, bilinearly and with antialiasing.
    with_images : bool, default True
        False: the only input is "row", the row of each image in the stimulus set. Images are read in blocks,
        to find those that are equal, and are not kept.
    on_disk : bool, default False
        Whether the images stay on disk, as `DiskImages`, for `Fit`, which reads them batch by batch. They must have
        been converted (`neurofit data convert majaj_2015`), and are not resized.

    Returns
    -------
    Dataset
        Images in the format `pixels.IMAGENET`. "official" is "train" for training and "test" for validation
        images. Equal images are one group. The labels are "object" and, if all objects are known, "category".

    Raises
    ------
    DataError
        If the file is missing, damaged, or lacks something.
    """
    path = Path(folder) / FILE
    _check(path)
    images = StimulusSet.joined("majaj_2015", [_stimuli(path, part) for part in WITH_RESPONSES])
    name = "majaj_2015" + (" (example)" if is_example(path) else "")
    if resize is not None and resize != images.shape[1:3]:
        images, name = images.sized(*resize, resize=True), f"{name}, resized to {resize[0]}×{resize[1]}"
    if on_disk:
        _check_on_disk(path, images)
    values, groups = _values_and_groups(images, with_images and not on_disk)
    responses = [_responses(path, part) for part in WITH_RESPONSES]
    return Dataset(
        name=name,
        inputs=_inputs(images, values, on_disk),
        responses=np.concatenate(responses),
        image_ids=images.ids,
        groups=groups,
        neurons=pd.DataFrame({"recording": "majaj_2015", "number": range(responses[0].shape[1])}),
        truth=_truth(path),
        official=np.repeat(["train", "test"], [len(one) for one in responses]),
        labels=images.labels,
    )


def _check_on_disk(path: Path, images: StimulusSet) -> None:
    """Raise DataError unless any image can be read alone, with the values that it has in memory."""
    if images.source.chunk > 1:
        raise DataError(
            f"{path}: its images are compressed, {images.source.chunk} together, and cannot stay on disk during a "
            "training, which reads them in random order. Convert them once: `neurofit data convert majaj_2015`."
        )
    if images.size is not None:
        size = 4 * np.prod(images.shape) / 1e9
        raise DataError(
            f"{path}: resized images cannot stay on disk. Leave out resize, or on_disk: at "
            f"{images.size[0]}×{images.size[1]} pixels they take {size:.2g} GB of memory."
        )


def _inputs(images: StimulusSet, values: np.ndarray | None, on_disk: bool) -> dict[str, Any]:
    if on_disk:
        return {"image": DiskImages.of(images)}
    return {"row": np.arange(images.n_images)} if values is None else {"image": values}


def categories(objects: Iterable[str]) -> np.ndarray:
    """The category of each object.

    Parameters
    ----------
    objects : sequence of str
        Names of the published models, or plain names such as "car_astra" and "chair3".

    Returns
    -------
    ndarray of str, shape (image,)

    Raises
    ------
    DataError
        If an object is not known.
    """
    objects = [str(name) for name in objects]
    found = {name: _category(name) for name in dict.fromkeys(objects)}
    unknown = [name for name, category in found.items() if category is None]
    if unknown:
        shown = ", ".join(map(repr, unknown[:5])) + (
            f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        )
        raise DataError(
            f"No category is known for {len(unknown)} objects: {shown}.{nearest(unknown[0], CATEGORY_OF)} "
            f"Categories: {', '.join(CATEGORIES)}. Use the label 'object', or make categories of your own."
        )
    return np.array([found[name] for name in objects])


def is_example(path: Path) -> bool:
    """Whether `make_example` wrote this file."""
    with hdf5.reading(path) as file:
        return "truth" in file


def _category(name: str) -> str | None:
    plain = name.lower().split("_")[0].rstrip("0123456789")
    return CATEGORY_OF.get(name) or _PREFIXES.get(plain) or _PLAIN.get(plain)


def _stimuli(path: Path, part: str) -> StimulusSet:
    if part not in PARTS:
        raise NameUnknown(f"majaj_2015: no images '{part}'. Known: {', '.join(PARTS)}.{nearest(part, PARTS)}")
    source: ImageSource | None = converted.images(path, part)
    pixels = STORED if source is None else IMAGENET
    source = source or in_hdf5(path, f"stimulus_{part}")
    if len(source.shape) != 4:
        raise DataError(
            f"{path}: 'stimulus_{part}' has shape {source.shape}, expected (image, channel, height, width)."
        )
    objects = _objects(path, part, source.shape[0])
    labels = {"object": objects}
    if all(_category(name) for name in set(objects.tolist())):
        labels["category"] = categories(objects)
    ids = [f"{part}/{number:04d}" for number in range(source.shape[0])]
    return StimulusSet.of(f"majaj_2015/{part}", source, pixels, ids, labels)


def _check(path: Path) -> None:
    """Check keys, shapes, types and responses, without reading the images."""
    needed = [f"{what}_{part}" for part in PARTS for what in ("stimulus", "object")]
    needed += [f"spikes_{part}" for part in WITH_RESPONSES]
    with hdf5.reading(path) as file:
        missing = [key for key in needed if file.get(key) is None]
        if missing:
            raise DataError(
                f"{path}: no {', '.join(repr(key) for key in missing)} in this file. It has: "
                f"{', '.join(sorted(file)) or 'nothing'}. Expected {', '.join(sorted(needed))}. Download it again."
            )
        shapes = {key: hdf5.array(file, key).shape for key in needed}
        kinds = {key: hdf5.array(file, key).dtype.kind for key in needed}
    for key in needed:
        axes = {"s": ("image", "neuron"), "o": ("image",)}[key[0]] if key[1] != "t" else _IMAGE_AXES
        expected = "SO" if key.startswith("object") else "f"
        if len(shapes[key]) != len(axes) or kinds[key] not in expected:
            what = "bytes" if expected == "SO" else "floating-point numbers"
            raise DataError(
                f"{path}: '{key}' has shape {shapes[key]} and type '{kinds[key]}', expected {what} "
                f"({', '.join(axes)})."
            )
    for part in PARTS:
        same = [key for key in needed if key.endswith(f"_{part}")]
        if len({shapes[key][0] for key in same}) > 1:
            counts = ", ".join(f"{key} {shapes[key]}" for key in same)
            raise DataError(f"{path}: arrays of '{part}' differ in their number of images: {counts}.")
    for key, what in (("stimulus", "size of image"), ("spikes", "number of neurons")):
        of = [one for one in needed if one.startswith(key)]
        if len({shapes[one][1:] for one in of}) > 1:
            listed = ", ".join(f"{one} {shapes[one]}" for one in of)
            raise DataError(f"{path}: parts differ in their {what}: {listed}.")
    for part in WITH_RESPONSES:
        _responses(path, part)


_IMAGE_AXES = ("image", "channel", "height", "width")


def _responses(path: Path, part: str) -> np.ndarray:
    """(image, neuron); every neuron has finite responses that vary."""
    with hdf5.reading(path) as file:
        responses = np.asarray(hdf5.array(file, f"spikes_{part}")[()], np.float64)
    bad = np.flatnonzero(~np.isfinite(responses).all(axis=0))
    if bad.size:
        raise DataError(f"{path}: 'spikes_{part}' has NaN or infinite responses of neurons {_listed(bad)}.")
    constant = np.flatnonzero(np.ptp(responses, axis=0) == 0) if len(responses) > 1 else bad
    if constant.size:
        raise DataError(
            f"{path}: in 'spikes_{part}' the responses of {constant.size} of {responses.shape[1]} neurons are "
            f"constant ({_listed(constant)}). They can be neither fitted nor scored. The published file has none: "
            "download it again, or leave these columns out."
        )
    return responses


def _objects(path: Path, part: str, count: int) -> np.ndarray:
    with hdf5.reading(path) as file:
        values = np.asarray(hdf5.array(file, f"object_{part}")[()]).ravel()
    objects = np.array([_text(value) for value in values.tolist()], dtype=str)
    if len(objects) != count:
        raise DataError(
            f"{path}: {len(objects)} labels 'object_{part}' but {count} images 'stimulus_{part}'."
        )
    empty = np.flatnonzero(objects == "")
    if empty.size:
        raise DataError(f"{path}: 'object_{part}' has no label for images {_listed(empty)}.")
    return objects


def _text(value: Any) -> str:
    return value.decode("latin-1").strip() if isinstance(value, bytes) else str(value)


def _truth(path: Path) -> dict | None:
    with hdf5.reading(path) as file:
        if "truth" not in file:
            return None
        rates = np.concatenate([hdf5.array(file, f"truth/rates_{part}")[()] for part in WITH_RESPONSES])
        return {"rates": rates, "parameters": pd.DataFrame({"signal": rates.var(axis=0)})}


def _values_and_groups(images: StimulusSet, kept: bool) -> tuple[np.ndarray | None, np.ndarray]:
    """All images if they are kept, and ints that are equal for equal images; without a second copy."""
    values = np.empty(images.shape, np.float32) if kept else None
    seen: dict[bytes, int] = {}
    groups = np.empty(images.n_images, np.int64)
    for rows, block in images.blocks():
        if values is not None:
            values[rows] = block
        for number, image in zip(range(rows.start, rows.stop), block):
            groups[number] = seen.setdefault(hashlib.blake2b(image.data, digest_size=16).digest(), len(seen))
    return values, groups


def _listed(numbers: np.ndarray, at_most: int = 5) -> str:
    rest = f" and {len(numbers) - at_most} more" if len(numbers) > at_most else ""
    return ", ".join(map(str, numbers[:at_most].tolist())) + rest
