"""Features are extracted once, streamed, resumed after a kill, and found to be damaged before they are used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy_network import NumpyNetwork, stimuli

from neurofit import features
from neurofit.errors import DataError, NameUnknown, ShapeError, StoreError
from neurofit.store.features import FeatureFiles, by_key, files_of, listed, remove
from neurofit.store.work_claims import HeldClaim, claim

PROGRAM = Path(__file__).with_name("numpy_network.py")


def truth(images, layer, weight=2.0):
    network = NumpyNetwork(weight)
    values = images.read(slice(None)).astype(np.float32) * np.float32(1 / 255)
    return network.outputs(values, [layer])[0].reshape(len(values), -1)


def start(study, layers, stop_after=""):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), *sys.path])}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(study.root), layers, stop_after],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def batches(study):
    path = study.root / "batches.txt"
    return path.read_text().split() if path.exists() else []


def test_all_layers_are_computed_in_one_pass_and_read_by_blocks_of_units(study, images, network):
    found = features.extract(network, images, ["all", "channels"], study=study)
    assert list(found) == ["all", "channels"] and network.passes == [("all", "channels")]
    assert found["all"].shape == (100, 90) and found["all"].unit_shape == (6, 5, 3)
    np.testing.assert_allclose(found["all"].columns(0, 90), truth(images, "all"), rtol=1e-6)
    np.testing.assert_array_equal(found["all"].columns(7, 9), found["all"].read()[:, 7:9])
    buffer = np.empty((100, 30), np.float64)
    assert found["channels"].columns(0, 30, buffer) is buffer
    np.testing.assert_allclose(buffer, truth(images, "channels"), rtol=1e-6)
    on_disk = np.load(found["all"].path)
    assert on_disk.dtype == np.float32 and on_disk.shape == (100, 90)


def test_what_is_there_is_not_computed_again(study, images, network):
    features.extract(network, images, "all", study=study)
    again = NumpyNetwork()
    features.extract(again, images, ["all", "rows"], study=study)
    assert again.passes == [("rows",)]


def test_the_key_depends_on_weights_architecture_preprocessing_images_and_layer_and_not_on_names(
    study, images
):
    def key(network, images=images, layer="all"):
        return features.extract(network, images, layer, study=study)[layer].key

    base = key(NumpyNetwork())
    assert key(NumpyNetwork(name="other name")) == base
    changed = {
        key(NumpyNetwork(weight=2.0000001)),
        key(NumpyNetwork(architecture_digest="other")),
        key(NumpyNetwork(pixels=type(images.pixels)(-1, 1, "rgb"))),
        key(NumpyNetwork(), stimuli(seed=1)),
        key(NumpyNetwork(), layer="rows"),
    }
    assert len(changed) == 5 and base not in changed


def test_the_record_says_what_the_file_is(study, images, network):
    found = features.extract(network, images, "rows", study=study)["rows"]
    record = json.loads((found.path.parent / "features.json").read_text())
    assert record["layer"] == "rows" and record["shape"] == [100, 15] and record["unit_shape"] == [5, 3]
    assert record["images"]["name"] == "noise" and record["images"]["hash"] == images.hash()
    assert record["preprocessing"]["need"]["high"] == 1 and record["origin"]["versions"]["numpy"]
    assert {"host", "user", "made"} <= record["origin"].keys()


@pytest.mark.parametrize("damage", ["flip", "cut", "append", "delete"])
def test_a_damaged_file_is_found_and_computed_again(study, images, network, damage):
    found = features.extract(network, images, "all", study=study)["all"]
    before = found.path.read_bytes()
    data = bytearray(before)
    if damage == "flip":
        data[-100] ^= 1
    elif damage == "append":
        data += b"more"
    found.path.write_bytes(bytes(data[:-400]) if damage == "cut" else bytes(data))
    if damage == "delete":
        found.path.unlink()
    with pytest.raises(StoreError, match=r"damaged, .*features\.extract computes it again"):
        features.open(found.key[:8], study=study)
    again = features.extract(NumpyNetwork(), images, "all", study=study)["all"]
    assert again.path.read_bytes() == before
    assert features.open(network, images, "all", study=study).key == found.key


def test_a_damaged_record_is_made_again(study, images, network):
    found = features.extract(network, images, "all", study=study)["all"]
    (found.path.parent / "features.json").write_text('{"key": 3')
    again = features.extract(NumpyNetwork(), images, "all", study=study)["all"]
    np.testing.assert_allclose(again.read(), truth(images, "all"), rtol=1e-6)


@pytest.mark.process
def test_two_processes_that_want_the_same_layers_compute_them_once(study):
    both = [start(study, "all,rows"), start(study, "rows,all")]
    outputs = [one.communicate(timeout=120)[0] for one in both]
    assert all(one.returncode == 0 for one in both)
    assert {tuple(sorted(text.split())) for text in outputs} == {("all", "done", "rows")}
    layers = [layer for line in batches(study) for layer in line.split(",")]
    assert sorted(layers) == ["all"] * 4 + ["rows"] * 4


@pytest.mark.process
def test_a_layer_that_another_process_computes_is_waited_for_and_others_are_computed_meanwhile(study, images):
    first = start(study, "all", "64")
    try:
        assert first.stdout.readline() == "waiting\n"
        second = start(study, "all,rows")
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and batches(study).count("rows") < 4:
            time.sleep(0.05)
        assert batches(study) == ["all"] * 2 + ["rows"] * 4 and second.poll() is None
    finally:
        first.kill()
        first.wait()
    assert second.communicate(timeout=100)[0] == "done all rows\n"
    assert batches(study)[6:] == ["all"] * 2, "resumed at the third batch"
    (found,) = [one for one in listed(study) if one.record and one.record.layer == "all"]
    assert found.record.origin["resumed_at"] == 64
    kept = features.open(found.files.key, study=study).read()
    np.testing.assert_allclose(kept, truth(images, "all"), rtol=1e-6)


@pytest.mark.process
def test_a_killed_extraction_is_resumed_at_its_last_whole_batch_and_gives_the_same_file(
    study, images, tmp_path_factory
):
    killed = start(study, "all", "64")
    assert killed.stdout.readline() == "waiting\n"
    killed.kill()
    killed.wait()
    (part,) = listed(study)
    assert part.record is None and part.holder is None
    with part.files.values.open("r+b") as file:  # half of the second batch had not reached the disk
        file.truncate(part.files.values.stat().st_size - 1000)
    network = NumpyNetwork()
    found = features.extract(network, images, "all", study=study)["all"]
    assert network.seen == [32, 32, 32]
    other = type(study)(tmp_path_factory.mktemp("other"))
    whole = features.extract(NumpyNetwork(), images, "all", study=other)["all"]
    assert (
        found.path.read_bytes() == whole.path.read_bytes() and found.record.checksum == whole.record.checksum
    )


def test_an_error_half_way_leaves_its_batches_to_the_next_one(study, images):
    class Failing(NumpyNetwork):
        def outputs(self, images, layers):
            if len(self.seen) == 3:
                raise RuntimeError("no memory on the device")
            return super().outputs(images, layers)

    with pytest.raises(RuntimeError, match="no memory"):
        features.extract(Failing(), images, "all", study=study)
    network = NumpyNetwork()
    features.extract(network, images, "all", study=study)
    assert sum(network.seen) == 64


def test_a_claimant_that_was_taken_over_writes_nothing_more(study, images):
    class Slow(NumpyNetwork):
        def outputs(self, images, layers):
            if len(self.seen) == 2:  # another process takes over, and finishes
                (one,) = listed(study)
                made = HeldClaim(one.files.folder / "claim-0001")
                assert made.end("abandoned")
                other = features.extract(NumpyNetwork(), stimuli(), "all", study=study)["all"]
                self.found = other.path.read_bytes()
            return super().outputs(images * 0, layers)

    slow = Slow()
    found = features.extract(slow, images, "all", study=study)["all"]
    assert found.path.read_bytes() == slow.found and found.record.origin["resumed_at"] == 32


def test_a_disk_too_small_is_reported_before_with_both_numbers(study, images, network, monkeypatch):
    usage = shutil.disk_usage(study.root)._replace(free=20_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StoreError, match=r"0\.036 MB are needed .* 0\.02 MB are free") as caught:
        features.extract(network, images, "all", study=study)
    assert not network.seen and "neurofit clean --features" in str(caught.value)


def test_an_output_that_is_not_finite_names_the_layer_and_the_image(study, images):
    class Infinite(NumpyNetwork):
        def outputs(self, images, layers):
            found = super().outputs(images, layers)
            found[0][4, 0, 0] = np.inf
            return found

    with pytest.raises(DataError, match="Layer 'all' is not finite for image 4"):
        features.extract(Infinite(), images, "all", study=study)


def test_a_layer_that_does_not_exist_offers_the_nearest(study, images, network):
    with pytest.raises(NameUnknown, match=r"sums has no layer 'chanels'\. Did you mean 'channels'\?"):
        features.extract(network, images, "chanels", study=study)


def test_features_that_were_not_extracted_are_not_opened(study, images, network):
    with pytest.raises(NameUnknown, match=r"not extracted"):
        features.open(network, images, "all", study=study)
    with pytest.raises(NameUnknown, match="No features have a key that starts with '3f'"):
        features.open("3f", study=study)


def test_a_block_outside_and_a_buffer_of_another_shape_are_refused(study, images, network):
    found = features.extract(network, images, "all", study=study)["all"]
    with pytest.raises(ShapeError, match="Units 80 … 91 of features with 90 units"):
        found.columns(80, 91)
    with pytest.raises(ShapeError, match="must be"):
        found.columns(0, 3, np.empty((100, 4), np.float32))


def test_features_are_not_removed_while_a_process_computes_them(study):
    files = files_of(study, "ab" * 16)
    files.folder.mkdir(parents=True)
    held = claim(files.folder)
    assert not remove(files) and files.folder.exists()
    assert held.end("released") and remove(files) and not files.folder.exists()
    assert not remove(files)


def test_keys_are_found_by_their_first_digits(study, images, network):
    found = features.extract(network, images, ["all", "rows"], study=study)
    assert by_key(study, found["all"].key[:10]) == FeatureFiles(found["all"].path.parent)
    with pytest.raises(NameUnknown, match="2 features have a key"):
        by_key(study, "")
