"""Declared pixel formats: conversions agree with keras.applications, and accidents are named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from neurofit.datasets import PixelFormat, check_images, conversion
from neurofit.datasets.pixels import IMAGENET, NETWORKS
from neurofit.errors import DataError, NameUnknown

RAW = PixelFormat()
UNIT = PixelFormat(0, 1)
STORED = replace(IMAGENET, axes="channels_first")


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    """Eight-bit images that reach both ends of their range."""
    images = np.random.default_rng(0).integers(0, 256, (4, 7, 9, 3)).astype(np.uint8)
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    return images


def normalised(raw: np.ndarray) -> np.ndarray:
    """As the published file holds them: ImageNet-normalised, channels first, float32."""
    images = (raw / 255 - IMAGENET.mean) / IMAGENET.sd
    return np.moveaxis(images, -1, 1).astype(np.float32)


def held_as(raw: np.ndarray) -> list[tuple[PixelFormat, np.ndarray]]:
    return [
        (RAW, raw),
        (RAW, raw.astype(np.float32)),
        (UNIT, (raw / 255).astype(np.float32)),
        (STORED, normalised(raw)),
        (PixelFormat(order="bgr"), raw[..., ::-1]),
        (NETWORKS["tf"], (raw / 127.5 - 1).astype(np.float32)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["torch", "caffe", "tf"])
def test_every_conversion_agrees_with_the_preprocessing_of_keras(mode, raw):
    from keras.applications.imagenet_utils import preprocess_input

    expected = preprocess_input(raw.astype(np.float32), data_format="channels_last", mode=mode)
    for have, images in held_as(raw):
        np.testing.assert_allclose(conversion(have, mode).apply(images), expected, atol=5e-5, rtol=1e-5)


def test_conversions_agree_with_their_formulas(raw):
    rgb = raw.astype(np.float64)
    expected = {
        "torch": (rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        "caffe": rgb[..., ::-1] - [103.939, 116.779, 123.68],
        "tf": rgb / 127.5 - 1,
        "raw": rgb,
    }
    for have, images in held_as(raw):
        for mode, values in expected.items():
            np.testing.assert_allclose(conversion(have, mode).apply(images), values, atol=1e-4)


formats = st.builds(
    PixelFormat,
    low=st.sampled_from([0.0, -1.0]),
    high=st.sampled_from([1.0, 255.0]),
    order=st.sampled_from(["rgb", "bgr"]),
    axes=st.sampled_from(["channels_last", "channels_first"]),
    mean=st.none() | st.tuples(*[st.floats(0.1, 200)] * 3),
).flatmap(
    lambda one: (
        st.just(one)
        if one.mean is None
        else st.builds(lambda sd: replace(one, sd=sd), st.tuples(*[st.floats(0.1, 80)] * 3))
    )
)


@given(formats, formats)
def test_a_conversion_and_its_opposite_give_the_images_back(have, need):
    images = np.random.default_rng(1).uniform(have.low, have.high, (2, 3, 5, 3))
    images = (images - (have.mean or 0)) / (have.sd or 1)
    if have.axes == "channels_first":
        images = np.moveaxis(images, -1, 1)
    there = conversion(have, need).apply(images, check=False)
    back = conversion(need, have).apply(there, check=False)
    np.testing.assert_allclose(back, images, atol=1e-3 * np.abs(images).max())


def test_grey_images_are_repeated_for_a_colour_network_and_the_recipe_says_so():
    grey = PixelFormat(order="grey")
    images = np.arange(0, 240, 10, dtype=np.uint8).reshape(2, 3, 4, 1)
    way = conversion(grey, "caffe")
    expected = np.repeat(images, 3, axis=-1) - np.array([103.939, 116.779, 123.68])
    np.testing.assert_allclose(way.apply(images), expected, atol=1e-4)
    assert "channels: grey to bgr" in way.describe()["steps"]


def test_colour_to_grey_is_refused():
    with pytest.raises(DataError, match=r"No conversion from 'rgb' to 'grey': the weights .* not defined"):
        conversion(RAW, PixelFormat(order="grey"))


def test_the_recipe_has_both_formats_the_numbers_and_the_steps():
    recipe = json.loads(json.dumps(conversion(STORED, "caffe").describe()))
    assert recipe["have"]["mean"] == [0.485, 0.456, 0.406]
    assert recipe["need"]["order"] == "bgr"
    assert recipe["steps"] == [
        "axes: channels_first to channels_last",
        "channels: rgb to bgr",
        "undo mean (0.485, 0.456, 0.406) and sd (0.229, 0.224, 0.225)",
        "range: 0…1 to 0…255",
        "subtract mean (103.939, 116.779, 123.68) and divide by sd (1, 1, 1)",
    ]
    assert conversion(IMAGENET, "torch").steps() == []


def accidents(raw: np.ndarray) -> list[tuple[PixelFormat, np.ndarray, str]]:
    stored, last = normalised(raw), np.moveaxis(normalised(raw), 1, -1)
    caffe = raw[..., ::-1] - np.array([103.939, 116.779, 123.68])
    return [
        (RAW, stored, r"look like channels first: axis 1 has 3 elements.*axes='channels_first'"),
        (STORED, last, r"look like channels last: axis 3 has 3 elements.*axes='channels_last'"),
        (RAW, last, r"look normalised already \(as for the mode 'torch'\).*mean=\(0\.485, 0\.456, 0\.406\)"),
        (UNIT, last, r"look normalised already \(as for the mode 'torch'\)"),
        (RAW, caffe, r"look normalised already \(as for the mode 'caffe'\).*order='bgr'"),
        (RAW, last * 400, r"look normalised already\. Declare the mean and sd"),
        (UNIT, raw, r"look like 0…255\. Declare them with low=0, high=255"),
        (RAW, raw / 255, r"look like 0…1\. Declare them with low=0, high=1"),
        (RAW, raw / 127.5 - 1, r"look like -1…1 \(the mode 'tf'\)"),
        (NETWORKS["tf"], raw / 255, r"look like 0…1"),
        (IMAGENET, raw, r"look like 0…255, not normalised"),
        (IMAGENET, raw / 255, r"look like 0…1, not normalised"),
        (IMAGENET, (last - IMAGENET.mean) / IMAGENET.sd, r"look normalised twice"),
        (IMAGENET, last[..., ::-1], r"channels look reversed.*order='bgr', mean=\(0\.406, 0\.456, 0\.485\)"),
        (NETWORKS["caffe"], caffe[..., ::-1], r"channels look reversed.*order='rgb'"),
        (IMAGENET, last * 30, r"outside of 0…1\. Declare the mean and sd"),
        (RAW, raw * 2.0, r"outside of the declared range"),
        (RAW, raw[..., :1], r"one channel\. Declare them with order='grey'"),
        (RAW, np.repeat(raw, 2, axis=-1)[..., :4], r"four channels, probably with transparency"),
        (RAW, raw[..., :2], r"2 channels; expected 3"),
        (RAW, raw[0], r"3 axes; expected \(image, height, width, channel\)"),
        (RAW, np.where(raw > 250, np.nan, raw), "NaN or infinite values"),
        (RAW, raw.astype(str), "expected numbers"),
    ]


@pytest.mark.parametrize("number", range(23))
def test_an_accident_is_named_with_its_remedy(number, raw):
    declared, images, message = accidents(raw)[number]
    with pytest.raises(DataError, match=message):
        conversion(declared, "torch").apply(images)


def test_the_accidents_are_all_tried(raw):
    assert len(accidents(raw)) == 23


def test_images_in_their_declared_format_pass(raw):
    for have, images in held_as(raw):
        check_images(images, have)
    check_images(np.zeros((2, 4, 4, 3), np.uint8), RAW)
    check_images(np.moveaxis(normalised(raw), 1, -1) * 0, IMAGENET)
    blurred = np.moveaxis(normalised(raw), 1, -1)
    check_images((blurred + np.roll(blurred, 1, 1)) / 2, IMAGENET)


def test_what_looks_like_an_accident_can_be_insisted_on(raw):
    dark = raw / 255
    np.testing.assert_allclose(conversion(RAW, "raw").apply(dark, check=False), dark, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"order": "rbg"}, r"order='rbg'\): expected one of rgb, bgr, grey\. Did you mean"),
        ({"axes": "last"}, r"axes='last'\): expected one of channels_last, channels_first"),
        ({"low": 1, "high": 0}, "low must be less than high"),
        ({"sd": 1}, "sd without mean"),
        ({"mean": (1, 2)}, r"mean=\(1, 2\)\): expected 3 finite numbers"),
        ({"mean": 0, "sd": (1, 1, 0)}, "every sd must be greater than 0"),
    ],
)
def test_a_format_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(DataError, match=message):
        PixelFormat(**fields)


def test_an_unknown_mode_is_named_with_the_nearest():
    with pytest.raises(NameUnknown, match=r"No pixel format 'cafe'\. Known: torch, .*Did you mean 'caffe'"):
        conversion(RAW, "cafe")
