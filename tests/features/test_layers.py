"""Layers are named, matched, counted, or called as torchvision calls them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import DataError, NameUnknown
from neurofit.features.layers import chosen

BLOCKS = {2: 3, 3: 4, 4: 6, 5: 3}  # of ResNet50
RESNET = [
    "conv1_pad",
    "conv1_conv",
    "conv1_relu",
    "pool1_pool",
    *(
        f"conv{stage}_block{block}_{part}"
        for stage, count in BLOCKS.items()
        for block in range(1, count + 1)
        for part in ("1_conv", "out")
    ),
    "avg_pool",
]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("layer1", "conv2_block3_out"),
        ("layer2", "conv3_block4_out"),
        ("layer3", "conv4_block6_out"),
        ("layer4", "conv5_block3_out"),
        ("layer3.0", "conv4_block1_out"),
        ("conv1", "conv1_conv"),
        ("maxpool", "pool1_pool"),
        ("avgpool", "avg_pool"),
        (-1, "avg_pool"),
        (0, "conv1_pad"),
        ("conv5_block3_out", "conv5_block3_out"),
    ],
)
def test_one_layer_has_several_names(alias, name):
    assert chosen(alias, RESNET, "ResNet50") == [name]


def test_a_glob_gives_layers_in_the_order_of_the_network_and_none_twice():
    outputs = [f"conv4_block{block}_out" for block in range(1, 7)]
    assert chosen(["layer3", "conv4_*_out"], RESNET, "ResNet50") == [outputs[-1], *outputs[:-1]]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("layer33", r"ResNet50 has no layer 'layer33'\. Did you mean 'layer3.3'\?.*Aliases: conv1, maxpool"),
        ("conv4_block6_ot", r"Did you mean 'conv4_block6_out'\?"),
        ("x*", "ResNet50 has no layer 'x\\*'"),
        (99, r"ResNet50 has no layer 99: it has 37 layers, 0 … 36"),
        (-38, "has no layer -38"),
    ],
)
def test_a_layer_that_does_not_exist_is_refused(wanted, message):
    with pytest.raises(NameUnknown, match=message):
        chosen([wanted], RESNET, "ResNet50")


def test_no_argument_is_not_a_request():
    with pytest.raises(DataError, match="no layer was asked for"):
        chosen([], RESNET, "ResNet50")


def test_a_network_of_another_kind_has_no_aliases():
    with pytest.raises(NameUnknown, match="VGG16 has no layer 'layer3'"):
        chosen("layer3", ["block1_conv1", "block1_pool"], "VGG16")


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, unique=True), st.data())
def test_any_name_is_found_even_if_it_looks_like_a_glob(names, data):
    name = data.draw(st.sampled_from(names))
    assert chosen(name, names, "network") == [name]
