"""92 images with dissimilarity matrices of human and monkey IT."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr

from neurofit import datasets
from neurofit.datasets.recordings.rdm92 import HUMAN, STIMULI
from neurofit.errors import DataError, NameUnknown

PAIRS = 92 * 91 // 2


def contents(seed: int = 0) -> tuple[dict, dict]:
    """Two small files with the same keys."""
    rng = np.random.default_rng(seed)
    fields = [(name, object) for name in ("category", "human", "face", "animal", "natural", "image")]
    stimuli, pair = np.empty((1, 92), fields), np.empty((1, 2), [("name", object), ("RDM", object)])
    for number in range(92):
        image = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        stimuli[0, number] = ("human face" if number % 2 else "fruit", number % 2, number % 2, 1, 1, image)
    for number, name in enumerate(["mIT", "hIT"]):
        pair[0, number] = (name, rng.random((1, PAIRS)))
    human = np.empty((1, 4, 2), [("RDM", object), ("name", object)])
    for subject in range(4):
        for session in range(2):
            human[0, subject, session] = (squareform(rng.random(PAIRS)), f"{subject} | {session}")
    return {"stimuli_92objs": stimuli, "RDMs_mIT_hIT_fig1": pair}, {"RDMs": human}


@pytest.fixture
def made(tmp_path):
    """made(change): a folder with both files, changed before they are written."""

    def write(change=lambda stimuli, human: None, compressed=True):
        folder = tmp_path / "download"
        folder.mkdir(exist_ok=True)
        stimuli, human = contents()
        change(stimuli, human)
        savemat(folder / STIMULI, stimuli, do_compression=compressed)
        savemat(folder / HUMAN, human, do_compression=compressed)
        return folder

    return write


@pytest.mark.parametrize("compressed", [True, False])
def test_images_labels_and_matrices_are_read_as_scipy_reads_them(made, tmp_path, compressed):
    folder = made(compressed=compressed)
    assert [path.name for path in datasets.add("rdm92", folder, tmp_path)] == [HUMAN, STIMULI]
    images, measured = datasets.load_stimuli("rdm92", tmp_path), datasets.rdms("rdm92", tmp_path)
    stimuli, human = loadmat(folder / STIMULI), loadmat(folder / HUMAN)
    assert images.shape == (92, 6, 6, 3)
    np.testing.assert_array_equal(images.read([7])[0], stimuli["stimuli_92objs"][0, 7]["image"])
    assert images.label("category")[:2].tolist() == ["fruit", "human face"]
    assert images.label("face")[:2].tolist() == [False, True]
    np.testing.assert_array_equal(
        squareform(measured.monkey), stimuli["RDMs_mIT_hIT_fig1"][0, 0]["RDM"].ravel()
    )
    assert measured.human.shape == (4, 2, 92, 92)
    np.testing.assert_array_equal(measured.human[3, 1], human["RDMs"][0, 3, 1]["RDM"])


def test_what_is_there_is_listed(made, tmp_path):
    datasets.add("rdm92", made(), tmp_path)
    known = {one.name: one for one in datasets.known(tmp_path)}["rdm92"]
    assert (known.present, known.missing) == (["rdm92"], [])


def test_it_is_not_a_data_set_and_says_what_it_is(made, tmp_path):
    datasets.add("rdm92", made(), tmp_path)
    with pytest.raises(DataError, match=r"no responses of neurons.*load_stimuli\('rdm92'"):
        datasets.load("rdm92", tmp_path)
    with pytest.raises(NameUnknown, match=r"No matrices 'rdm9'\. Known: rdm92\. Did you mean 'rdm92'"):
        datasets.rdms("rdm9", tmp_path)
    with pytest.raises(DataError, match=r"rdm92: no file .*data add rdm92 PATH"):
        datasets.rdms("rdm92", tmp_path / "elsewhere")


def fewer(stimuli, human):
    stimuli["stimuli_92objs"] = stimuli["stimuli_92objs"][:, :90]


def uneven(stimuli, human):
    stimuli["stimuli_92objs"][0, 3]["image"] = np.zeros((5, 6, 3), np.uint8)


def short(stimuli, human):
    stimuli["RDMs_mIT_hIT_fig1"][0, 0]["RDM"] = np.ones((1, 7))


def lopsided(stimuli, human):
    human["RDMs"][0, 0, 0]["RDM"][3, 4] += 1


def renamed(stimuli, human):
    human["RDM"] = human.pop("RDMs")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fewer, r"'stimuli_92objs' has 90 elements; expected 92"),
        (uneven, r"images of 'stimuli_92objs' have shapes .*expected \(height, width, 3\)"),
        (short, r"vectors of lengths \[7, 4186\]; expected 2 of 4186"),
        (lopsided, r"'RDMs' has matrices that are not finite and symmetric"),
        (renamed, r"no struct 'RDMs' in this file; expected RDMs"),
    ],
)
def test_a_file_that_is_not_as_published_is_not_added(made, tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        datasets.add("rdm92", made(change), tmp_path)


def test_damaged_files_are_data_errors(made, tmp_path):
    folder = made(compressed=False)
    for name in (STIMULI, HUMAN):
        path = folder / name
        content = path.read_bytes()
        for place in np.random.default_rng(0).integers(100, 4000, 150):
            path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
            try:
                datasets.add("rdm92", path, tmp_path / "new", dry_run=True)
            except DataError as error:
                assert name in str(error)
        path.write_bytes(content)


def test_raw_pixels_correlate_with_it_as_was_measured(recordings, tmp_path):
    if not (recordings / "rdm92").is_dir():
        pytest.skip(f"the matrices are not in {recordings}")
    datasets.add("rdm92", recordings / "rdm92", tmp_path)
    images, measured = datasets.load_stimuli("rdm92", tmp_path), datasets.rdms("rdm92", tmp_path)
    assert images.shape == (92, 175, 175, 3)
    pixels = images.read(slice(None)).reshape(92, -1).astype(float)
    pairs = squareform(1 - np.corrcoef(pixels), checks=False)
    monkey = spearmanr(pairs, squareform(measured.monkey)).statistic
    human = spearmanr(pairs, squareform(measured.human.mean(axis=(0, 1)))).statistic
    assert (monkey, human) == (pytest.approx(0.145, abs=5e-4), pytest.approx(0.106, abs=5e-4))
