import numpy as np
import pytest
from scipy.io import savemat

from neurofit.datasets import known, load
from neurofit.errors import DataError, NameUnknown


@pytest.fixture
def data(tmp_path):
    """A data/ with two small recordings in the macaque layout."""
    folder = tmp_path / "data" / "macaque_v1"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (6, 9, 9), dtype=np.uint8)
    for number, neurons in ((1, 2), (2, 3)):
        content = {"images": images, "activity": rng.random((6, neurons))}
        savemat(folder / f"{number:02d}mean50ms_smallim_d2_crop.mat", content)
    return tmp_path / "data"


def test_the_simulated_data_set_needs_no_file_and_is_made_once():
    assert load("simulated") is load("simulated")


def test_a_recording_is_found_with_and_without_its_leading_zero(data):
    assert load("macaque_v1/2", data).hash() == load("macaque_v1/02", data).hash()
    assert load("macaque_v1/2", data).name == "macaque_v1/02"


def test_recordings_with_a_plus_between_them_are_joined(data):
    both = load("macaque_v1/01+02", data)
    assert (both.n_images, both.n_neurons) == (6, 5)
    assert both.neurons["recording"].tolist() == ["macaque_v1/01"] * 2 + ["macaque_v1/02"] * 3


def test_a_missing_file_is_named_with_the_command_that_brings_it(data):
    path = data / "macaque_v1" / "03mean50ms_smallim_d2_crop.mat"
    with pytest.raises(
        DataError, match=rf"macaque_v1/03: no file {path}\.(.|\n)*neurofit data add macaque_v1 PATH"
    ):
        load("macaque_v1/03", data)


def test_missing_training_images_are_reported_as_unpublished(tmp_path):
    with pytest.raises(
        DataError, match=r"no file .*training_inputs\.npy(.|\n)*'antolik_2016/region1/test' is the"
    ):
        load("antolik_2016/region1", tmp_path)


def test_without_a_data_folder_only_what_is_simulated_can_be_had():
    with pytest.raises(DataError, match="needs a study's data/, and none was given"):
        load("macaque_v1/01")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "macaque_v2/01",
            r"No data set 'macaque_v2/01'\. Known: simulated, macaque_v1, antolik_2016, .*Did you mean",
        ),
        ("simulated/complex", r"No data set 'simulated/complex'.*Did you mean 'simulated'"),
        ("macaque_v1", "macaque_v1: name the recording. Known: macaque_v1/01, macaque_v1/02"),
        ("macaque_v1/11", "macaque_v1: no recording '11'"),
        ("macaque_v1/01/test", "macaque_v1: no recording '01/test'"),
        ("antolik_2016/regoin1", "no recording 'regoin1'.*Did you mean 'region1'"),
        ("macaque_v1/2+02", r"'macaque_v1/2\+02' names a recording twice"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(data, spec, message):
    with pytest.raises(NameUnknown, match=message):
        load(spec, data)


def test_what_is_known_says_what_is_there_and_what_is_not(data):
    simulated, macaque, antolik, *_ = known(data)
    assert (simulated.present, simulated.missing) == (["simulated"], [])
    assert macaque.present == ["macaque_v1/01", "macaque_v1/02"]
    assert macaque.missing[0] == "macaque_v1/03mean50ms_smallim_d2_crop.mat"
    assert macaque.size_bytes == sum(path.stat().st_size for path in data.rglob("*.mat"))
    assert antolik.present == []
    assert "antolik_2016/region1/training_inputs.npy" in antolik.missing


def test_without_a_data_folder_nothing_but_the_simulation_is_present():
    assert [kind.name for kind in known() if kind.present] == ["simulated"]
