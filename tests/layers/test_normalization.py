"""GroupNorm1: statistics of the whole sample, an affine map per channel, accurate."""

import numpy as np
import pytest
import torch

from keras_poolformer.layers import GroupNorm1
from tests.backends import relative_error, run


def reference(x, epsilon=1e-5):
    """The definition, in float64, of a (B, H, W, C) array."""
    x = x.astype("float64")
    mean = x.mean((1, 2, 3), keepdims=True)
    return (x - mean) / np.sqrt(x.var((1, 2, 3), keepdims=True) + epsilon)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("ratio", [0, 100, 2000])
@pytest.mark.parametrize("shape", [(2, 56, 56, 64), (2, 7, 7, 512), (1, 128, 96, 64)])
def test_accurate_where_the_mean_is_large_against_the_deviation(shape, ratio, data_format, rng):
    x = (rng.standard_normal(shape) + ratio).astype("float32")
    layer = GroupNorm1(data_format=data_format)
    if data_format == "channels_last":
        y = run(layer, x)
    else:
        y = np.moveaxis(run(layer, np.ascontiguousarray(np.moveaxis(x, -1, 1))), 1, -1)
    # One float32 rounding of the result is 3e-8. A mean that is merely rounded costs 4e-6
    # at a ratio of 100 and 8e-5 at 2000; E[x^2] - E[x]^2 costs 1e-3 at 100.
    assert relative_error(y, reference(x)) < 1e-6


def test_equals_torch_with_its_affine_map(rng):
    x = rng.standard_normal((3, 6, 5, 8)).astype("float32")
    norm = torch.nn.GroupNorm(1, 8)
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(rng.standard_normal(8)))
        norm.bias.copy_(torch.from_numpy(rng.standard_normal(8)))
        expected = norm(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    layer = GroupNorm1()
    layer.build(x.shape)
    layer.gamma.assign(norm.weight.detach().numpy())
    layer.beta.assign(norm.bias.detach().numpy())
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-5, atol=1e-6)


def test_a_constant_map_becomes_the_shift():
    layer = GroupNorm1()
    layer.build((1, 4, 4, 2))
    layer.beta.assign([1.0, -2.0])
    y = run(layer, np.full((1, 4, 4, 2), 1e4, "float32"))
    np.testing.assert_allclose(y, np.broadcast_to([1.0, -2.0], y.shape), atol=1e-3)


def test_half_precision_does_not_overflow(rng):
    # The squares of this map sum to 1e8 and their mean is 2500; float16 ends at 65504.
    x = (50 * rng.standard_normal((1, 32, 32, 40))).astype("float32")
    y = run(GroupNorm1(dtype="float16"), x.astype("float16"))
    assert relative_error(y, reference(x)) < 1e-3


@pytest.mark.parametrize(("center", "scale"), [(True, False), (False, True), (False, False)])
def test_shift_and_scale_can_be_left_out(center, scale, rng):
    layer = GroupNorm1(center=center, scale=scale)
    x = rng.standard_normal((2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(run(layer, x), reference(x), atol=1e-5)
    assert [w.name for w in layer.weights] == ["gamma"] * scale + ["beta"] * center


def test_epsilon_must_be_positive():
    with pytest.raises(ValueError, match="`epsilon` must be positive"):
        GroupNorm1(epsilon=0)
