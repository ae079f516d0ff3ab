"""`neurofit predict`: predict responses to other images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.selecting import named
from neurofit.files import write_whole

if TYPE_CHECKING:
    from neurofit.protocols import PredictedResponses

FORMATS = (".npy", ".npz", ".csv")


class _Output(click.Path):
    """A file whose name ends in one of FORMATS."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(str(super().convert(str(value), param, ctx)))
        if path.suffix not in FORMATS:
            self.fail(f"'{path}': the name must end in {', '.join(FORMATS)}.", param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"'{path}': the folder {path.absolute().parent} does not exist.", param, ctx)
        return path


@click.command(
    epilog=options.examples(
        "neurofit predict exp3:17/3 --data macaque_v1/02 --out predictions.npy",
        "neurofit predict exp3:17/3 --data antolik_2016/region1/test --out hidden.csv",
        "neurofit predict exp3:best/0 --data data/mine.npy --out predictions.npz",
    )
)
@options.selector(metavar="EXPERIMENT:RUN/REPETITION")
@click.option(
    "--data",
    required=True,
    metavar="NAME",
    help="Predict the images of the data set NAME, or of a .npy or .npz file. NAME/train and NAME/test are the "
    "parts of an official split.",
)
@click.option(
    "-o",
    "--out",
    "output",
    required=True,
    type=_Output(),
    metavar="FILE",
    help="Write the predictions to FILE: .npy (image, neuron), .npz with the names of images and neurons, or .csv "
    "with a row per image.",
)
@options.best_by("--by", "--best-by")
@options.as_json
def command(selector: str, data: str, output: Path, best_by: str | None, as_json: bool) -> int:
    """Predict the responses of a finished task's model to other images.

    The images are scaled with the numbers of the task's training set. Predictions are in the units of the
    recordings.
    """
    from neurofit.tables.loading import predict

    home = options.here()
    selector = named(home, selector, best_by)
    file = str(Path(data).absolute()) if Path(data).suffix in (".npy", ".npz") else data
    with terminal.without_library_logs():  # TensorFlow's messages about the processor do not help here
        predictions = predict(selector, file, study=home.root)
    write_whole(output, _contents(output.suffix, predictions))
    images, neurons = predictions.values.shape
    if as_json:
        terminal.as_json({"file": str(output), "images": images, "neurons": neurons})
    else:
        sizes = f"{wording.count(images, 'image')}, {wording.count(neurons, 'neuron')}"
        terminal.say(f"Saved {wording.short_path(output)}: {sizes}.")
    return 0


def _contents(suffix: str, predictions: PredictedResponses) -> bytes:
    import numpy as np

    if suffix == ".csv":
        from neurofit.tables.formats import matrix_csv

        names = "image_id", predictions.image_id, predictions.neurons
        return f"{matrix_csv(predictions.values, *names)}\n".encode()
    held = io.BytesIO()
    if suffix == ".npy":
        np.save(held, predictions.values)
    else:
        np.savez_compressed(
            held,
            predictions=predictions.values,
            image_id=np.asarray(predictions.image_id, str),
            neuron=np.asarray(predictions.neurons, str),
        )
    return held.getvalue()
