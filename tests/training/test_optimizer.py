import keras
import numpy as np
import pytest

from training.optimizer import adamw, vectors, warmup_cosine
from training.recipe import find_recipe


@pytest.fixture(scope="module")
def model():
    return find_recipe("digits").build((8, 8, 1), 10)


def rate(schedule, step):
    return float(keras.ops.convert_to_numpy(schedule(step)))


def test_schedule_rises_to_the_peak_and_falls_to_the_floor():
    schedule = warmup_cosine(0.5, steps=100, warmup_steps=20, floor=0.1)
    rates = [rate(schedule, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.0005)
    np.testing.assert_allclose(np.diff(rates[:21]), (0.5 - 0.0005) / 20, rtol=1e-4)
    assert rates[20] == pytest.approx(0.5)
    assert rates[60] == pytest.approx((0.5 + 0.05) / 2)  # the middle of the cosine
    assert rates[100] == pytest.approx(0.05)
    assert np.all(np.diff(rates[20:]) < 0)


def test_schedule_without_warmup_starts_at_the_peak():
    schedule = warmup_cosine(0.5, steps=10, warmup_steps=0)
    assert rate(schedule, 0) == pytest.approx(0.5)
    assert rate(schedule, 10) == pytest.approx(0.005)


@pytest.mark.parametrize("warmup_steps", [-1, 10, 11])
def test_warmup_must_leave_steps(warmup_steps):
    with pytest.raises(ValueError, match=f"`warmup_steps`.*10 steps.*Received: {warmup_steps}"):
        warmup_cosine(0.5, steps=10, warmup_steps=warmup_steps)


def test_vectors_are_all_biases_norms_and_layer_scales(model):
    leaves = {"kernel": set(), "bias": set(), "gamma": set(), "beta": set()}
    for weight in model.trainable_variables:
        leaves[weight.name].add(weight.path)
    excluded = {weight.path for weight in vectors(model)}
    assert excluded == leaves["bias"] | leaves["gamma"] | leaves["beta"]
    assert len(leaves["kernel"]) == 3 + 3 * 2 + 1  # embeddings, MLPs, classifier
    assert len(excluded) == 3 + 3 * 8 + 2 + 1


def test_decay_shrinks_kernels_and_nothing_else(model):
    # Without gradients AdamW does nothing but decay.
    optimizer = adamw(model, 0.1, weight_decay=0.5)
    optimizer.build(model.trainable_variables)
    for weight in model.trainable_variables:
        weight.assign(keras.ops.ones(weight.shape))
    zeros = [keras.ops.zeros(weight.shape) for weight in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    for weight in model.trainable_variables:
        expected = 0.95 if weight.name == "kernel" else 1.0
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected, rtol=1e-6)
