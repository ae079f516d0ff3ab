"""it/rdm92 on the published files, and with weights of a file on small ones."""

import numpy as np
import pytest

from neurofit import datasets, features, scores
from neurofit.datasets.recordings.rdm92 import HUMAN, STIMULI


def add_script(bench, study):
    source = (study.jobs / "it" / "rdm92.py").read_text(encoding="utf-8")
    (bench.study.jobs / "it").mkdir()
    (bench.study.jobs / "it" / "rdm92.py").write_text(source, encoding="utf-8")


@pytest.mark.process
def test_pixels_are_as_similar_to_it_as_measured_elsewhere(bench, shared, study):
    added = bench.command("data", "add", "rdm92", str(shared / "data" / "rdm92"))
    assert added.returncode == 0, added.stderr
    add_script(bench, study)
    done = bench.command("run", "it/rdm92", "--set", "layer=pixels", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in bench.outcomes("it/rdm92") if row["metrics"]]
    expected = {"monkey": 0.145, "human_mean": 0.106, "human_lower": 0.372, "human_upper": 0.666}
    assert {name: row["metrics"][name] for name in expected} == pytest.approx(expected, abs=6e-4)


def small_files(folder):
    """The two files with images of 32 pixels and random matrices."""
    from scipy.io import savemat
    from scipy.spatial.distance import squareform

    rng, pairs = np.random.default_rng(0), 92 * 91 // 2
    stimuli = np.empty((1, 92), [("category", object), ("image", object)])
    for number in range(92):
        stimuli[0, number] = ("face", rng.integers(0, 256, (32, 32, 3)).astype(np.uint8))
    pair = np.empty((1, 2), [("name", object), ("RDM", object)])
    for number, name in enumerate(["mIT", "hIT"]):
        pair[0, number] = (name, rng.random((1, pairs)))
    human = np.empty((1, 4, 2), [("RDM", object)])
    for place in np.ndindex(human.shape):
        human[place] = (squareform(rng.random(pairs)),)
    folder.mkdir()
    savemat(folder / STIMULI, {"stimuli_92objs": stimuli, "RDMs_mIT_hIT_fig1": pair})
    savemat(folder / HUMAN, {"RDMs": human})
    return folder


@pytest.mark.slow
@pytest.mark.process
def test_a_saved_file_of_weights_is_compared_instead_of_random_ones(bench, study, tmp_path):
    datasets.add("rdm92", small_files(tmp_path / "download"), bench.study.data)
    network = features.Network("VGG16", seed=12)
    network.load(32, 32, bench.study.data).model.save_weights(bench.study.data / "vgg16.weights.h5")
    add_script(bench, study)
    words = "--set", "layer=block3_pool", "--set", "weights=data/vgg16.weights.h5"
    done = bench.command("run", "it/rdm92", *words, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in bench.outcomes("it/rdm92") if row["metrics"]]
    images = datasets.load_stimuli("rdm92", bench.study.data)
    layer = features.extract(network, images, "block3_pool", study=bench.root)["block3_pool"]
    measured = datasets.rdms("rdm92", bench.study.data)
    expected = scores.rdm_similarity(scores.dissimilarities(layer.read()), measured.monkey)
    assert row["metrics"]["monkey"] == pytest.approx(expected, abs=1e-3)
