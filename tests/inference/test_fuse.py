"""A fused model computes what the model it was made from computes, whatever that is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from keras import ops

import keras_poolformer
from keras_poolformer import MetaFormer, PoolFormerS12
from keras_poolformer.inference import FusedMetaFormer, fuse
from keras_poolformer.inference.centered_pixels import CenteredPixels
from keras_poolformer.inference.normalized_mean import NormalizedMean
from keras_poolformer.inference.pooling_branch import PoolingBranch
from keras_poolformer.inference.residual_branch import ResidualBranch
from keras_poolformer.layers import (
    AveragePool2D,
    ChannelLayerNorm,
    ChannelMLP,
    DepthwiseConvolution,
    GroupNorm1,
    LayerScale,
    MLPHead,
    Pooling,
    RandomMixing,
    SelfAttention,
    SeparableConvolution,
    SquaredReLU,
    StarReLU,
)
from keras_poolformer.variants import FAMILIES
from tests.backends import BACKEND, relative_error, slow_except_under
from tests.references import copy_from_transformers, transformers_poolformer
from tests.test_metaformer import GatedMixer
from tests.test_parity import images, logits, pair

OTHERS = sorted({"tensorflow", "jax", "torch"} - {BACKEND})
SMALL = {"depths": [1], "dims": [8], "mlp_ratios": 2, "classes": 5,
         "classifier_activation": None, "input_shape": (None, None, 3)}  # fmt: skip
TWO = {"depths": [1, 1], "dims": [8, 12]}


@keras.saving.register_keras_serializable(package="keras_poolformer_tests")
class CountingMixer(keras.layers.Layer):
    """Counts the padding: the bias of the norm before it does not cancel."""

    def call(self, inputs):
        return AveragePool2D(3, 1, 1, count_include_pad=True)(inputs) - inputs


@keras.saving.register_keras_serializable(package="keras_poolformer_tests")
class LearnedSlope(keras.layers.Layer):
    """An activation of the user's that learns."""

    def build(self, input_shape):
        self.slope = self.add_weight(shape=(), initializer="ones", name="slope")

    def call(self, inputs):
        return ops.maximum(inputs, self.slope * inputs)

    def get_config(self):
        return super().get_config()


def bent_relu(x):
    return ops.relu(x) - 0.1 * x


