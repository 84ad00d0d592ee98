"""The channel MLP."""

import keras
import numpy as np
import pytest
import torch

from keras_poolformer.layers import ChannelMLP
from tests.backends import run, to_numpy


@pytest.mark.parametrize("as_convolutions", [False, True])
def test_is_two_1x1_convolutions_with_the_exact_gelu(as_convolutions, rng):
    x = rng.standard_normal((2, 5, 3, 6)).astype("float32")
    layer = ChannelMLP(4, as_convolutions=as_convolutions)
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape))
    convs = torch.nn.Conv2d(6, 24, 1), torch.nn.Conv2d(24, 6, 1)
    with torch.no_grad():
        for conv, dense in zip(convs, (layer.fc1, layer.fc2), strict=True):
            conv.weight.copy_(torch.from_numpy(to_numpy(dense.kernel).T[..., None, None].copy()))
            conv.bias.copy_(torch.from_numpy(to_numpy(dense.bias).copy()))
        t = torch.from_numpy(x.transpose(0, 3, 1, 2))
        expected = convs[1](torch.nn.functional.gelu(convs[0](t))).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-4, atol=1e-5)


def test_starts_as_the_official_code():
    layer = ChannelMLP(4)
    layer.build((None, 8, 8, 128))
    for dense in (layer.fc1, layer.fc2):
        kernel = to_numpy(dense.kernel)
        assert abs(kernel.std() - 0.02) < 3e-4
        assert np.abs(kernel).max() > 0.06  # not cut at two deviations
        np.testing.assert_array_equal(to_numpy(dense.bias), 0)


def test_bias_can_be_left_out():
    layer = ChannelMLP(2, use_bias=False)
    layer.build((None, 4, 4, 3))
    assert [w.path.rpartition("mlp/")[2] for w in layer.weights] == [
        w.path.rpartition("mlp/")[2] for w in (layer.fc1.kernel, layer.fc2.kernel)
    ]


def test_one_of_two_biases():
    layer = ChannelMLP(2, use_bias=(False, True))
    layer.build((None, 4, 4, 3))
    assert (layer.fc1.bias is None, layer.fc2.bias is None) == (True, False)
    assert ChannelMLP.from_config(layer.get_config()).use_bias == (False, True)


def test_dropout_acts_in_training_only(rng):
    x = rng.standard_normal((2, 4, 4, 8)).astype("float32")
    layer = ChannelMLP(2, dropout_rate=0.5)
    np.testing.assert_array_equal(to_numpy(layer(x)), to_numpy(layer(x, training=False)))
    zeros = (to_numpy(layer(x, training=True)) == 0).mean()
    assert 0.3 < zeros < 0.7


def test_any_activation_survives_its_configuration():
    for activation in ("relu", keras.activations.silu):
        layer = ChannelMLP(2, activation=activation)
        copy = ChannelMLP.from_config(layer.get_config())
        assert copy.activation is layer.activation is keras.activations.get(activation)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0}, "`ratio` must be positive"),
        ({"dropout_rate": 1}, "`dropout_rate` must be at least 0 and below 1"),
        ({"activation": "no such"}, "no such"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ChannelMLP(**arguments)
