"""The builders of the second generation, as users call them."""

import inspect

import keras
import numpy as np
import pytest
import torch

import keras_poolformer
from keras_poolformer.layers import (
    ChannelLayerNorm,
    GroupNorm1,
    Pooling,
    RandomMixing,
    SelfAttention,
    SeparableConvolution,
)
from keras_poolformer.variants import FAMILIES
from tests.backends import only_under, slow_except_under, to_numpy
from tests.references import timm
from tests.test_poolformer import CONVENTIONAL

SECOND = [family.name for family in FAMILIES.values() if family.generation == 2]
SIZES = [(family, size) for family in SECOND for size in FAMILIES[family].variants]
# Few blocks and channels: what a builder sets beside its stages.
TINY = {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 32], "input_shape": (64, 64, 3)}


def builder(family, size):
    return getattr(keras_poolformer, f"{family}{size}")


@pytest.mark.parametrize(("family", "size"), SIZES)
def test_builders_have_the_names_and_the_signature_of_all_others(family, size):
    build, variant = builder(family, size), FAMILIES[family].variants[size]
    assert build.__name__ == f"{family}{size}"
    assert list(inspect.signature(build).parameters)[:9] == CONVENTIONAL
    assert f"{variant.top1} %" in build.__doc__
    assert f"drop_path_rate={variant.drop_path_rate}" in build.__doc__
    assert variant.crop_pct == 1.0
    assert build.__name__ in keras_poolformer.__all__


def timms_parameters(family, size, classes):
    with torch.device("meta"):
        model = timm.create_model(FAMILIES[family].model_name(size), num_classes=classes)
    return sum(weight.numel() for weight in model.parameters())


@only_under("torch", "parameters are counted the same everywhere")
@pytest.mark.parametrize(("family", "size"), SIZES)
def test_exact_parameter_counts(family, size):
    variant = FAMILIES[family].variants[size]
    with torch.device("meta"):
        model = builder(family, size)()
    assert model.name == f"{family}_{size}".lower()
    assert model.output_shape == (None, 1000)
    assert model.count_params() == variant.parameters
    like = "PoolFormerV2" if family in ("IdentityFormer", "RandFormer") else family
    frozen = sum(int(np.prod(weight.shape)) for weight in model.non_trainable_weights)
    assert variant.parameters - frozen == timms_parameters(like, size, 1000)
    assert bool(frozen) == (family == "RandFormer")


@pytest.mark.parametrize("family", ["PoolFormerV2", "CAFormer"])
def test_parameter_counts_with_21841_classes(family):
    size = "S12" if family == "PoolFormerV2" else "S18"
    model = builder(family, size)(classes=21841)
    assert model.output_shape == (None, 21841)
    assert model.count_params() == timms_parameters(family, size, 21841)


@pytest.mark.parametrize(
    ("family", "mixers"),
    [
        ("IdentityFormer", [keras.layers.Identity] * 4),
        ("RandFormer", [keras.layers.Identity] * 2 + [RandomMixing] * 2),
        ("PoolFormerV2", [Pooling] * 4),
        ("ConvFormer", [SeparableConvolution] * 4),
        ("CAFormer", [SeparableConvolution] * 2 + [SelfAttention] * 2),
    ],
)
def test_parts(family, mixers):
    size = next(iter(FAMILIES[family].variants))
    model = builder(family, size)(**TINY, classes=5)
    blocks = [model.get_layer(f"stage{stage}_block1") for stage in (1, 2, 3, 4)]
    assert [type(block.token_mixer) for block in blocks] == mixers
    assert [block.res_scale_init_value for block in blocks] == [None, None, 1.0, 1.0]
    assert {block.layer_scale_init_value for block in blocks} == {None}
    kind = ChannelLayerNorm if family in ("ConvFormer", "CAFormer") else GroupNorm1
    norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
    assert {(type(norm), norm.epsilon, norm.center) for norm in norms} == {(kind, 1e-6, False)}
    outer = [model.get_layer(f"stage{stage}_downsample_norm") for stage in (2, 3, 4)]
    outer.append(model.get_layer("stem_norm"))
    assert {(type(norm), norm.epsilon, norm.center) for norm in outer} == {
        (ChannelLayerNorm, 1e-6, False)
    }
    last = model.get_layer("norm")
    assert (type(last), last.epsilon, last.center) == (ChannelLayerNorm, 1e-6, True)
    has_mlp_head = type(model.get_layer("head")).__name__ == "MLPHead"
    assert has_mlp_head == (family in ("ConvFormer", "CAFormer"))
    assert model.predict(np.zeros((2, 64, 64, 3)), verbose=0).shape == (2, 5)


