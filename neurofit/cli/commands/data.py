"""`neurofit data`: list the data sets under data/, add recordings to them, make example files, convert images."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit.cli import options, terminal, wording
from neurofit.text import command as suggested, roughly

if TYPE_CHECKING:
    from neurofit.datasets.catalogue import Known
    from neurofit.datasets.examination import Examination
    from neurofit.store.features import Listed


@click.group(
    invoke_without_command=True,
    epilog=options.examples("neurofit data", "neurofit data add macaque_v1 ~/Downloads/recordings.tar.gz"),
)
@options.as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the data sets that neurofit can read, and which of their files are under data/.

    `neurofit data add` adds recordings, `neurofit data make-example` makes a small example file, and `neurofit
    data convert` converts compressed images once. `neurofit data features` lists features of networks.
    """
    if ctx.invoked_subcommand is not None:
        return
    from neurofit.datasets import known

    records = known(options.here().data)
    if as_json:
        terminal.as_json({"data": [vars(one) for one in records]})
        return
    rows = [
        [one.name, _presence(one), wording.size(one.size_bytes) if one.size_bytes else "", one.description]
        for one in records
    ]
    terminal.table(["data set", "present", "size", "description"], rows, styles=["bold", "", "", "dim"])
    absent = [one.name for one in records if one.missing]
    terminal.hint(suggested("data add", absent[0], "PATH") if absent else "neurofit list")


def _presence(one: Known) -> str:
    if not one.missing:
        return "all"
    present = wording.count(len(one.present), "recording")
    return f"{present}, {wording.count(len(one.missing), 'file')} missing" if one.present else "no"


@command.command(
    epilog=options.examples(
        "neurofit data add macaque_v1 ~/Downloads/recordings.tar.gz --dry-run",
        "neurofit data add macaque_v1 ~/Downloads/recordings.tar.gz",
    )
)
@click.argument("kind")
@click.argument("path", type=click.Path(path_type=Path))
@options.dry_run
@options.as_json
def add(kind: str, path: Path, dry_run: bool, as_json: bool) -> None:
    """Add recordings to the data set KIND under data/.

    PATH is a folder, a tar archive or a single file. Each recording is checked before it is added. `neurofit
    data` lists the kinds.
    """
    from neurofit import datasets

    study = options.here()
    new = datasets.add(kind, path, study.data, dry_run=dry_run)
    if as_json:
        terminal.as_json({"kind": kind, "added": [str(one) for one in new], "dry_run": dry_run})
        return
    for one in new:
        terminal.say(wording.short_path(one))
    verb = "would be added" if dry_run else "added"
    terminal.say(f"{wording.count(len(new), 'file')} {verb}." if new else "All files are present already.")
    terminal.hint("neurofit data")


@command.command(
    epilog=options.examples(
        "neurofit data check cells",
        "neurofit data check cells -o cells.png",
        "neurofit data check simulated --json",
    )
)
@click.argument("name")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw images and histograms over neurons: .png, .pdf or .svg.",
)
@options.as_json
def check(name: str, output: Path | None, as_json: bool) -> None:
    """Look at the data set NAME before a model is fitted to it.

    Shows shapes, ranges, missing values, the reliability of neurons, and images that are alike in different parts of
    a split. NAME is one of `neurofit data`, such as macaque_v1/02.
    """
    from neurofit import datasets, plotting
    from neurofit.plotting import style

    if output is not None:
        style.require_matplotlib()
        style.check_path(output)
    found = datasets.examine(datasets.load(name, options.here().data))
    if output is not None:
        style.save(_drawn(found, plotting.draw_recordings), output)
    if as_json:
        terminal.as_json({**found.as_json(), "file": str(output) if output else None})
        return
    _print_facts({"data set": name, **found.facts})
    for one in found.warnings:
        terminal.note(one)
    if output is not None:
        terminal.say(f"Saved {output}.")
    else:
        terminal.hint(suggested("data check", name, output=f"{name.replace('/', '-')}.png"))


def _print_facts(facts: Mapping[str, str]) -> None:
    """A line per fact, continued below its text where the terminal ends."""
    start = max(map(len, facts)) + 2
    room = max((terminal.width() or 10**6) - start, 20)
    for what, text in facts.items():
        first, *more = textwrap.wrap(text, room) or [""]
        terminal.say(
            "\n".join(
                [
                    f"{terminal.styled(what, bold=True)}{'':<{start - len(what)}}{first}",
                    *(" " * start + line for line in more),
                ]
            )
        )


def _drawn(found: Examination, draw: Any) -> Any:
    cells = found.dataset
    images = next(iter(cells.inputs.values()))
    title = f"{cells.name}: {cells.n_images:,} images, {cells.n_neurons:,} neurons"
    return draw(images[:24] if len(images.shape) == 4 else None, found.per_neuron(), title=title)


