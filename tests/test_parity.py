"""The Keras models compute what the PyTorch models compute, forward and backward.

transformers' PoolFormer is the reference for logits; timm's pools before its last
norm, but its stage maps are the same.
"""

import keras
import numpy as np
import pytest
import torch
from keras import ops

import keras_poolformer
from keras_poolformer.poolformer import VARIANTS
from tests.backends import relative_error, value_and_gradients
from tests.references import (
    copy_from_transformers,
    randomize,
    timm,
    to_keras,
    transformers_name,
    transformers_poolformer,
)

SMALL = {"depths": (1, 2, 1, 1), "dims": (16, 24, 32, 40)}


def pair(variant, **kwargs):
    """A transformers model with weights of order one, and the Keras model with the same."""
    row = VARIANTS[variant]
    reference = randomize(transformers_poolformer(row.depths, row.dims))
    model = getattr(keras_poolformer, f"PoolFormer{variant}")(**kwargs)
    copy_from_transformers(reference, model)
    return reference, model


def small_pair(classes=10, **kwargs):
    reference = randomize(transformers_poolformer(**SMALL, classes=classes))
    model = keras_poolformer.MetaFormer(
        **SMALL,
        classes=classes,
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


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_at_224(variant):
    reference, model = pair(variant, classifier_activation=None)
    x = images(224, 224)
    actual, expected = model.predict(x, verbose=0), logits(reference, x)
    assert relative_error(actual, expected) <= 2e-6
    # The reference rounds too. Against its own float64 result, ours is no worse than it.
    truth = logits(reference, x, torch.float64)
    assert relative_error(actual, truth) <= 1.5 * relative_error(expected, truth)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "size", [(193, 257), (256, 256), (32, 32), (70, 45)], ids=lambda size: f"{size[0]}x{size[1]}"
)
def test_logits_at_other_sizes(size, data_format):
    """At 256 px the first stage is 64 pixels wide and has 64 channels."""
    shape = (None, None, 3) if data_format == "channels_last" else (3, None, None)
    reference, model = pair(
        "S12", classifier_activation=None, input_shape=shape, data_format=data_format
    )
    x = images(*size)
    inputs = x if data_format == "channels_last" else x.transpose(0, 3, 1, 2)
    assert relative_error(model.predict(inputs, verbose=0), logits(reference, x)) <= 2e-6


def test_the_comparison_sees_the_known_mistakes():
    """Each mistake that ports have made is far above the tolerance."""
    x = images(64, 64)
    reference, _ = small_pair()
    expected = logits(reference, x)

    def error(model):
        copy_from_transformers(reference, model)
        return relative_error(model.predict(x, verbose=0), expected)

    class CountingMixer(keras.layers.Layer):
        def call(self, inputs):
            pool = keras_poolformer.layers.AveragePool2D(3, 1, 1, count_include_pad=True)
            return pool(inputs) - inputs

    def build(**kwargs):
        return keras_poolformer.MetaFormer(
            **SMALL, classes=10, classifier_activation=None, input_shape=(64, 64, 3), **kwargs
        )

    assert error(build()) <= 2e-6
    assert error(build(token_mixer=CountingMixer)) > 1e-3
    assert error(build(norm=keras_poolformer.layers.GroupNorm1(epsilon=1e-3))) > 1e-4
    assert error(build(activation=_tanh_gelu)) > 1e-5


def _tanh_gelu(x):
    return keras.activations.gelu(x, approximate=True)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(224, 224), (193, 257)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_stage_maps(variant, size):
    if size != (224, 224) and variant != "S12":
        pytest.skip("other sizes are checked on S12")
    row = VARIANTS[variant]
    reference = randomize(transformers_poolformer(row.depths, row.dims))
    peer = timm.create_model(f"poolformer_{variant.lower()}", features_only=True).eval()
    peer.load_state_dict(timm_state(reference, peer))
    backbone = getattr(keras_poolformer, f"PoolFormer{variant}")(
        include_top=False, input_shape=(*size, 3)
    )
    copy_from_transformers(reference, backbone, without_head=True)

    x = images(*size)
    pyramid = keras.Model(backbone.input, backbone.pyramid_outputs).predict(x, verbose=0)
    assert list(pyramid) == ["P2", "P3", "P4", "P5"]
    with torch.no_grad():
        expected = peer(to_torch(x))
    for level, stage in zip(pyramid, expected, strict=True):
        assert relative_error(pyramid[level], stage.numpy().transpose(0, 2, 3, 1)) <= 2e-6, level


def timm_state(reference, peer):
    """The weights of a transformers model under timm's names."""
    state = {}
    for name, value in reference.state_dict().items():
        parts = name.split(".")
        if "patch_embeddings" in name:
            stage, leaf = parts[3], parts[-1]
            key = f"stages.{stage}.downsample.conv.{leaf}" if stage != "0" else f"stem.conv.{leaf}"
        elif "block" in parts:
            rest = ".".join(parts[5:])
            for ours, theirs in {
                "before_norm": "norm1",
                "after_norm": "norm2",
                "output.conv1": "mlp.fc1",
                "output.conv2": "mlp.fc2",
                "layer_scale_1": "layer_scale1.scale",
                "layer_scale_2": "layer_scale2.scale",
            }.items():
                rest = rest.replace(ours, theirs)
            key = f"stages.{parts[3]}.blocks.{parts[4]}.{rest}"
        else:
            continue  # the head
        # features_only flattens the names of the outermost modules.
        state[key.replace("stages.", "stages_", 1)] = value
    missing = set(peer.state_dict()) ^ set(state)
    assert not missing, missing
    return state


def test_gradients_of_every_parameter():
    reference, model = small_pair()
    x, labels = images(64, 48, batch=4), np.array([3, 1, 9, 0])

    def loss(output):
        return ops.mean(
            keras.losses.sparse_categorical_crossentropy(labels, output, from_logits=True)
        )

    value, gradients = value_and_gradients(model, loss, x)
    expected = torch.nn.functional.cross_entropy(
        reference(to_torch(x)).logits, torch.from_numpy(labels)
    )
    expected.backward()
    assert value == pytest.approx(expected.item(), rel=1e-5)

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
