"""Networks of Keras: applications, functions and files; weights by seed and from files; keys of what they compute."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from neurofit import features
from neurofit.datasets.pixels import NETWORKS, PixelFormat
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.errors import DataError, NameUnknown, ShapeError
from neurofit.features.networks import APPLICATIONS, Network

pytestmark = pytest.mark.slow


@pytest.fixture
def pictures():
    pixels = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3)).astype(np.uint8)
    return StimulusSet.from_array("noise", pixels, PixelFormat(0, 255, "rgb"))


def small():
    import keras

    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(4, 5, strides=4, activation="relu", name="first"),
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(3, 3),
            keras.layers.Dense(2, name="last"),
        ]
    )


def network(**options):
    return Network(small, pixels="torch", **options)


def weights_of(spec, data):
    return [one.numpy() for one in spec.load(32, 32, data).model.weights]


def test_the_names_are_those_of_keras_and_the_formats_those_of_its_preprocess_input():
    import keras

    applications = keras.applications
    networks = {name for name in dir(applications) if name[0].isupper()}
    assert networks == APPLICATIONS.keys()
    modules = {"caffe": "vgg16", "tf": "mobilenet", "torch": "densenet", "raw": "efficientnet"}
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.float32)
    from neurofit.datasets.pixels import conversion

    for mode, module in modules.items():
        expected = getattr(applications, module).preprocess_input(images.copy())
        converted = conversion(PixelFormat(0, 255, "rgb"), NETWORKS[mode]).apply(images)
        np.testing.assert_allclose(converted, expected, rtol=1e-5, atol=1e-4)


def test_a_network_of_keras_gives_the_outputs_of_its_layers_in_one_pass(study, pictures):
    import keras

    found = features.extract(
        Network("ResNet50", seed=3), pictures, ["conv1", "layer1", "layer4", "avgpool"], study=study
    )
    assert [one.unit_shape for one in found.values()] == [(16, 16, 64), (8, 8, 256), (1, 1, 2048), (2048,)]
    model = Network("ResNet50", seed=3).load(32, 32, study.data).model
    images = keras.applications.resnet50.preprocess_input(pictures.read(slice(None)).astype(np.float32))
    direct = keras.Model(model.inputs, model.get_layer("conv2_block3_out").output).predict(images, verbose=0)
    np.testing.assert_allclose(
        found["conv2_block3_out"].read(), direct.reshape(10, -1), rtol=1e-4, atol=1e-4 * np.abs(direct).max()
    )
    assert found["avg_pool"].record.weights == "random, seed 3"


def test_a_seed_gives_the_same_weights_each_time_and_leaves_the_generators_alone(tmp_path):
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    first, second, third = (weights_of(network(seed=seed), tmp_path) for seed in (1, 1, 2))
    assert np.random.random() == expected
    assert all((one == two).all() for one, two in zip(first, second))
    assert (first[0] != third[0]).any()


def test_the_key_is_the_same_when_a_network_is_made_again_and_another_when_one_weight_changes(
    study, pictures, tmp_path
):
    def key(source=small, layer=2, **options):
        return (
            features.extract(Network(source, pixels="torch", **options), pictures, layer, study=study)
            .popitem()[1]
            .key
        )

    base = key()
    assert key() == base, "names such as conv2d_1 and conv2d_2 are not part of it"
    model = Network(small, pixels="torch").load(32, 32, study.data).model
    model.save(tmp_path / "same.keras")
    assert key(tmp_path / "same.keras") == base
    kernel = model.get_layer("first").kernel.numpy()
    kernel[0, 0, 0, 0] = np.nextafter(kernel[0, 0, 0, 0], np.float32(1), dtype=np.float32)
    model.get_layer("first").kernel.assign(kernel)
    model.save(tmp_path / "other.keras")

    def tanh():
        import keras

        config = small().get_config()
        config["layers"][1]["config"]["activation"] = "tanh"
        return keras.Sequential.from_config(config)

    others = {key(tmp_path / "other.keras"), key(tanh), key(seed=1), key(layer=0)}
    assert len(others) == 4 and base not in others


def test_weights_come_from_a_file_of_weights_or_of_a_model(tmp_path):
    model = network(seed=7).load(32, 32, tmp_path).model
    model.save_weights(tmp_path / "seven.weights.h5")
    wanted = [one.numpy() for one in model.weights]
    found = weights_of(network(weights=tmp_path / "seven.weights.h5"), tmp_path)
    assert all((one == two).all() for one, two in zip(found, wanted))
    (tmp_path / "bad.weights.h5").write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"bad\.weights\.h5 does not hold weights of small"):
        weights_of(network(weights=tmp_path / "bad.weights.h5"), tmp_path)
    with pytest.raises(DataError, match="no file of weights"):
        weights_of(network(weights=tmp_path / "none.weights.h5"), tmp_path)


def test_pretrained_weights_are_a_file_and_random_ones_of_the_same_network_differ(study, pictures):
    import keras

    spec = Network("MobileNet", weights="imagenet")
    with pytest.raises(DataError, match=r"neurofit data fetch-weights MobileNet`\. Tasks never download"):
        features.extract(spec, pictures, -1, study=study)
    (study.data / "weights").mkdir()
    keras.utils.set_random_seed(11)  # stands for the download
    stand_in = keras.applications.MobileNet(weights=None, include_top=False, pooling="avg")
    stand_in.save(study.data / "weights" / "MobileNet.keras")
    pretrained = features.extract(spec, pictures, "conv_pw_3_relu", study=study)["conv_pw_3_relu"]
    random = features.extract(Network("MobileNet"), pictures, "conv_pw_3_relu", study=study)["conv_pw_3_relu"]
    assert pretrained.shape == random.shape and pretrained.key != random.key
    by_path = Network("MobileNet", weights=study.data / "weights" / "MobileNet.keras")
    again = features.extract(by_path, pictures, "conv_pw_3_relu", study=study)["conv_pw_3_relu"]
    np.testing.assert_array_equal(again.read(), pretrained.read())


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (Network("ResNet5"), NameUnknown, r"No network 'ResNet5'\. Did you mean 'ResNet50'\?"),
        (Network(small), DataError, "small: which pixels this network needs is not known"),
        (Network(small, pixels="toch"), NameUnknown, r"no pixel format 'toch'.*Did you mean 'torch'"),
        (Network(dict, pixels="torch"), DataError, r"dict\(\) must return a keras.Model, but returned dict"),
        (
            Network(small, weights="imagenet", pixels="torch"),
            DataError,
            "weights='imagenet' is for networks of",
        ),
        (
            Network(small, weights="pretrained", pixels="torch"),
            NameUnknown,
            "weights='pretrained' is not known",
        ),
        (Network("nowhere.keras", pixels="torch"), DataError, r"nowhere\.keras: no such file"),
        (
            Network("VGG16", top=True),
            ShapeError,
            "VGG16 takes images of 224×224 pixels, and these have 32×32",
        ),
    ],
)
def test_what_cannot_be_loaded_is_refused(study, pictures, spec, error, message):
    with pytest.raises(error, match=message):
        features.extract(spec, pictures, -1, study=study)


def test_images_too_small_for_a_network_are_refused(study, pictures):
    with pytest.raises(ShapeError, match=r"InceptionV3 cannot be made for images of 32×32 pixels"):
        Network("InceptionV3").load(32, 32, study.data)


def test_a_file_that_is_not_keras_is_refused(tmp_path):
    (tmp_path / "torch.pt").write_bytes(b"PK")
    (tmp_path / "text.keras").write_text("weights")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("data.pkl", b"")
    for name in ("torch.pt", "text.keras", "other.keras"):
        with pytest.raises(DataError, match=f"{name} is not a Keras model.*features.register"):
            Network(tmp_path / name, pixels="torch").load(32, 32, tmp_path)


def test_many_batches_compile_once(study):
    import tensorflow as tf

    loaded = network().load(32, 32, study.data)
    traces = []
    first = loaded.model.get_layer("first")
    original = first.call
    first.call = lambda *given, **named: (traces.append(tf.executing_eagerly()), original(*given, **named))[1]
    run = loaded.forward(["first", "last"], 4)
    traces.clear()
    for _ in range(20):
        run(np.zeros((4, 32, 32, 3), np.float32))
    assert traces == [False]
