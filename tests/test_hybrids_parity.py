"""The first paper's other models compute what its formulas say, forward and backward."""

import keras
import numpy as np
import pytest
import torch

import keras_poolformer
from keras_poolformer.layers import ChannelLayerNorm, SelfAttention
from tests.backends import relative_error, slow_except_under
from tests.hybrid_reference import copy_from_hybrid, hybrid, names, to_keras
from tests.references import gradients_beside
from tests.test_parity import images, to_torch

BUILDERS = {
    "IIII": keras_poolformer.MetaFormerIdentityS12,
    "PPPA": keras_poolformer.MetaFormerPPPAS12,
    "PPAA": keras_poolformer.MetaFormerPPAAS12,
    "PPPF": keras_poolformer.MetaFormerPPPFS12,
    "PPFF": keras_poolformer.MetaFormerPPFFS12,
}
every_hybrid = pytest.mark.parametrize("letters", BUILDERS)


def outputs(reference, x, dtype=torch.float32):
    with torch.no_grad():
        logits, stages = reference.to(dtype)(to_torch(x).to(dtype))
    reference.to(torch.float32)
    return logits.numpy(), [stage.numpy() for stage in stages]


def check(reference, model, x, tolerance=5e-6):
    """Compares logits and every stage map, logits also with the reference in float64."""
    is_first = model.data_format == "channels_first"
    everything = keras.Model(model.input, {**model.pyramid_outputs, "logits": model.output})
    actual = everything.predict(x.transpose(0, 3, 1, 2) if is_first else x, verbose=0)
    logits, stages = outputs(reference, x)
    for level, stage in zip(model.pyramid_outputs, stages, strict=True):
        expected = stage if is_first else stage.transpose(0, 2, 3, 1)
        assert relative_error(actual[level], expected) <= tolerance, level
    assert relative_error(actual["logits"], logits) <= tolerance
    assert relative_error(actual["logits"], outputs(reference, x, torch.float64)[0]) <= tolerance


def check_builder(letters, size, data_format="channels_last"):
    reference = hybrid(letters, size=size, classes=10)
    model = BUILDERS[letters](
        classifier_activation=None,
        classes=10,
        input_shape=(3, *size) if data_format == "channels_first" else (*size, 3),
        data_format=data_format,
    )
    copy_from_hybrid(reference, model)
    check(reference, model, images(*size, batch=1))


@every_hybrid
def test_logits_and_stage_maps_at_224(letters):
    check_builder(letters, (224, 224))


@pytest.mark.parametrize(
    "letters",
    [
        pytest.param(
            b, marks=() if b in ("PPAA", "PPFF") else slow_except_under("tensorflow", "torch")
        )
        for b in BUILDERS
    ],
)
@pytest.mark.parametrize(
    ("size", "data_format"),
    [
        ((193, 130), "channels_last"),
        pytest.param((70, 101), "channels_first", marks=slow_except_under("torch")),
    ],
    ids=["193x130", "70x101 channels_first"],
)
def test_logits_and_stage_maps_at_other_sizes(letters, size, data_format):
    check_builder(letters, size, data_format)


ATTENTION = {
    "token_mixer": lambda: SelfAttention(use_projection_bias=True),
    "norm": lambda: ChannelLayerNorm(1e-5),
    "position_embedding_stage": 2,
}
# The second stage of a small model: each token mixer with the norm that goes with it.
MIXERS = {
    "P": {"token_mixer": "pooling"},
    "I": {"token_mixer": "identity"},
    "A": ATTENTION,
    "F": {"token_mixer": "spatial_fully_connected"},
    "R": {"token_mixer": "random_mixing"},
    "D": {"token_mixer": "depthwise_convolution"},
    "S": {"token_mixer": "separable_convolution"},
}


def small_pair(letter, size=(24, 40)):
    shape = {"depths": (1, 2), "dims": (16, 64)}
    reference = hybrid(f"I{letter}", **shape, size=size, classes=10)
    arguments = {**MIXERS[letter], "token_mixer": ["identity", MIXERS[letter]["token_mixer"]]}
    model = keras_poolformer.MetaFormer(
        **shape, **arguments, input_shape=(*size, 3), classes=10, classifier_activation=None
    )
    copy_from_hybrid(reference, model)
    return reference, model


@pytest.mark.parametrize("letter", MIXERS)
def test_every_token_mixer_in_a_small_model(letter):
    check(*small_pair(letter), images(24, 40))


@pytest.mark.parametrize("letter", MIXERS)
def test_gradients_of_every_parameter(letter):
    reference, model = small_pair(letter)
    x, labels = images(24, 40, batch=4), np.array([3, 1, 9, 0])
    gradients = gradients_beside(model, x, labels, reference(to_torch(x))[0])
    theirs = dict(reference.named_parameters())
    keys = names(reference, model)
    learned = {name for name, weight in theirs.items() if weight.requires_grad}
    assert {keys[path] for path in gradients} == learned
    for path, gradient in gradients.items():
        target = to_keras(path, theirs[keys[path]].grad.numpy())
        if letter == "P" and path.startswith("stage2") and path.endswith("norm1/beta"):
            # `pool(x) - x` cancels it: the true gradient is zero, both hold rounding.
            scale = np.linalg.norm(gradients[path.replace("beta", "gamma")])
            assert np.linalg.norm(gradient) <= 1e-4 * scale, path
        else:
            assert relative_error(gradient, target) <= 1e-4, path


def test_the_comparison_sees_the_known_mistakes():
    """Each is far above the tolerance."""
    reference, model = small_pair("A")
    x = images(24, 40)
    expected = outputs(reference, x)[0]

    def wrong(**kwargs):
        other = keras_poolformer.MetaFormer.from_config({**model.get_config(), **kwargs})
        other.set_weights(model.get_weights())
        return relative_error(other.predict(x, verbose=0), expected)

    assert wrong() <= 5e-6
    assert wrong(norm="group_norm") > 1e-2
    assert wrong(norm=ChannelLayerNorm(1e-3)) > 2e-5
    assert wrong(residual=False) > 1e-2
    halves = SelfAttention(16, use_projection_bias=True)  # twice as many heads
    assert wrong(token_mixer=["identity", halves]) > 1e-2
