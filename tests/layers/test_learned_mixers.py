"""The token mixers with weights, against timm's where it has them."""

import keras
import numpy as np
import pytest
import torch

from keras_poolformer.layers import (
    DepthwiseConvolution,
    PositionEmbedding,
    RandomMixing,
    SelfAttention,
    SeparableConvolution,
    SpatialFullyConnected,
)
from tests.backends import (
    relative_error,
    run,
    run_with_gradient,
    to_numpy,
    value_and_gradients,
)
from tests.references import timm

metaformer = timm.models.metaformer


def nchw(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def nhwc(t):
    return t.detach().numpy().transpose(0, 2, 3, 1)


def randomize(layer, rng):
    for weight in layer.weights:
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 1
        weight.assign(rng.standard_normal(weight.shape) / np.sqrt(fan_in))


@pytest.mark.parametrize("as_convolutions", [False, True])
@pytest.mark.parametrize("size", [(7, 9), (2, 3), (14, 14)])
def test_separable_convolution_is_timms(size, as_convolutions, rng):
    x = rng.standard_normal((2, *size, 6)).astype("float32")
    reference = metaformer.SepConv(6)
    layer = SeparableConvolution(as_convolutions=as_convolutions)
    layer.build(x.shape)
    randomize(layer, rng)
    theirs = dict(reference.named_parameters())
    with torch.no_grad():
        for weight in layer.weights:
            owner, leaf = weight.path.split("/")[-2:]
            value = to_numpy(weight)
            if owner == "dwconv":
                value = value.transpose(2, 3, 0, 1)
            elif leaf == "kernel":
                value = value.T[..., None, None]
            key = f"{owner.replace('activation', 'act1')}.{leaf.replace('kernel', 'weight')}"
            theirs.pop(key).copy_(torch.from_numpy(value.copy()))
        assert not theirs
        assert relative_error(run(layer, x), nhwc(reference(nchw(x)))) < 2e-6


@pytest.mark.parametrize("as_convolutions", [False, True])
@pytest.mark.parametrize(("size", "channels"), [((7, 5), 64), ((3, 3), 32), ((14, 14), 96)])
def test_self_attention_is_timms(size, channels, as_convolutions, rng):
    x = rng.standard_normal((2, *size, channels)).astype("float32")
    reference = metaformer.Attention(channels)
    layer = SelfAttention(as_convolutions=as_convolutions)
    layer.build(x.shape)
    for dense, linear in ((layer.qkv, reference.qkv), (layer.proj, reference.proj)):
        kernel = rng.standard_normal(dense.kernel.shape) / np.sqrt(channels)
        dense.kernel.assign(kernel)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T))
    assert len(layer.weights) == len(list(reference.parameters())) == 2
    tokens = torch.from_numpy(x.reshape(2, -1, channels))
    expected = reference(tokens).detach().numpy().reshape(x.shape)
    assert relative_error(run(layer, x), expected) < 2e-6


