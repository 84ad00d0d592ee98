"""ChannelLayerNorm: statistics of each position over its channels."""

import numpy as np
import pytest
import torch

from keras_poolformer.layers import BatchNorm, ChannelLayerNorm
from tests.backends import relative_error, run, to_numpy
from tests.references import timm

metaformer = timm.models.metaformer


def nchw(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize(
    ("reference", "arguments"),
    [
        (metaformer.LayerNorm2d(12), {}),
        (metaformer.LayerNorm2dNoBias(12), {"center": False}),
        (metaformer.LayerNorm2d(12, eps=1e-2), {"epsilon": 1e-2}),
    ],
    ids=["with bias", "without bias", "epsilon"],
)
def test_is_timms(reference, arguments, rng):
    x = (0.1 * rng.standard_normal((2, 5, 3, 12))).astype("float32")
    layer = ChannelLayerNorm(**arguments)
    layer.build(x.shape)
    with torch.no_grad():
        for weight, theirs in zip(layer.weights, reference.parameters(), strict=True):
            theirs.copy_(torch.from_numpy(rng.standard_normal(12)))
            weight.assign(theirs.numpy())
        expected = reference(nchw(x)).numpy().transpose(0, 2, 3, 1)
    assert relative_error(run(layer, x), expected) < 1e-6


@pytest.mark.parametrize("ratio", [0, 100, 2000])
def test_accurate_where_the_mean_is_large_against_the_deviation(ratio, rng):
    x = (rng.standard_normal((2, 8, 8, 64)) + ratio).astype("float32")
    wide = x.astype("float64")
    expected = wide - wide.mean(-1, keepdims=True)
    expected /= np.sqrt(wide.var(-1, keepdims=True) + 1e-6)
    # The mean is rounded: half a unit in the last place of 2000 is 6e-5.
    assert relative_error(run(ChannelLayerNorm(), x), expected) < 1e-6 + 1e-7 * ratio


def test_group_norm_without_bias_is_timms(rng):
    from keras_poolformer.layers import GroupNorm1

    x = (0.01 * rng.standard_normal((2, 5, 3, 12))).astype("float32")  # epsilon counts
    reference, layer = metaformer.GroupNorm1NoBias(12), GroupNorm1(1e-6, center=False)
    layer.build(x.shape)
    with torch.no_grad():
        reference.weight.copy_(torch.from_numpy(rng.standard_normal(12)))
        layer.gamma.assign(reference.weight.numpy())
        expected = reference(nchw(x)).numpy().transpose(0, 2, 3, 1)
    assert relative_error(run(layer, x), expected) < 1e-6


def test_batch_norm_is_torchs_in_training_and_in_inference(rng):
    x = (rng.standard_normal((16, 8, 8, 5)) + 2).astype("float32")
    reference, layer = torch.nn.BatchNorm2d(5), BatchNorm()
    layer.build(x.shape)
    with torch.no_grad():
        reference.weight.copy_(torch.from_numpy(rng.standard_normal(5)))
        layer.gamma.assign(reference.weight.numpy())
        expected = reference(nchw(x)).numpy().transpose(0, 2, 3, 1)
        assert relative_error(to_numpy(layer(x, training=True)), expected) < 1e-6
        # PyTorch keeps the unbiased variance, 1024 / 1023 of the biased one.
        np.testing.assert_allclose(
            to_numpy(layer.moving_variance), reference.running_var.numpy(), rtol=1e-3
        )
        np.testing.assert_allclose(
            to_numpy(layer.moving_mean), reference.running_mean.numpy(), rtol=1e-5
        )
        expected = reference.eval()(nchw(x)).numpy().transpose(0, 2, 3, 1)
    assert relative_error(run(layer, x), expected) < 1e-3


@pytest.mark.parametrize("norm", [ChannelLayerNorm, BatchNorm])
def test_epsilon_must_be_positive(norm):
    with pytest.raises(ValueError, match="`epsilon` must be positive"):
        norm(epsilon=0)