def randomized(model, seed=0):
    """Gives every weight a value of order one, and maps that stay of order one."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        value = generator.standard_normal(weight.shape)
        if len(weight.shape) > 1:
            value /= np.sqrt(np.prod(weight.shape[:-1]))
        elif weight.name in ("gamma", "moving_variance"):
            value = generator.uniform(0.5, 1.5, weight.shape)
        weight.assign(value)
    return model


def small(**kwargs):
    return randomized(MetaFormer(**{**SMALL, **kwargs}))


def everything(model):
    return keras.Model(model.input, {**model.pyramid_outputs, "output": model.output})


def kinds(model):
    return [type(layer) for layer in model.layers]


def branches(model, kind="mixing"):
    return [layer for layer in model.layers if layer.name.endswith(kind)]


def inner(branch):
    return [type(layer) for layer in branch.layers]


# === The paper's models ===


SLOW = [pytest.param(variant, marks=pytest.mark.slow) for variant in ("S24", "S36", "M48")]


@pytest.mark.parametrize(
    "variant", ["S12", pytest.param("M36", marks=slow_except_under("torch")), *SLOW]
)
def test_logits_and_stage_maps(variant):
    reference, model = pair(variant, input_shape=(64, 96, 3))
    x = images(64, 96)
    expected, actual = (everything(m).predict(x, verbose=0) for m in (model, fuse(model)))
    assert relative_error(actual["output"], expected["output"]) < 1e-6
    assert relative_error(actual["output"], logits(reference, x, torch.float64)) < 1e-6
    for level in ("P2", "P3", "P4", "P5"):
        assert relative_error(actual[level], expected[level]) < 2e-6


def test_pixels_where_the_width_is_the_number_of_channels():
    """At 256 px the map of the first stage is 64 pixels wide and has 64 channels."""
    reference = transformers_poolformer((1, 1, 1, 1), (64, 128, 320, 512))
    x = np.random.default_rng(0).integers(0, 256, (2, 64, 256, 3)).astype("uint8")
    expected = None
    for data_format in ("channels_last", "channels_first"):
        is_first = data_format == "channels_first"
        model = PoolFormerS12(
            depths=(1, 1, 1, 1),
            include_preprocessing=True,
            classifier_activation=None,
            input_shape=(3, None, None) if is_first else (None, None, 3),
            data_format=data_format,
        )
        copy_from_transformers(reference, model)
        pixels = x.transpose(0, 3, 1, 2) if is_first else x
        if expected is None:
            expected = model.predict(pixels, verbose=0)
        assert relative_error(fuse(model).predict(pixels, verbose=0), expected) < 1e-6


# === The second generation ===

SECOND = [
    (family, next(iter(of.variants))) for family, of in FAMILIES.items() if of.name != "PoolFormer"
]


@pytest.mark.parametrize(
    "convolutions", [False, pytest.param(True, marks=slow_except_under("torch"))]
)
@pytest.mark.parametrize(
    ("family", "size", "depths"),
    [
        *(
            (family, size, (1, 1, 2, 1))
            if family in ("PoolFormerV2", "CAFormer", "MetaFormerPPAA")
            else pytest.param(family, size, (1, 1, 2, 1), marks=slow_except_under("torch"))
            for family, size in SECOND
        ),
        *(pytest.param(family, size, None, marks=pytest.mark.slow) for family, size in SECOND),
    ],
)
def test_the_second_generation(family, size, depths, convolutions):
    build = getattr(keras_poolformer, f"{family}{size}")
    depths = depths or FAMILIES[family].variants[size].depths
    model = randomized(build(input_shape=(64, 96, 3), depths=depths, classifier_activation=None))
    for weight in model.weights:
        if weight.path.endswith(("activation/scale", "activation/bias")):
            # As learned ones; -0.7 in some, since a scale may be negative.
            weight.assign(ops.convert_to_numpy(weight) + np.float32(0.3))
    x = images(64, 96)
    fused = fuse(model, convolutions=convolutions)
    expected, actual = (everything(m).predict(x, verbose=0) for m in (model, fused))
    for name, value in expected.items():
        assert relative_error(actual[name], value) < 2e-6, name
    assert StarReLU not in kinds_inside(fused, ChannelMLP)


def kinds_inside(model, kind):
    """Kinds of the layers inside the layers of one kind."""
    layers = [layer for layer in model._flatten_layers() if type(layer) is kind]
    return {type(inner) for layer in layers for inner in layer._layers}


def test_what_is_left_of_the_second_generation():
    model = randomized(keras_poolformer.CAFormerS18(
        depths=(1, 1, 1, 1), dims=(8, 12, 16, 32), input_shape=(64, 64, 3)
    ))  # fmt: skip
    fused = fuse(model)
    bare = [x for x in fused._flatten_layers() if type(x) is ChannelLayerNorm]
    # Two in each of four blocks, three before downsampling, the last; the stem's has its scale.
    assert len(bare) == 2 * 4 + 3 + 1 + 1
    assert [x.name for x in bare if x.weights] == ["stem_norm"]
    convolution, _, attention, _ = branches(fused)
    assert inner(convolution) == [ChannelLayerNorm, SeparableConvolution]
    assert inner(attention) == [ChannelLayerNorm, SelfAttention]
    assert convolution.layers[1].activation.scale is None  # the bias does not cross the border
    assert [x.shortcut is not None for x in branches(fused)] == [False, False, True, True]
    mlp = branches(fused, "mlp")[0].layers[1]
    assert type(mlp.activation) is SquaredReLU
    assert (mlp.fc1.bias is None, mlp.fc2.bias is None) == (True, False)
    assert len(fused.get_layer("head").weights) == 4


def test_a_res_scale_of_one_is_left_out():
    model = small(res_scale_init_value=1.0)
    for weight in model.weights:
        if "res_scale" in weight.path:
            weight.assign(np.ones(weight.shape))
    fused = fuse(model)
    assert not any(branch.scales_shortcut for branch in (*branches(fused), *branches(fused, "mlp")))
    x = inputs(model)
    assert relative_error(fused.predict(x, verbose=0), model.predict(x, verbose=0)) < 1e-6


@pytest.mark.parametrize("bias", [0.0, 0.4])
@pytest.mark.parametrize("scale", [0.0, -0.8])
def test_any_star_relu_in_a_separable_convolution(scale, bias):
    model = small(token_mixer="separable_convolution", norm=ChannelLayerNorm(center=False))
    mixer = model.get_layer("stage1_block1").token_mixer
    mixer.activation.set_weights([np.array([scale]), np.array([bias])])
    fused, x = fuse(model), inputs(model)
    (branch,) = branches(fused)
    kept = StarReLU if bias or not scale else SquaredReLU
    assert type(branch.layers[1].activation) is kept
    assert relative_error(fused.predict(x, verbose=0), model.predict(x, verbose=0)) < 1e-6


# === Every configuration ===

CONFIGURATIONS = {
    "the paper's": TWO,
    "no top, mean": {"include_top": False, "pooling": "avg"},
    "no top, maximum": {"include_top": False, "pooling": "max"},
    "channels_first": {"data_format": "channels_first", "input_shape": (3, None, None)},
    "channels_first, no top": {
        "data_format": "channels_first", "input_shape": (3, None, None),
        "include_top": False, "include_preprocessing": True,
    },
    "pixels": {"include_preprocessing": True},
    "pixels, another stem": {
        "include_preprocessing": True, "stem_patch_size": 3,
        "stem_stride": 2, "stem_padding": 1, "downsample_stride": 1, **TWO,
    },
    "a larger window": {"token_mixer": lambda: Pooling(5)},
    "identity": {"token_mixer": "identity"},
    "identity, no norm": {"token_mixer": "identity", "norm": None},
    "a user's mixer": {"token_mixer": GatedMixer(0.3)},
    "padding that counts": {"token_mixer": CountingMixer},
    "no norm": {"norm": None},
    "another epsilon": {"norm": GroupNorm1(epsilon=0.1)},
    "norm without shift": {"norm": GroupNorm1(center=False)},
    "norm without scale": {"norm": GroupNorm1(scale=False), "include_top": False, "pooling": "avg"},
    "bare norm": {"norm": GroupNorm1(scale=False, center=False)},
    "layer norm": {"norm": keras.layers.LayerNormalization},
    "batch norm": {"norm": keras.layers.BatchNormalization},
    "no LayerScale": {
        "layer_scale_init_value": None, "token_mixer": ["pooling", GatedMixer], **TWO,
    },
    "another activation": {"activation": bent_relu},
    "drops": {"drop_path_rate": 0.3, "dropout_rate": 0.2},
    "ResScale": {
        "res_scale_init_value": [None, 1.0], "token_mixer": ["identity", "pooling"], **TWO,
    },
    "ResScale around a user's mixer": {"res_scale_init_value": 1.0, "token_mixer": GatedMixer},
    "StarReLU": {"activation": "star_relu"},
    "StarReLU, no biases": {"activation": "star_relu", "mlp_bias": False, "norm": None},
    "an activation that learns": {"activation": LearnedSlope()},
    "no biases": {"mlp_bias": False},
    "norm over channels": {"norm": "layer_norm", "token_mixer": ["pooling", "identity"], **TWO},
    "norm over the batch": {"norm": "batch_norm", "token_mixer": ["pooling", "identity"], **TWO},
    "norm over the batch, no top": {
        "norm": "batch_norm", "token_mixer": "separable_convolution",
        "include_top": False, "pooling": "avg",
    },
    "separable convolution": {"token_mixer": "separable_convolution"},
    "separable convolution without norm": {
        "token_mixer": SeparableConvolution(5, 1.5, "gelu", use_bias=True), "norm": None,
    },
    "separable convolution that learns": {
        "token_mixer": SeparableConvolution(3, activation=LearnedSlope()), "norm": "batch_norm",
    },
    "depthwise convolution": {"token_mixer": "depthwise_convolution"},
    "depthwise convolution, norm without shift": {
        "token_mixer": DepthwiseConvolution(5, False), "norm": ChannelLayerNorm(center=False),
    },
    "attention": {"token_mixer": SelfAttention(4), "norm": "layer_norm"},
    "attention with biases and positions": {
        "token_mixer": ["pooling", SelfAttention(4, True, True)], "position_embedding_stage": 2,
        "input_shape": (45, 61, 3), **TWO,
    },
    "mixing of positions": {
        "token_mixer": ["random_mixing", "spatial_fully_connected"],
        "norm": ["group_norm", "layer_norm"], "input_shape": (45, 61, 3), **TWO,
    },
    "mixing of positions without norm": {
        "token_mixer": "random_mixing", "norm": None, "input_shape": (45, 61, 3),
    },
    "norms around convolutions": {
        "stem_norm": "group_norm", "downsample_norm": GroupNorm1(center=False), **TWO,
    },
    "norms with shifts around convolutions": {
        "stem_norm": "layer_norm", "downsample_norm": "layer_norm", **TWO,
    },
    "no last norm": {"final_norm": None},
    "norm after the mean": {"norm_after_pool": True, "final_norm": "layer_norm"},
    "norm after the mean, no top": {
        "norm_after_pool": True, "include_top": False, "pooling": "avg",
    },
    "norm after the maximum": {"norm_after_pool": True, "include_top": False, "pooling": "max"},
    "MLP as classifier": {"head": "mlp", "head_dropout_rate": 0.5},
    "MLP as classifier, norm over channels": {"head": "mlp", "norm": "layer_norm"},
    "dropout before the classifier": {"head_dropout_rate": 0.5},
    "by stage": {
        "token_mixer": [GatedMixer(0.3), "pooling"], "norm": [None, "group_norm"],
        "mlp_ratios": [2, 3], **TWO,
    },
}  # fmt: skip


def inputs(model, size=(45, 61)):
    generator = np.random.default_rng(1)
    x = generator.standard_normal((2, *size, 3)).astype("float32")
    if model.include_preprocessing:
        x = generator.integers(0, 256, x.shape).astype("float32")
    return x.transpose(0, 3, 1, 2) if model.data_format == "channels_first" else x


@slow_except_under("tensorflow", "torch")
@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_configurations(case):
    model = small(**CONFIGURATIONS[case])
    x = inputs(model)
    expected, actual = (everything(m).predict(x, verbose=0) for m in (model, fuse(model)))
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert actual[name].shape == value.shape
        assert relative_error(actual[name], value) < 1e-6, name


def test_which_branches_are_fused():
    def fused(**kwargs):
        return fuse(small(**kwargs))

    pooled = fused()
    assert kinds(pooled)[2:4] == [PoolingBranch, ResidualBranch]
    assert all(branch.epsilon == 1e-5 for branch in branches(pooled))
    assert NormalizedMean in kinds(pooled)
    assert GroupNorm1 not in kinds(pooled)
    assert [branch.epsilon for branch in branches(fused(norm=None))] == [None]

    identity = branches(fused(token_mixer="identity"))
    assert all(inner(branch) == [GroupNorm1] for branch in identity)
    custom = branches(fused(token_mixer=GatedMixer))
    assert all(inner(branch) == [GroupNorm1, GatedMixer, LayerScale] for branch in custom)

    mixing = branches(fused(token_mixer="random_mixing", input_shape=(32, 32, 3)))
    assert all(inner(branch) == [GroupNorm1, RandomMixing] for branch in mixing)
    depthwise = branches(fused(token_mixer="depthwise_convolution"))
    assert all(inner(branch) == [GroupNorm1, DepthwiseConvolution] for branch in depthwise)

    constant = fused(norm="batch_norm")
    assert [branch.epsilon for branch in branches(constant)] == [None]
    assert [inner(branch) for branch in branches(constant, "mlp")] == [[ChannelMLP]]
    assert "norm" not in [layer.name for layer in constant.layers]
    assert MLPHead in kinds(fused(head="mlp"))

    batch = fused(norm=keras.layers.BatchNormalization)
    expected = [keras.layers.BatchNormalization, Pooling, LayerScale]
    assert all(inner(branch) == expected for branch in branches(batch))
    for branch in branches(batch, "mlp"):
        assert inner(branch)[0] is keras.layers.BatchNormalization
        assert len(branch.layers) == 2  # LayerScale is in the MLP
    assert NormalizedMean not in kinds(batch)
    assert CenteredPixels in kinds(fused(include_preprocessing=True))


@pytest.mark.parametrize("ratio", [100, 2000])
def test_accurate_where_the_mean_is_large_against_the_deviation(ratio):
    """The branch without what is added to it, against its definition in float64."""
    x = (0.01 * (np.random.default_rng(0).standard_normal((2, 14, 14, 32)) + ratio)).astype(
        "float32"
    )
    branch = PoolingBranch(3)
    branch.build(x.shape)
    branch.scale.assign(np.full(32, 100.0))
    exact = x.astype("float64")
    normalized = exact - exact.mean((1, 2, 3), keepdims=True)
    normalized /= np.sqrt(exact.var((1, 2, 3), keepdims=True) + 1e-5)
    view = torch.from_numpy(normalized.transpose(0, 3, 1, 2))
    pool = torch.nn.functional.avg_pool2d(view, 3, 1, 1, count_include_pad=False) - view
    expected = exact + 100 * pool.numpy().transpose(0, 2, 3, 1)
    assert relative_error(ops.convert_to_numpy(branch(x)), expected) < 1e-6


@pytest.mark.parametrize(
    ("policy", "layer_scale"),
    [("mixed_bfloat16", 1.0), ("mixed_float16", 1e-5), ("float16", 1e-3)],
)
@pytest.mark.parametrize("mixer", ["pooling", "identity", "separable_convolution"])
def test_half_precision(policy, layer_scale, mixer):
    """About as accurate as the model itself, also where float16 has no small numbers left."""
    arguments = {**SMALL, "include_preprocessing": True, "token_mixer": mixer}
    if mixer != "pooling":
        arguments |= {"activation": "star_relu", "res_scale_init_value": 1.0}
    full, half = (MetaFormer(**arguments, dtype=dtype) for dtype in (None, policy))
    randomized(full)
    for weight in full.weights:
        if "layer_scale" in weight.path:
            weight.assign(layer_scale * ops.convert_to_numpy(weight))
    half.set_weights(full.get_weights())
    fused, x = fuse(half), inputs(full)
    expected = full.predict(x, verbose=0)
    before, after = (m.predict(x, verbose=0) for m in (half, fused))
    assert after.dtype == before.dtype == "float32"
    assert relative_error(after, expected) < 3 * relative_error(before, expected)
    assert {layer.compute_dtype for layer in branches(fused, "mlp")} == {half.compute_dtype}


# === A model of its own ===


def test_the_model_stays_as_it_is():
    model = small(drop_path_rate=0.3, dropout_rate=0.2, norm=keras.layers.BatchNormalization)
    before, config, x = model.get_weights(), model.get_config(), inputs(model)
    expected = model.predict(x, verbose=0)
    fused = fuse(model)
    for weight in fused.weights:
        weight.assign(np.zeros(weight.shape))
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)
    assert model.get_config() == config
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    assert not {id(v) for v in model.variables} & {id(v) for v in fused.variables}


@pytest.mark.parametrize("norm", ["group_norm", keras.layers.BatchNormalization])
def test_always_in_inference(norm):
    model = small(
        **TWO, drop_path_rate=0.5, dropout_rate=0.5, norm=norm, token_mixer=["pooling", GatedMixer]
    )
    fused, x = fuse(model), inputs(model)
    weights = fused.get_weights()
    np.testing.assert_array_equal(
        ops.convert_to_numpy(fused(x, training=True)), ops.convert_to_numpy(fused(x))
    )
    for weight, value in zip(fused.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert not any("seed" in variable.path for variable in fused.variables)
    for layer in fused._flatten_layers():
        assert not isinstance(layer, keras_poolformer.layers.StochasticDepth)
        assert not isinstance(layer, keras.layers.Dropout) or layer.rate == 0


def test_fewer_weights():
    model = PoolFormerS12(input_shape=(32, 32, 3))
    fused = fuse(model)
    # A block keeps the pooling's factor and the MLP, 5 of 10 weights; the head loses the norm.
    assert len(model.weights) == 8 + 12 * 10 + 4
    assert len(fused.weights) == 8 + 12 * 5 + 2
    assert fused.count_params() < model.count_params()


@pytest.mark.parametrize("include_top", [True, False])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_shapes_and_attributes(data_format, include_top):
    shape = (3, 40, None) if data_format == "channels_first" else (40, None, 3)
    model = small(
        **TWO,
        data_format=data_format,
        input_shape=shape,
        include_top=include_top,
        include_preprocessing=include_top,
    )
    fused = fuse(model)
    assert type(fused) is FusedMetaFormer
    assert fused.name == "metaformer_fused"
    attributes = ("input_shape", "output_shape", "depths", "dims", "classes", "data_format")
    for name in (*attributes, "include_preprocessing"):
        assert getattr(fused, name) == getattr(model, name), name
    assert {level: y.shape for level, y in fused.pyramid_outputs.items()} == {
        level: y.shape for level, y in model.pyramid_outputs.items()
    }
    assert fused.input.name == model.input.name == "image"


def test_a_batch_of_fixed_size_and_integer_pixels():
    image = keras.Input((32, 32, 3), batch_size=2, dtype="uint8", name="photo")
    model = randomized(
        MetaFormer([1], [8], input_tensor=image, include_preprocessing=True, classes=3)
    )
    fused = fuse(model)
    assert fused.input_shape == (2, 32, 32, 3)
    assert keras.backend.standardize_dtype(fused.input.dtype) == "uint8"
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    assert relative_error(fused.predict(x, verbose=0), model.predict(x, verbose=0)) < 1e-6


def test_images_that_do_not_fit_are_refused():
    fused = fuse(small(**TWO))
    with pytest.raises(ValueError, match=r"images of 3 channels.*\(1, 32, 32, 1\)"):
        fused(np.zeros((1, 32, 32, 1), "float32"))
    with pytest.raises(ValueError, match="at least 8 x 8 pixels.*7, 32, 3"):
        fused(np.zeros((1, 7, 32, 3), "float32"))


def test_what_cannot_be_fused_is_named():
    model = small(input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match="`model` must be a `keras_poolformer.MetaFormer`.*'S12'"):
        fuse("S12")
    with pytest.raises(ValueError, match="fused already"):
        fuse(fuse(model))
    around = keras.Sequential([keras.Input((32, 32, 3)), model])
    with pytest.raises(ValueError, match=r"fuse `model.get_layer\('metaformer'\)`"):
        fuse(around)
    model.quantize("int8")
    with pytest.raises(ValueError, match="fuse first, then quantise.*'int8'"):
        fuse(model)


# === Files ===


def test_file_round_trip(tmp_path):
    model = small(
        **TWO, token_mixer=[GatedMixer(0.3), "pooling"], norm=[None, "group_norm"],
        dtype="mixed_bfloat16",
        include_preprocessing=True, data_format="channels_first", input_shape=(3, None, None),
    )  # fmt: skip
    fused, x = fuse(model), inputs(model)
    fused.save(tmp_path / "fused.keras")
    reloaded = keras.saving.load_model(tmp_path / "fused.keras")
    assert type(reloaded) is FusedMetaFormer
    assert [w.path for w in reloaded.weights] == [w.path for w in fused.weights]
    actual, expected = (everything(m).predict(x, verbose=0) for m in (reloaded, fused))
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value)
    assert branches(reloaded, "mlp")[0].dtype_policy.name == "mixed_bfloat16"


# Runs in a process of its own, under another backend.
RELOAD = """
import json, sys
import numpy as np, keras, keras_poolformer.inference
import tests.test_metaformer  # registers the mixer of a user
folder, backend, names = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
assert keras.config.backend() == backend
x = np.load(f"{folder}/x.npy")
models = {name: keras.saving.load_model(f"{folder}/{name}.keras") for name in names}
np.savez(f"{folder}/{backend}.npz", **{n: m.predict(x, verbose=0) for n, m in models.items()})
"""


@slow_except_under("tensorflow", "torch")
@pytest.mark.parametrize("other", OTHERS)
def test_saved_here_and_reloaded_under(other, tmp_path):
    arguments = {"include_preprocessing": True, "classifier_activation": "softmax", **TWO}
    models = {
        "pooling": small(**arguments),
        "mixed": small(
            **arguments, token_mixer=[GatedMixer(0.3), "identity"], norm=[None, GroupNorm1]
        ),
    }
    x = inputs(models["pooling"])
    np.save(tmp_path / "x.npy", x)
    for name, model in models.items():
        fuse(model).save(tmp_path / f"{name}.keras")
    process = subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path), other, json.dumps(list(models))],
        env={**os.environ, "KERAS_BACKEND": other, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    outputs = np.load(tmp_path / f"{other}.npz")
    for name, model in models.items():
        assert relative_error(outputs[name], model.predict(x, verbose=0)) < 1e-6


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_mlps_as_convolutions_compute_the_same(data_format, tmp_path):
    shape = (3, 23, 31) if data_format == "channels_first" else (23, 31, 3)
    model = small(**TWO, input_shape=shape, data_format=data_format)
    products, convolutions = fuse(model), fuse(model, convolutions=True)
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype("float32")
    expected = products.predict(x, verbose=0)
    assert relative_error(convolutions.predict(x, verbose=0), expected) < 1e-6
    for ours, theirs in zip(convolutions.get_weights(), products.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    convolutions.save(tmp_path / "fused.keras")
    reloaded = keras.saving.load_model(tmp_path / "fused.keras")
    for branch in branches(reloaded, "_mlp"):
        assert branch.layers[-1].as_convolutions