@command.command(
    name="make-example",
    epilog=options.examples(
        "neurofit data make-example majaj_2015 --images 320 --seed 1",
        "neurofit data make-example majaj_2015 --size 224 --out ~/examples",
    ),
)
@click.argument("kind")
@click.option(
    "--images", metavar="N", type=int, default=576, show_default=True, help="Number of training images."
)
@click.option(
    "--size", metavar="PX", type=int, default=64, show_default=True, help="Height and width of images."
)
@click.option("--neurons", metavar="N", type=int, default=168, show_default=True, help="Number of neurons.")
@click.option(
    "--ceiling",
    metavar="SHARE",
    type=float,
    default=0.6,
    show_default=True,
    help="Share of the responses' variance that is signal.",
)
@click.option(
    "--layer",
    metavar="NAME",
    default="layer2",
    show_default=True,
    help="Layer of the random network in which responses are planted: layer1 to layer4.",
)
@click.option(
    "--seed", metavar="N", type=int, default=0, show_default=True, help="Seed of everything random."
)
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder for the file, instead of data/KIND.",
)
@options.dry_run
@options.as_json
def make_example(
    kind: str,
    images: int,
    size: int,
    neurons: int,
    ceiling: float,
    layer: str,
    seed: int,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a small example file with the keys and types of the data set KIND.

    Images of objects are generated, and responses are planted in a layer of a fixed random network. The truth is
    in the file too. KIND is majaj_2015.
    """
    from neurofit import datasets

    chosen = datasets.ExampleOptions(
        images=images, size=size, neurons=neurons, ceiling=ceiling, layer=layer, seed=seed
    )
    folder = options.here().data / kind if out is None else out.expanduser()
    path = datasets.make_example(kind, folder, chosen, dry_run=dry_run)
    if as_json:
        terminal.as_json({"kind": kind, "file": str(path), "images": chosen.counts, "dry_run": dry_run})
        return
    counts = ", ".join(f"{count} {part}" for part, count in chosen.counts.items())
    verb = "would be written" if dry_run else "written"
    terminal.say(f"{wording.short_path(path)} {verb}: {counts} images of {size}×{size}, {neurons} neurons.")
    terminal.hint("neurofit data")


@command.command(epilog=options.examples("neurofit data convert majaj_2015"))
@click.argument("kind")
@options.dry_run
@options.as_json
def convert(kind: str, dry_run: bool, as_json: bool) -> None:
    """Convert the compressed images of the data set KIND once, so that they are faster to read in any order.

    The space that is needed and the space that is free are printed before. KIND is majaj_2015.
    """
    from neurofit import datasets

    forecast = datasets.convert_images(kind, options.here().data, dry_run=True)
    sizes = f"{wording.size(forecast.needed_bytes)} needed, {wording.size(forecast.free_bytes)} free"
    if not as_json and forecast.files:
        terminal.say(f"{wording.count(len(forecast.files), 'file')} to convert: {sizes}.")
    if not dry_run:
        datasets.convert_images(kind, options.here().data)
    if as_json:
        terminal.as_json({"kind": kind, **forecast.as_json(), "dry_run": dry_run})
        return
    for one in forecast.files:
        terminal.say(wording.short_path(one))
    verb = "would be converted" if dry_run else "converted"
    terminal.say(
        f"{wording.count(len(forecast.files), 'file')} {verb}."
        if forecast.files
        else "All images are converted already."
    )
    terminal.hint("neurofit data")


@command.command(
    epilog=options.examples("neurofit data features", "neurofit data features --json > features.json")
)
@options.as_json
def features(as_json: bool) -> None:
    """List the features of networks that this study has: network, layer, images, size, age and key.

    Features are under training_data/.features/. `neurofit clean --features` removes them.
    """
    from neurofit.store.features import listed

    found = listed(options.here())
    if as_json:
        terminal.as_json({"features": [_feature_object(one) for one in found]})
        return
    if not found:
        terminal.say("This study has no features.")
        return
    terminal.table(
        ["network", "weights", "layer", "images", "units", "size", "age", "key", "state"],
        [_feature_row(one) for one in found],
        styles=["bold", "", "", "", "", "", "", "dim", ""],
    )
    total = sum(one.size_bytes for one in found)
    terminal.say(f"{wording.count(len(found), 'layer')}, {wording.size(total)}.")
    terminal.hint("neurofit clean --features --dry-run")


def _feature_row(one: Listed) -> list[str]:
    age, size, key = roughly(one.age_seconds), wording.size(one.size_bytes), one.files.key[:12]
    if one.record is None:
        return ["?", "", "", "", "", size, age, key, _feature_state(one)]
    images, units = one.record.shape
    of = f"{images:,} of {one.record.images.get('name', '?')}"
    names = [one.record.network, one.record.weights, one.record.layer]
    return [*names, of, f"{units:,}", size, age, key, _feature_state(one)]


def _feature_state(one: Listed) -> str:
    if one.holder is not None:
        return f"being computed by {one.holder.text}"
    if one.problem is not None:
        return "damaged"
    return "not complete" if one.record is None else ""


def _feature_object(one: Listed) -> dict[str, Any]:
    record = one.record.as_object() if one.record else {}
    return {
        **record,
        "key": one.files.key,
        "path": str(one.files.values),
        "bytes": one.size_bytes,
        "age_seconds": round(one.age_seconds, 1),
        "unused_seconds": round(one.unused_seconds, 1),
        "complete": one.record is not None and one.problem is None,
        "computed_by": one.holder.text if one.holder else None,
        "problem": one.problem,
    }


@command.command(
    "fetch-weights",
    epilog=options.examples(
        "neurofit data fetch-weights ResNet50", "neurofit data fetch-weights VGG16 --top"
    ),
)
@click.argument("network")
@click.option("--top", is_flag=True, help="Include the classifier (layers such as fc1 and predictions).")
@options.dry_run
@options.as_json
def fetch_weights(network: str, top: bool, dry_run: bool, as_json: bool) -> None:
    """Download the ImageNet weights of NETWORK, a name of keras.applications, into data/weights/.

    Run it on a machine with a network: tasks never download anything.
    """
    from neurofit.features.networks import fetch, fetched_path, known_application

    study, network = options.here(), known_application(network)
    path = fetched_path(study.data, network, top)
    present = path.is_file()
    if not present and not dry_run:
        with terminal.without_library_logs():
            fetch(study.data, network, top=top)
    if as_json:
        terminal.as_json({"path": str(path), "present": path.is_file(), "dry_run": dry_run})
        return
    verb = "is present already" if present else "would be downloaded" if dry_run else "was downloaded"
    terminal.say(f"{wording.short_path(path)} {verb}.")
