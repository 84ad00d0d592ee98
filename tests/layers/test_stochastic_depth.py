"""Stochastic depth drops whole samples, keeps the mean, and is reproducible."""

import keras
import numpy as np
import pytest

from keras_poolformer.layers import StochasticDepth
from tests.backends import to_numpy


def drop(layer, samples=2000, training=True):
    return to_numpy(layer(np.ones((samples, 2, 3, 4), "float32"), training=training))


def test_a_sample_is_dropped_whole_or_scaled_by_one_over_keep():
    y = drop(StochasticDepth(0.25, seed=1)).reshape(2000, -1)
    assert (y == y[:, :1]).all()
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_the_share_of_dropped_samples(rate):
    dropped = (drop(StochasticDepth(rate, seed=1))[:, 0, 0, 0] == 0).mean()
    assert abs(dropped - rate) < 4 * np.sqrt(rate * (1 - rate) / 2000)  # four deviations


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_has_the_same_rate(policy):
    layer = StochasticDepth(0.1, seed=1, dtype=policy)
    assert abs((drop(layer)[:, 0, 0, 0] == 0).mean() - 0.1) < 4 * np.sqrt(0.09 / 2000)


def test_inference_and_rate_zero_change_nothing():
    assert (drop(StochasticDepth(0.5), training=False) == 1).all()
    assert (drop(StochasticDepth(0.0)) == 1).all()


def test_a_seed_fixes_the_sequence_and_every_call_draws_anew():
    first, second = (StochasticDepth(0.5, seed=7) for _ in range(2))
    calls = [drop(first), drop(first)]
    np.testing.assert_array_equal(drop(second), calls[0])
    np.testing.assert_array_equal(drop(second), calls[1])
    assert (calls[0] != calls[1]).any()


def test_fit_draws_anew_each_step():
    """A drop-path without a `SeedGenerator` fails here on JAX, or repeats itself."""
    image = keras.Input((1,))
    x = StochasticDepth(0.5, seed=3)(image)
    model = keras.Model(image, x)
    model.compile(loss="mae", optimizer="sgd")
    losses = []
    for _ in range(6):
        model.reset_metrics()  # else the mean of all batches so far is returned
        losses.append(float(model.train_on_batch(np.ones((1000, 1)), np.zeros((1000, 1)))))
    assert len(set(losses)) > 3
    assert 0.9 < np.mean(losses) < 1.1  # the expected value stays 1


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match=r"`rate` must be at least 0 and below 1"):
        StochasticDepth(rate)
