"""Strided convolutions with PyTorch's padding and initialisation."""

import keras
import numpy as np
import pytest
import torch
from keras import ops

from keras_poolformer.layers import PatchEmbedding
from tests.backends import (
    relative_error,
    run,
    run_with_gradient,
    to_numpy,
    value_and_gradients,
)


def pair(patch, stride, padding, channels, filters=8):
    """PyTorch's convolution and a model of ours with its weights."""
    conv = torch.nn.Conv2d(channels, filters, patch, stride, padding)
    layer = PatchEmbedding(filters, patch, stride, padding)
    model = keras.Sequential([keras.Input((None, None, channels)), layer])
    layer.kernel.assign(conv.weight.detach().numpy().transpose(2, 3, 1, 0))
    layer.bias.assign(conv.bias.detach().numpy())
    return conv, model


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (34, 35), (30, 29)])
@pytest.mark.parametrize(("patch", "stride", "padding"), [(7, 4, 2), (3, 2, 1), (4, 4, 0)])
def test_equals_torch_at_odd_and_even_sizes(size, patch, stride, padding, channels, rng):
    x = rng.standard_normal((2, *size, channels)).astype("float32")
    conv, model = pair(patch, stride, padding, channels)
    with torch.no_grad():
        expected = conv(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    y = run(model.layers[0], x)
    assert y.shape == expected.shape == model.layers[0].compute_output_shape(x.shape)
    assert relative_error(y, expected) < 1e-6


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize(
    ("size", "patch", "stride", "padding", "filters"),
    # Of the last the kernel is larger than the map.
    [((33, 47), 7, 4, 2, 8), ((34, 35), 3, 2, 1, 8), ((7, 9), 3, 2, 1, 64)],
)
def test_gradients_equal_torchs(size, patch, stride, padding, filters, channels, rng):
    x = rng.standard_normal((2, *size, channels)).astype("float32")
    conv, model = pair(patch, stride, padding, channels, filters)
    image = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    conv(image).square().sum().backward()
    kernel, bias = value_and_gradients(model, lambda y: ops.sum(y * y), x)[1].values()
    assert relative_error(kernel, conv.weight.grad.numpy().transpose(2, 3, 1, 0)) < 2e-6
    assert relative_error(bias, conv.bias.grad.numpy()) < 2e-6
    dx = run_with_gradient(model.layers[0], x)[1]
    assert relative_error(dx, image.grad.numpy().transpose(0, 2, 3, 1)) < 2e-6


def test_starts_as_a_torch_convolution():
    layer = PatchEmbedding(512, 3, 2, 1)
    layer.build((None, 14, 14, 64))
    bound = (64 * 9) ** -0.5
    for weight, tolerance in ((layer.kernel, 0.01), (layer.bias, 0.1)):
        values = to_numpy(weight)
        assert 0.99 * bound < np.abs(values).max() <= bound
        assert abs(values.std() / (bound / 3**0.5) - 1) < tolerance  # uniform


def test_a_map_smaller_than_a_patch_is_refused():
    with pytest.raises(ValueError, match="A patch of 7 pixels does not fit into 2 pixels"):
        PatchEmbedding(8, 7, 4, 2)(np.zeros((1, 2, 8, 3), "float32"))


@pytest.mark.parametrize("filters", [0, 1.5, None])
def test_filters_must_be_a_positive_integer(filters):
    with pytest.raises(ValueError, match="`filters` must be a positive integer"):
        PatchEmbedding(filters, 3, 2)
