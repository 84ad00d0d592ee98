"""The pooling token mixer."""

import numpy as np
import pytest
import torch

from keras_poolformer.layers import Pooling
from tests.backends import run


@pytest.mark.parametrize("pool_size", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (2, 3)])
def test_is_the_pad_excluding_average_minus_its_input(pool_size, size, rng):
    x = rng.standard_normal((2, *size, 8)).astype("float32")
    t = torch.from_numpy(x.transpose(0, 3, 1, 2))
    pool = torch.nn.AvgPool2d(pool_size, 1, pool_size // 2, count_include_pad=False)
    expected = (pool(t) - t).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(run(Pooling(pool_size), x), expected, rtol=1e-5, atol=2e-6)


def test_a_constant_map_has_nothing_to_mix():
    x = np.broadcast_to(np.arange(3, dtype="float32"), (1, 6, 5, 3))
    np.testing.assert_allclose(run(Pooling(3), x), 0, atol=1e-6)


@pytest.mark.parametrize("pool_size", [2, 4])
def test_an_even_window_is_refused_with_the_reason(pool_size):
    with pytest.raises(ValueError, match=rf"odd.*one row.*{pool_size}. Use {pool_size - 1} or"):
        Pooling(pool_size)


@pytest.mark.parametrize("pool_size", [0, -3, 1.5, (3, 3)])
def test_a_window_is_a_positive_integer(pool_size):
    with pytest.raises(ValueError, match="`pool_size` must be an odd positive integer"):
        Pooling(pool_size)
