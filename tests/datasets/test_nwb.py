"""Recordings in NWB files, written by pynwb as a laboratory would."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

from neurofit import datasets
from neurofit.errors import DataError, ShapeError

pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed")
COUNTS = np.array([[0, 3], [2, 1], [4, 0], [1, 1], [5, 2], [0, 6]])  # (presentation, unit)
SHOWN = [2, 0, 2, 1, 0, 2]  # image 3 is never shown


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A session with four images, six presentations and two units."""
    session = pynwb.NWBFile("a test", "one", datetime(2026, 1, 1, tzinfo=timezone.utc))
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 5), dtype=np.uint8)
    session.add_stimulus_template(
        pynwb.image.OpticalSeries(
            name="scenes",
            data=pixels,
            unit="n.a.",
            distance=1.0,
            field_of_view=[1.0, 1.0],
            orientation="up",
            rate=1.0,
        )
    )
    session.add_trial_column("frame", "the image")
    session.add_trial_column("kind", "its kind")
    session.add_trial_column("day", "of the presentation")
    for place, image in enumerate(SHOWN):
        session.add_trial(
            start_time=10.0 * place, stop_time=10.0 * place + 1, frame=image, kind=f"k{image % 2}", day=place
        )
    session.add_unit_column("area", "where it is")
    for unit in range(2):
        spikes = [
            10.0 * place + 0.06 + 0.01 * number for place in range(6) for number in range(COUNTS[place, unit])
        ]
        early = [10.0 * place + 0.01 for place in range(6)]  # before the window
        session.add_unit(spike_times=sorted(spikes + early), area=f"V{unit + 1}")
    path = tmp_path_factory.mktemp("nwb") / "session.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as target:
        target.write(session)
    return path, pixels


def test_spikes_after_each_presentation_are_the_responses(file):
    path, pixels = file
    cells = datasets.from_nwb(path, images="scenes", image="frame", labels=["kind"])
    assert (cells.name, cells.n_images, cells.n_neurons) == ("session", 3, 2)
    assert cells.image_ids.tolist() == ["2", "0", "1"] and cells.labels["kind"].tolist() == ["k0", "k0", "k1"]
    np.testing.assert_array_equal(cells.inputs["image"][..., 0], pixels[[2, 0, 1]])
    assert cells.trials.shape == (3, 3, 2) and np.isnan(cells.trials[2, 1:]).all()
    np.testing.assert_array_equal(cells.trials[0], COUNTS[[0, 2, 5]])
    np.testing.assert_allclose(cells.responses[1], COUNTS[[1, 4]].mean(axis=0))
    assert cells.neurons["area"].tolist() == ["V1", "V2"]


def test_the_window_decides_which_spikes_count(file):
    path, _ = file
    everything = datasets.from_nwb(path, images="scenes", image="frame", window=(0, 1))
    later = datasets.from_nwb(path, images="scenes", image="frame", window=(0.05, 0.075))
    np.testing.assert_array_equal(everything.trials[0], COUNTS[[0, 2, 5]] + 1)
    np.testing.assert_array_equal(later.trials[0], np.minimum(COUNTS[[0, 2, 5]], 2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": "scene"}, "no stimuli 'scene'. Did you mean 'scenes'"),
        ({"image": "image"}, "the table 'trials' has no column 'image'"),
        ({"presentations": "shows"}, "no table 'shows' of presentations"),
        ({"image": "kind"}, "shows the image 'k0', which the file lacks"),
        ({"image": "day"}, "shows the image 4, but the file has the images 0 to 3"),
        ({"labels": ["day"]}, "has both '0' and '2' in column 'day'"),
        ({"window": (0.2, 0.1)}, "expected two times"),
    ],
)
def test_what_does_not_fit_is_named(file, given, message):
    with pytest.raises((DataError, ShapeError), match=message):
        datasets.from_nwb(file[0], **{"images": "scenes", "image": "frame", **given})


def test_a_file_that_is_no_nwb_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        datasets.from_nwb(tmp_path / "none.nwb", images="scenes")
    (tmp_path / "text.nwb").write_text("no HDF5")
    with pytest.raises(DataError, match=r"text\.nwb cannot be read as an NWB file"):
        datasets.from_nwb(tmp_path / "text.nwb", images="scenes")
