"""The Keras models compute what the PyTorch models compute, forward and backward.

transformers' PoolFormer is the reference for logits; timm's pools before its last
norm, but its stage maps are the same.
"""

import keras
import numpy as np
import pytest
import torch

import keras_poolformer
from keras_poolformer.poolformer import VARIANTS
from tests.backends import relative_error, slow_except_under
from tests.references import (
    copy_from_transformers,
    gradients_beside,
    timm_stages,
    to_keras,
    transformers_name,
    transformers_poolformer,
)

SMALL = {"depths": (1, 2, 1, 1), "dims": (16, 24, 32, 40)}


def pair(variant, **kwargs):
    """A transformers model and the Keras model with the same weights."""
    row = VARIANTS[variant]
    reference = transformers_poolformer(row.depths, row.dims)
    model = getattr(keras_poolformer, f"PoolFormer{variant}")(classifier_activation=None, **kwargs)
    copy_from_transformers(reference, model)
    return reference, model


def small_pair(**kwargs):
    reference = transformers_poolformer(**SMALL, classes=10)
    model = keras_poolformer.MetaFormer(
        **SMALL,
        classes=10,
        classifier_activation=None,
        input_shape=(None, None, 3),
        **kwargs,
    )
    copy_from_transformers(reference, model)
    return reference, model


def images(height, width, batch=2):
    return np.random.default_rng(0).standard_normal((batch, height, width, 3)).astype("float32")


def to_torch(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def logits(reference, x, dtype=torch.float32):
    with torch.no_grad():
        return reference.to(dtype)(to_torch(x).to(dtype)).logits.numpy()


def check(variant, size, data_format="channels_last"):
    """Compares logits with transformers, also in float64, and stage maps with timm."""
    is_first = data_format == "channels_first"
    reference, model = pair(
        variant, input_shape=(3, *size) if is_first else (*size, 3), data_format=data_format
    )
    x = images(*size)
    everything = keras.Model(model.input, {**model.pyramid_outputs, "logits": model.output})
    actual = everything.predict(x.transpose(0, 3, 1, 2) if is_first else x, verbose=0)

    assert relative_error(actual["logits"], logits(reference, x)) <= 2e-6
    assert list(model.pyramid_outputs) == ["P2", "P3", "P4", "P5"]
    with torch.no_grad():
        stages = timm_stages(variant, reference)(to_torch(x))
    for level, stage in zip(model.pyramid_outputs, stages, strict=True):
        expected = stage.numpy() if is_first else stage.numpy().transpose(0, 2, 3, 1)
        assert relative_error(actual[level], expected) <= 2e-6, level
    assert relative_error(actual["logits"], logits(reference, x, torch.float64)) <= 1e-6


@pytest.mark.parametrize(
    "variant",
    [
        "S12",
        *(pytest.param(v, marks=slow_except_under("torch")) for v in ("S24", "S36")),
        "M36",
        pytest.param("M48", marks=slow_except_under("torch")),
    ],
)
def test_logits_and_stage_maps_at_224(variant):
    check(variant, (224, 224))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "size",
    [
        (193, 257),
        (256, 256),
        *(pytest.param(size, marks=slow_except_under("torch")) for size in ((32, 32), (70, 45))),
    ],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_logits_and_stage_maps_at_other_sizes(size, data_format):
    """At 256 px the map of the first stage is 64 pixels wide and has 64 channels."""
    check("S12", size, data_format)


def test_the_comparison_sees_the_known_mistakes():
    """Each mistake that ports have made is far above the tolerance."""
    x = images(64, 64)
    reference, right = small_pair()
    expected = logits(reference, x)

    class CountingMixer(keras.layers.Layer):
        def call(self, inputs):
            pool = keras_poolformer.layers.AveragePool2D(3, 1, 1, count_include_pad=True)
            return pool(inputs) - inputs

    def error(model):
        return relative_error(model.predict(x, verbose=0), expected)

    def wrong(**kwargs):
        return error(small_pair(**kwargs)[1])

    assert error(right) <= 2e-6
    assert wrong(token_mixer=CountingMixer) > 1e-3
    assert wrong(norm=keras_poolformer.layers.GroupNorm1(epsilon=1e-3)) > 1e-4
    assert wrong(activation=_tanh_gelu) > 1e-5


def _tanh_gelu(x):
    return keras.activations.gelu(x, approximate=True)


def test_gradients_of_every_parameter():
    reference, model = small_pair()
    x, labels = images(64, 48, batch=4), np.array([3, 1, 9, 0])
    gradients = gradients_beside(model, x, labels, reference(to_torch(x)).logits)
    theirs = dict(reference.named_parameters())
    assert len(gradients) == len(theirs)
    for path, gradient in gradients.items():
        target = to_keras(path, theirs[transformers_name(path)].grad.numpy())
        if path.endswith("norm1/beta"):
            # `pool(x) - x` cancels it: the true gradient is zero, both hold rounding.
            scale = np.linalg.norm(gradients[path.replace("beta", "gamma")])
            assert np.linalg.norm(gradient) <= 1e-4 * scale, path
            assert np.linalg.norm(target) <= 1e-4 * scale, path
        else:
            assert relative_error(gradient, target) <= 1e-4, path


def test_learning(photographs):
    """From the same weights and the same 30 batches of photographs, the losses agree."""
    x, labels = photographs
    batches = [(x[i : i + 16], labels[i : i + 16]) for i in range(0, 480, 16)]
    reference, model = small_pair()
    rate, decay = 1e-3, 0.05

    reference.train()
    optimizer = torch.optim.AdamW(reference.parameters(), rate, (0.9, 0.999), 1e-8, decay)
    expected = []
    for batch, target in batches:
        loss = torch.nn.functional.cross_entropy(
            reference(to_torch(batch)).logits, torch.from_numpy(target)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())

    model.compile(
        optimizer=keras.optimizers.AdamW(
            rate, weight_decay=decay, beta_1=0.9, beta_2=0.999, epsilon=1e-8
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    actual = []
    for batch, target in batches:
        model.reset_metrics()  # else the mean of all batches so far is returned
        actual.append(float(model.train_on_batch(batch, target)))
    assert np.mean(expected[-5:]) < np.mean(expected[:5])  # something was learned
    np.testing.assert_allclose(actual, expected, rtol=1e-3)