def test_starts_as_the_official_code():
    """Normal with a deviation of 0.02 everywhere, not PyTorch's own initialisation."""
    model = keras_poolformer.CAFormerS18(input_shape=(64, 64, 3))
    for weight in model.weights:
        value = to_numpy(weight)
        if value.size > 20_000:
            assert abs(value.std() - 0.02) < 5e-4, weight.path
        elif weight.name in ("bias", "beta"):
            np.testing.assert_array_equal(value, 0)
        elif weight.name in ("gamma", "scale"):
            np.testing.assert_array_equal(value, 1)


@pytest.mark.parametrize(
    "family",
    [
        family
        if family in ("PoolFormerV2", "CAFormer")
        else pytest.param(family, marks=slow_except_under("torch"))
        for family in SECOND
    ],
)
def test_preprocessing_inside_and_files(family, tmp_path):
    size = next(iter(FAMILIES[family].variants))
    model = builder(family, size)(**TINY, include_preprocessing=True, classes=5)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3))
    outside = builder(family, size)(**TINY, classes=5)
    outside.set_weights(model.get_weights())
    normalised = keras_poolformer.preprocess_input(pixels.astype("float32"), "channels_last")
    expected = outside.predict(normalised, verbose=0)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), expected, rtol=1e-4, atol=1e-6)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        reloaded.predict(pixels, verbose=0), model.predict(pixels, verbose=0)
    )
    backbone = builder(family, size)(
        **TINY, include_top=False, pooling="avg", weights=tmp_path / "model.keras"
    )
    assert backbone.predict(normalised, verbose=0).shape == (2, 32)


@slow_except_under("tensorflow", "torch")
def test_evaluation_keeps_the_whole_image():
    """Though the stages of the first model are those of PoolFormerS12, which keeps 0.9."""
    for model in (keras_poolformer.PoolFormerV2S12(), keras_poolformer.CAFormerS18()):
        assert keras_poolformer.evaluation_transform(model).crop_pct == 1.0


def test_stage_maps_and_open_sizes():
    model = keras_poolformer.CAFormerS18(include_top=False)
    assert model.input_shape == (None, None, None, 3)
    assert {level: y.shape[-1] for level, y in model.pyramid_outputs.items()} == {
        "P2": 64, "P3": 128, "P4": 320, "P5": 512,
    }  # fmt: skip


def test_randformer_needs_a_size():
    with pytest.raises(ValueError, match="RandomMixing.*known height.*`input_shape`"):
        keras_poolformer.RandFormerS12(include_top=False)
    model = keras_poolformer.RandFormerS12(include_top=False, input_shape=(64, 64, 3))
    assert model.get_layer("stage3_block1").token_mixer.mixing.shape == (16, 16)


def test_any_argument_of_the_metaformer_can_be_changed():
    model = keras_poolformer.CAFormerS18(
        **TINY, token_mixer="pooling", head="linear", drop_path_rate=0.3, classes=3
    )
    block = model.get_layer("stage4_block1")
    assert type(block.token_mixer) is Pooling
    assert block.drop_path2.rate == pytest.approx(0.3)
    assert type(model.get_layer("head")) is keras.layers.Dense
