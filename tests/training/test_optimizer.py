import dataclasses

import keras
import numpy as np
import pytest

from tests.backends import BACKEND
from training.models import metaformer
from training.optimizer import learning_rate_schedule, make_optimizer, vectors
from training.recipe import find_recipe

RECIPE = dataclasses.replace(
    find_recipe("digits"),
    epochs=10,
    warmup_epochs=2,
    learning_rate=0.5,
    warmup_learning_rate=0.01,
    final_learning_rate=0.05,
)


def change(**fields):
    return dataclasses.replace(RECIPE, **fields)


@pytest.fixture(scope="module")
def model():
    return RECIPE.build((8, 8, 1), 10, **RECIPE.model)


def rates(recipe, steps=10, last=None):
    schedule = learning_rate_schedule(recipe, steps)
    last = recipe.total_epochs * steps if last is None else last
    if BACKEND == "jax":  # eager JAX compiles each operation of each step
        import jax

        schedule = jax.jit(schedule)
    return [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(last + 1)]


def test_rate_rises_step_by_step_and_falls_as_half_a_cosine():
    values = rates(RECIPE)
    assert values[0] == pytest.approx(0.01)
    np.testing.assert_allclose(np.diff(values[:21]), 0.49 / 20, rtol=1e-4)
    assert values[20] == pytest.approx(0.5)
    assert values[60] == pytest.approx((0.5 + 0.05) / 2)  # the middle of the cosine
    assert values[100] == pytest.approx(0.05)
    assert np.all(np.diff(values[20:]) < 0)


def test_cooldown_stays_at_the_end_of_the_cosine():
    values = rates(change(cooldown_epochs=3))
    assert len(values) == 131
    np.testing.assert_allclose(values[100:], 0.05, rtol=1e-5)
    assert values[99] > 0.05


def test_constant_rate_and_no_warmup():
    np.testing.assert_allclose(rates(change(schedule="constant"))[20:], 0.5, rtol=1e-6)
    assert rates(change(warmup_epochs=0))[0] == pytest.approx(0.5)


def test_rate_is_scaled_by_the_images_of_an_update():
    recipe = change(learning_rate=1e-3, reference_batch=1024, batch_size=128, accumulation=4)
    assert recipe.peak_learning_rate == pytest.approx(0.5e-3)
    assert max(rates(recipe)) == pytest.approx(0.5e-3, rel=1e-4)


def test_neither_end_is_above_a_small_peak():
    values = rates(change(learning_rate=1e-3))
    assert max(values) == pytest.approx(1e-3, rel=1e-5)
    assert min(values) == pytest.approx(1e-3, rel=1e-5)


def test_vectors_are_all_biases_norms_and_layer_scales(model):
    leaves = {"kernel": set(), "bias": set(), "gamma": set(), "beta": set()}
    for weight in model.trainable_variables:
        leaves[weight.name].add(weight.path)
    excluded = {weight.path for weight in vectors(model)}
    assert excluded == leaves["bias"] | leaves["gamma"] | leaves["beta"]
    assert len(leaves["kernel"]) == 3 + 3 * 2 + 1  # embeddings, MLPs, classifier
    assert len(excluded) == 3 + 3 * 8 + 2 + 1


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_decay_shrinks_kernels_and_nothing_else(name):
    recipe = change(optimizer=name, weight_decay=0.5)
    model = recipe.build((8, 8, 1), 10, **recipe.model)
    optimizer = make_optimizer(recipe, model, 0.1)
    optimizer.build(model.trainable_variables)
    for weight in model.trainable_variables:
        weight.assign(keras.ops.ones(weight.shape))
    # Without gradients there is nothing but decay; LAMB's step is the weight's norm then.
    optimizer.apply(
        [keras.ops.zeros(weight.shape) for weight in model.trainable_variables],
        model.trainable_variables,
    )
    shrunk = 0.95 if name == "adamw" else 0.9
    for weight in model.trainable_variables:
        expected = shrunk if weight.name == "kernel" else 1.0
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected, rtol=1e-6)


def quadratic(optimizer, weights, steps):
    """Gradients that a few steps go down; the weights after each step."""
    generator = np.random.default_rng(0)
    optimizer.build(weights)
    path = []
    for _ in range(steps):
        gradients = [generator.normal(size=w.shape).astype("float32") for w in weights]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], weights)
        path.append([keras.ops.convert_to_numpy(w).copy() for w in weights])
    return path


def start_weights():
    generator = np.random.default_rng(1)
    return [
        keras.Variable(generator.normal(size=shape).astype("float32"), name=f"w{len(shape)}")
        for shape in ((4, 3), (3,))
    ]


def test_lamb_takes_the_steps_of_its_definition():
    from training.lamb import Lamb

    weights = start_weights()
    theirs = [keras.ops.convert_to_numpy(w).astype("float64") for w in weights]
    ours = quadratic(Lamb(0.1, weight_decay=0.3, epsilon=1e-6), weights, 3)
    generator = np.random.default_rng(0)
    moments = [(np.zeros(w.shape), np.zeros(w.shape)) for w in theirs]
    for step in range(1, 4):
        for i, w in enumerate(theirs):
            g = generator.normal(size=w.shape).astype("float32").astype("float64")
            m, v = moments[i]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            moments[i] = (m, v)
            update = m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-6)
            ratio = 1.0
            if w.ndim > 1:
                update = update + 0.3 * w
                ratio = np.linalg.norm(w) / np.linalg.norm(update)
            theirs[i] = w - 0.1 * ratio * update
            np.testing.assert_allclose(ours[step - 1][i], theirs[i], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_accumulated_steps_are_one_step_of_the_mean(name, model):
    recipe = change(optimizer=name, weight_decay=0.0, ema=0.9)
    one = make_optimizer(recipe, model, 0.1)
    four = make_optimizer(dataclasses.replace(recipe, accumulation=4), model, 0.1)
    first, second = start_weights(), start_weights()
    generator = np.random.default_rng(2)
    one.build(first)
    four.build(second)
    for _ in range(2):
        parts = [
            [generator.normal(size=w.shape).astype("float32") for w in first] for _ in range(4)
        ]
        one.apply(
            [keras.ops.convert_to_tensor(sum(g) / 4) for g in zip(*parts, strict=True)], first
        )
        for part in parts:
            four.apply([keras.ops.convert_to_tensor(g) for g in part], second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), rtol=1e-4, atol=1e-5
        )


def test_gradients_are_clipped_by_their_global_norm(model):
    optimizer = make_optimizer(change(clip_norm=1.0), model, 0.1)
    assert optimizer.global_clipnorm == 1.0
    assert make_optimizer(RECIPE, model, 0.1).global_clipnorm is None


def test_mixed_float16_scales_the_loss(model):
    optimizer = make_optimizer(change(precision="mixed_float16", ema=0.9), model, 0.1)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(optimizer.inner_optimizer, keras.optimizers.AdamW)
    assert optimizer.inner_optimizer.use_ema


def test_freezing_takes_the_stem_and_the_first_stages():
    from training.models import freeze_stages

    model = metaformer((32, 32, 3), 4, depths=(1, 1), dims=(8, 16))
    every = {weight.path for weight in model.trainable_variables}
    freeze_stages(model, 0)
    assert {weight.path for weight in model.trainable_variables} == every
    freeze_stages(model, 1)
    left = {weight.path.split("/")[0] for weight in model.trainable_variables}
    assert left == {"stage2_downsample", "stage2_block1", "norm", "head"}
    with pytest.raises(ValueError, match="`freeze` must be at most the 2 stages.*Received: 3"):
        freeze_stages(model, 3)
