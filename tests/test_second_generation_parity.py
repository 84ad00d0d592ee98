"""The second generation computes what timm's models compute, forward and backward."""

from functools import partial

import keras
import numpy as np
import pytest
import torch

import keras_poolformer
from keras_poolformer.layers import ChannelLayerNorm, GroupNorm1
from keras_poolformer.variants import FAMILIES
from tests.backends import relative_error, slow_except_under
from tests.references import (
    copy_from_timm,
    gradients_beside,
    timm,
    timm_metaformer,
    timm_name,
    to_keras,
)
from tests.test_parity import images, to_torch

metaformer = timm.models.metaformer


class Random(torch.nn.Module):
    """Frozen random mixing, which timm does not have, written from the formula."""

    def __init__(self, dim, **kwargs):
        super().__init__()
        matrix = torch.softmax(torch.rand(self.tokens, self.tokens), -1)
        self.mixing = torch.nn.Parameter(matrix, requires_grad=False)

    def forward(self, x):
        return torch.einsum("mn,bcn->bcm", self.mixing, x.flatten(2)).reshape(x.shape)


def random_mixing(rows, columns):
    """A class for one number of positions: timm asks for classes."""
    return type("RandomOfOneSize", (Random,), {"tokens": rows * columns})


def generic(family, size, shape):
    """Arguments of timm's generic class for the families that timm has no models of."""
    variant = FAMILIES[family].variants[size]
    mixers = [torch.nn.Identity] * 4
    if family == "RandFormer":
        # The stem makes (side + 1) // 4 positions, and every later convolution rounds up.
        for stage, stride in ((2, 4), (3, 8)):
            mixers[stage] = random_mixing(*(-(-((side + 1) // 4) // stride) for side in shape))
    return {
        "depths": variant.depths,
        "dims": variant.dims,
        "token_mixers": mixers,
        "norm_layers": metaformer.GroupNorm1NoBias,
        "use_mlp_head": False,
    }


GENERIC = ("IdentityFormer", "RandFormer")
MODELS = [
    (family, size)
    for family in (*GENERIC, "PoolFormerV2", "ConvFormer", "CAFormer")
    for size in FAMILIES[family].variants
]
QUICK = [
    *(("IdentityFormer", "S12"), ("RandFormer", "S12"), ("PoolFormerV2", "S12")),
    *(("ConvFormer", "S18"), ("CAFormer", "S18")),
]


def by_time(model):
    return pytest.param(
        *model, id="-".join(model), marks=() if model in QUICK else pytest.mark.slow
    )


def pair(family, size, shape=(224, 224), data_format="channels_last", classes=1000):
    """timm's model and the Keras model with the same weights."""
    if family in GENERIC:
        reference = timm_metaformer(**generic(family, size, shape), num_classes=classes)
    else:
        reference = timm_metaformer(FAMILIES[family].model_name(size), num_classes=classes)
    is_first = data_format == "channels_first"
    model = getattr(keras_poolformer, f"{family}{size}")(
        classifier_activation=None,
        classes=classes,
        input_shape=(3, *shape) if is_first else (*shape, 3),
        data_format=data_format,
    )
    copy_from_timm(reference, model)
    return reference, model


def outputs(reference, x, dtype=torch.float32):
    """Logits and stage maps of timm's model, as arrays."""
    with torch.no_grad():
        reference, x = reference.to(dtype), to_torch(x).to(dtype)
        last, stages = reference.forward_intermediates(x)
        return reference.forward_head(last).numpy(), [stage.numpy() for stage in stages]


def check(reference, model, x, tolerance=5e-6):
    """Compares logits and every stage map, logits also with timm's in float64."""
    is_first = model.data_format == "channels_first"
    everything = keras.Model(model.input, {**model.pyramid_outputs, "logits": model.output})
    actual = everything.predict(x.transpose(0, 3, 1, 2) if is_first else x, verbose=0)
    logits, stages = outputs(reference, x)
    for level, stage in zip(model.pyramid_outputs, stages, strict=True):
        expected = stage if is_first else stage.transpose(0, 2, 3, 1)
        assert relative_error(actual[level], expected) <= tolerance, level
    assert relative_error(actual["logits"], logits) <= tolerance
    assert relative_error(actual["logits"], outputs(reference, x, torch.float64)[0]) <= tolerance


@pytest.mark.parametrize(("family", "size"), map(by_time, MODELS))
def test_logits_and_stage_maps_at_224(family, size):
    check(*pair(family, size), images(224, 224, batch=1))


@pytest.mark.parametrize(
    ("size", "data_format"),
    [
        ((193, 257), "channels_last"),
        pytest.param((256, 256), "channels_last", marks=slow_except_under("torch")),
        pytest.param((70, 45), "channels_last", marks=slow_except_under("torch")),
        ((193, 257), "channels_first"),
        pytest.param((256, 256), "channels_first", marks=slow_except_under("torch")),
        pytest.param((70, 45), "channels_first", marks=slow_except_under("torch")),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("family", "variant"),
    [
        ("PoolFormerV2", "S12"),
        ("CAFormer", "S18"),
        pytest.param("IdentityFormer", "S12", marks=slow_except_under("torch")),
        pytest.param("RandFormer", "S12", marks=slow_except_under("torch")),
    ],
)
def test_logits_and_stage_maps_at_other_sizes(family, variant, size, data_format):
    """At 256 px the map of the first stage is 64 pixels wide and has 64 channels."""
    check(*pair(family, variant, size, data_format), images(*size, batch=1))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ConvFormer", "CAFormer"])
def test_logits_and_stage_maps_at_384_with_21841_classes(family):
    check(*pair(family, "S18", (384, 384), classes=21841), images(384, 384, batch=1))


NO_BIAS = partial(ChannelLayerNorm, epsilon=1e-6, center=False)
GROUP_NORM = partial(GroupNorm1, epsilon=1e-6, center=False)
# The generic classes of both, configured alike: mixers, norms, and whether the head is an MLP.
SMALL = {
    "identity": ("identity", torch.nn.Identity, False),
    "pooling": ("pooling", metaformer.Pooling, False),
    "separable convolution": ("separable_convolution", metaformer.SepConv, True),
    "self-attention": ("self_attention", metaformer.Attention, True),
}


def small_pair(mixer):
    ours, theirs, has_mlp_head = SMALL[mixer]
    shape = {"depths": [1, 2], "dims": [32, 64]}
    norm = metaformer.LayerNormNoBias if mixer == "self-attention" else metaformer.GroupNorm1NoBias
    reference = timm_metaformer(
        **shape,
        token_mixers=theirs,
        norm_layers=norm,
        res_scale_init_values=[None, 1.0],
        use_mlp_head=has_mlp_head,
        num_classes=10,
    )
    model = keras_poolformer.MetaFormer(
        **shape,
        **{
            **FAMILIES["PoolFormerV2"].arguments,
            "token_mixer": ours,
            "norm": NO_BIAS if mixer == "self-attention" else GROUP_NORM,
            "res_scale_init_value": [None, 1.0],
            "head": "mlp" if has_mlp_head else "linear",
        },
        layer_scale_init_value=None,
        input_shape=(None, None, 3),
        classes=10,
        classifier_activation=None,
    )
    copy_from_timm(reference, model)
    return reference, model


@pytest.mark.parametrize("mixer", SMALL)
def test_the_generic_classes_agree(mixer):
    check(*small_pair(mixer), images(45, 70))


@pytest.mark.parametrize("mixer", SMALL)
def test_gradients_of_every_parameter(mixer):
    reference, model = small_pair(mixer)
    x, labels = images(48, 40, batch=4), np.array([3, 1, 9, 0])
    gradients = gradients_beside(model, x, labels, reference(to_torch(x)))
    theirs = dict(reference.named_parameters())
    assert len(gradients) == len(theirs)
    for path, gradient in gradients.items():
        target = to_keras(path, theirs[timm_name(path)].grad.numpy())
        assert relative_error(gradient, target) <= 1e-4, path


def test_frozen_random_mixing_in_timms_generic_class():
    """RandFormer: the mixer is written here, from the formula; everything else is timm's."""
    shape = {"depths": [1, 1], "dims": [16, 24]}
    reference = timm_metaformer(
        **shape,
        token_mixers=[torch.nn.Identity, random_mixing(2, 3)],
        norm_layers=metaformer.GroupNorm1NoBias,
        res_scale_init_values=[None, 1.0],
        use_mlp_head=False,
        num_classes=10,
    )
    model = keras_poolformer.MetaFormer(
        **shape,
        **{
            **FAMILIES["RandFormer"].arguments,
            "token_mixer": ["identity", "random_mixing"],
            "res_scale_init_value": [None, 1.0],
        },
        layer_scale_init_value=None,
        input_shape=(16, 24, 3),
        classes=10,
        classifier_activation=None,
    )
    copy_from_timm(reference, model)
    check(reference, model, images(16, 24))


def test_the_comparison_sees_the_known_mistakes():
    """What differs between the generations, and between the codes, is far above the tolerance."""
    reference, model = small_pair("pooling")
    x = images(64, 64)
    expected = outputs(reference, x)[0]

    def wrong(**kwargs):
        config = {**model.get_config(), **kwargs}
        other = keras_poolformer.MetaFormer.from_config(config)
        other.set_weights(model.get_weights())
        return relative_error(other.predict(x, verbose=0), expected)

    assert wrong() <= 5e-6
    assert wrong(norm_after_pool=False) > 1e-3
    assert wrong(norm=partial(GroupNorm1, epsilon=1e-3, center=False)) > 1e-4
    assert wrong(stem_norm=GROUP_NORM) > 1e-3
    assert wrong(activation=partial_star_relu) > 1e-3


class partial_star_relu(keras_poolformer.layers.StarReLU):  # noqa: N801
    """Forgets the bias."""

    def call(self, inputs):
        return super().call(inputs) - self.bias