@pytest.mark.parametrize(
    "make",
    [
        lambda **kw: SeparableConvolution(5, use_bias=(True, False, True), **kw),
        lambda **kw: SelfAttention(3, True, True, **kw),
    ],
    ids=["separable convolution", "attention"],
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_linear_maps_as_convolutions_compute_the_same(make, data_format, rng):
    x = rng.standard_normal((2, 6, 6, 6)).astype("float32")
    products = make(data_format=data_format)
    products.build(x.shape)
    randomize(products, rng)
    convolutions = make(data_format=data_format, as_convolutions=True)
    convolutions = type(convolutions).from_config(convolutions.get_config())
    convolutions.build(x.shape)
    convolutions.set_weights(products.get_weights())
    assert convolutions.as_convolutions
    assert relative_error(run(convolutions, x), run(products, x)) < 1e-6


def test_biases_of_a_separable_convolution():
    layer = SeparableConvolution(use_bias=(False, True, True))
    layer.build((None, 4, 4, 3))
    biases = [linear.bias is not None for linear in (layer.pwconv1, layer.dwconv, layer.pwconv2)]
    assert biases == [False, True, True]
    assert layer.get_config()["use_bias"] == [False, True, True]
    assert SeparableConvolution(use_bias=True).get_config()["use_bias"] is True
    with pytest.raises(ValueError, match=r"`use_bias` must be a boolean, or 3.*\[True, False\]"):
        SeparableConvolution(use_bias=[True, False])


def test_self_attention_with_the_biases_of_the_hybrids_and_few_channels(rng):
    x = rng.standard_normal((1, 2, 2, 8)).astype("float32")
    layer = SelfAttention(32, use_projection_bias=True)
    layer.build(x.shape)
    assert layer.heads == 1  # of 32 channels, though the map has 8
    assert [tuple(w.shape) for w in layer.weights] == [(8, 96), (32, 8), (8,)]
    assert run(layer, x).shape == x.shape


@pytest.mark.parametrize("kernel_size", [1, 3, 7, 11])
@pytest.mark.parametrize("use_bias", [True, False])
def test_depthwise_convolution_is_torchs(kernel_size, use_bias, rng):
    """The output, and the gradients of its sum of squares."""
    x = rng.standard_normal((2, 6, 5, 4)).astype("float32")
    layer = DepthwiseConvolution(kernel_size, use_bias)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    randomize(layer, rng)
    conv = torch.nn.Conv2d(4, 4, kernel_size, padding=kernel_size // 2, groups=4, bias=use_bias)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(to_numpy(layer.kernel).transpose(2, 3, 0, 1).copy()))
        if use_bias:
            conv.bias.copy_(torch.from_numpy(to_numpy(layer.bias).copy()))
    image = nchw(x).requires_grad_()
    expected = conv(image)
    expected.square().sum().backward()
    assert relative_error(run(layer, x), nhwc(expected)) < 1e-6
    assert relative_error(run_with_gradient(layer, x)[1], nhwc(image.grad)) < 2e-6
    gradients = value_and_gradients(model, lambda y: keras.ops.sum(y * y), x)[1]
    kernel = conv.weight.grad.numpy().transpose(2, 3, 0, 1)
    assert relative_error(gradients[layer.kernel.path], kernel) < 2e-6
    if use_bias:
        assert relative_error(gradients[layer.bias.path], conv.bias.grad.numpy()) < 2e-6


@pytest.mark.parametrize("layer", [RandomMixing(), SpatialFullyConnected()], ids=["random", "fc"])
def test_a_matrix_over_the_positions_is_a_linear_layer_over_them(layer, rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype("float32")
    layer.build(x.shape)
    randomize(layer, rng)
    matrix = to_numpy(layer.weights[0])
    # PyTorch's linear layer holds (outputs, inputs), the mixing of RandFormer too.
    matrix = matrix if isinstance(layer, RandomMixing) else matrix.T
    linear = torch.nn.Linear(12, 12, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(matrix.copy()))
        expected = linear(nchw(x).flatten(2)).reshape(2, 5, 3, 4)
    assert relative_error(run(layer, x), nhwc(expected)) < 1e-6


def test_random_mixing_is_a_frozen_softmax_over_rows():
    layer = RandomMixing(seed=1)
    layer.build((None, 4, 4, 3))
    matrix = to_numpy(layer.mixing)
    assert layer.trainable_weights == []
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-6)
    assert np.abs(matrix.sum(0) - 1).max() > 1e-3  # rows only
    spread = matrix.max(1) / matrix.min(1)
    assert (spread > 1.5).all()
    assert (spread < np.e * 1.001).all()  # of numbers in [0, 1]
    same, other = RandomMixing(seed=1), RandomMixing(seed=2)
    for twin in (same, other):
        twin.build((None, 4, 4, 3))
    np.testing.assert_array_equal(to_numpy(same.mixing), matrix)
    assert (to_numpy(other.mixing) != matrix).any()


@pytest.mark.parametrize("mixer", [RandomMixing, SpatialFullyConnected])
def test_weights_tied_to_the_positions_refuse_another_size_with_the_reason(mixer, rng):
    layer = mixer()
    with pytest.raises(ValueError, match="every pair of positions.*input_shape"):
        layer.build((None, None, 4, 3))
    layer.build((None, 4, 4, 3))
    with pytest.raises(ValueError, match=r"built for maps of 16 positions.*\(1, 5, 5, 3\).*25"):
        layer(np.zeros((1, 5, 5, 3), "float32"))


def test_position_embedding_is_added(rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype("float32")
    layer = PositionEmbedding()
    np.testing.assert_array_equal(to_numpy(layer(x)), x)  # starts at zero
    randomize(layer, rng)
    np.testing.assert_allclose(to_numpy(layer(x)), x + to_numpy(layer.embedding), rtol=1e-6)
    with pytest.raises(ValueError, match="maps of 3 x 4 positions.*`interpolate=True`"):
        layer(np.zeros((1, 4, 4, 5), "float32"))
    with pytest.raises(ValueError, match="PositionEmbedding.*known height"):
        PositionEmbedding().build((None, None, None, 4))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_position_embedding_is_interpolated_on_request(data_format, rng):
    layer = PositionEmbedding(size=(4, 6), interpolate=True, data_format=data_format)
    is_first = data_format == "channels_first"
    image = keras.Input((2, None, None) if is_first else (None, None, 2))
    model = keras.Model(image, layer(image))
    randomize(layer, rng)
    embedding = torch.from_numpy(to_numpy(layer.embedding).transpose(2, 0, 1)[None].copy())
    for size in [(4, 6), (8, 12), (5, 9), (3, 2)]:
        y = model.predict(np.zeros((1, 2, *size) if is_first else (1, *size, 2)), verbose=0)
        y = np.moveaxis(y, 1, -1) if is_first else y
        expected = torch.nn.functional.interpolate(embedding, size, mode="bicubic")
        assert y.shape == (1, *size, 2)
        np.testing.assert_allclose(y, nhwc(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DepthwiseConvolution(4), "`kernel_size` must be an odd positive integer.*4"),
        (lambda: SeparableConvolution(0), "`kernel_size` must be an odd positive integer"),
        (lambda: SeparableConvolution(expansion_ratio=0), "`expansion_ratio` must be positive"),
        (lambda: SelfAttention(0), "`head_dim` must be a positive integer"),
        (lambda: PositionEmbedding(0), "`size` must be an integer of at least 1"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
