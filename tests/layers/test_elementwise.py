"""StarReLU, SquaredReLU and ResScale are those of timm."""

import keras
import numpy as np
import pytest
import torch

from keras_poolformer.layers import LayerScale, ResScale, SquaredReLU, StarReLU
from tests.backends import relative_error, run, to_numpy
from tests.references import timm

metaformer = timm.models.metaformer


def test_star_relu_is_timms(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    reference, layer = metaformer.StarReLU(0.8944, -0.4472), StarReLU(0.8944, -0.4472)
    y = run(layer, x)
    assert [w.name for w in layer.weights] == ["scale", "bias"]
    assert [tuple(w.shape) for w in layer.weights] == [(1,), (1,)]
    with torch.no_grad():
        assert relative_error(y, reference(torch.from_numpy(x)).numpy()) < 1e-6


def test_star_relu_starts_as_the_square_and_keeps_a_normal_distribution(rng):
    x = rng.standard_normal((400, 500)).astype("float32")
    np.testing.assert_array_equal(run(StarReLU(), x), run(SquaredReLU(), x))
    y = run(StarReLU(0.8944, -0.4472), x)
    assert abs(y.mean()) < 0.01
    assert abs(y.std() - 1) < 0.01


def test_star_relu_without_its_scale(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    layer = StarReLU(bias_init_value=-0.4, use_scale=False)
    np.testing.assert_allclose(run(layer, x), run(SquaredReLU(), x) - 0.4, rtol=1e-6, atol=1e-7)
    assert [w.name for w in layer.weights] == ["bias"]
    assert StarReLU.from_config(layer.get_config()).use_scale is False


def test_squared_relu_is_timms(rng):
    x = rng.standard_normal((2, 7)).astype("float32")
    expected = metaformer.SquaredReLU()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(SquaredReLU(), x), expected, rtol=1e-6)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_res_scale_is_timms_scale(data_format, rng):
    x = rng.standard_normal((2, 4, 4, 4)).astype("float32")  # as wide as it has channels
    is_first = data_format == "channels_first"
    layer = ResScale(data_format=data_format)
    layer.build(x.shape)
    np.testing.assert_array_equal(to_numpy(layer.gamma), 1)
    reference = metaformer.Scale(4, use_nchw=is_first)
    factors = rng.standard_normal(4).astype("float32")
    layer.gamma.assign(factors)
    with torch.no_grad():
        reference.scale.copy_(torch.from_numpy(factors))
        expected = reference(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-6)
    assert isinstance(layer, LayerScale)  # one arithmetic, not two


@pytest.mark.parametrize("layer", [StarReLU(2.0, 0.5), SquaredReLU()], ids=["star", "squared"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_activations_in_half_precision_and_from_their_configuration(layer, policy, rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype("float32")
    half = type(layer).from_config({**layer.get_config(), "dtype": policy})
    y = half(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert relative_error(to_numpy(y), to_numpy(layer(x))) < 1e-2
    assert half.compute_output_shape(x.shape) == x.shape
