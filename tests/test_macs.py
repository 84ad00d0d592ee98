"""The multiply-accumulates of models: those of fvcore, and what each layer adds to them."""

import keras
import numpy as np
import pytest
import torch
from keras import ops

import keras_poolformer
from keras_poolformer import MetaFormer, count_macs, layers
from keras_poolformer.inference import FusedMetaFormer, fuse
from keras_poolformer.inference.centered_pixels import CenteredPixels
from keras_poolformer.inference.normalized_mean import NormalizedMean
from keras_poolformer.inference.pooling_branch import PoolingBranch
from keras_poolformer.inference.residual_branch import ResidualBranch
from keras_poolformer.layers import residual_branches
from keras_poolformer.mac_rules import RULES, find_rule
from tests.backends import only_under
from tests.fvcore_macs import FVCORE, PUBLISHED

# A map of 6 x 5 positions and 8 channels, and what each layer multiplies on it.
SHAPE, N, C = (6, 5, 8), 30, 8
MLP = N * C * 16 + N * 16 * C
LAYERS = {
    "AveragePool2D": (lambda **kw: layers.AveragePool2D(3, 2, 1, **kw), 0),
    "Pooling": (lambda **kw: layers.Pooling(3, **kw), 0),
    "BatchNorm": (lambda **kw: layers.BatchNorm(**kw), 0),
    "GroupNorm1": (lambda **kw: layers.GroupNorm1(**kw), 0),
    "ChannelLayerNorm": (lambda **kw: layers.ChannelLayerNorm(**kw), 0),
    "LayerScale": (lambda **kw: layers.LayerScale(**kw), 0),
    "ResScale": (lambda **kw: layers.ResScale(**kw), 0),
    "StarReLU": (lambda **kw: layers.StarReLU(), 0),
    "SquaredReLU": (lambda **kw: layers.SquaredReLU(), 0),
    "StochasticDepth": (lambda **kw: layers.StochasticDepth(0.5), 0),
    "PositionEmbedding": (lambda **kw: layers.PositionEmbedding(**kw), 0),
    "ChannelMLP": (lambda **kw: layers.ChannelMLP(2, "star_relu", **kw), MLP),
    "DepthwiseConvolution": (lambda **kw: layers.DepthwiseConvolution(3, **kw), N * C * 9),
    "PatchEmbedding": (
        lambda **kw: layers.PatchEmbedding(10, (3, 2), 2, 1, **kw),
        3 * 3 * (3 * 2 * C * 10),
    ),
    "RandomMixing": (lambda **kw: layers.RandomMixing(**kw), N * N * C),
    "SpatialFullyConnected": (lambda **kw: layers.SpatialFullyConnected(**kw), N * N * C),
    "SeparableConvolution": (
        lambda **kw: layers.SeparableConvolution(5, **kw),
        N * C * 16 + N * 16 * 25 + N * 16 * C,
    ),
    # One head of 5 and three of them left over: queries, keys and values, two products, and back.
    "SelfAttention": (
        lambda **kw: layers.SelfAttention(5, **kw),
        N * C * 15 + 2 * N * N * 5 + N * 5 * C,
    ),
    "MetaFormerBlock": (
        lambda **kw: layers.MetaFormerBlock("depthwise_convolution", mlp_ratio=2, **kw),
        N * C * 9 + MLP,
    ),
}
HEAD = 7 * 28 + 28 * 3  # MLPHead(3) on a vector of 7 numbers
INFERENCE = {
    "CenteredPixels": (lambda: CenteredPixels([0.0] * C), 0),
    "NormalizedMean": (lambda: NormalizedMean(), 0),
    "PoolingBranch": (lambda: PoolingBranch(), 0),
    "ResidualBranch": (
        lambda: ResidualBranch([layers.GroupNorm1(), layers.ChannelMLP(2), layers.LayerScale()]),
        MLP,
    ),
}


def of_one(layer, shape):
    """A model of one layer."""
    image = keras.Input(shape)
    return keras.Model(image, layer(image))


def executed(model, shape):
    """The multiply-accumulates that torch sees itself execute, two operations each."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # It does not know the fused attention of CPUs, nor oneDNN's products without gradients.
    unfused = sdpa_kernel(SDPBackend.MATH)
    with unfused, FlopCounterMode(display=False) as counter, torch.enable_grad():
        model(ops.zeros((1, *shape)))
    return counter.get_total_flops() // 2


# === What fvcore and the papers say ===


@only_under("torch", "it builds models without memory for their weights")
@pytest.mark.parametrize("name", FVCORE)
def test_counts_of_every_size_are_those_of_fvcore(name):
    with torch.device("meta"):
        model = getattr(keras_poolformer, name)()
    for size, (products, total) in zip((224, 384), FVCORE[name], strict=True):
        counted = count_macs(model, (size, size, 3))
        assert counted == products
        assert counted == pytest.approx(total, rel=0.01)  # with fvcore's estimate for norms


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_of_fvcore_are_those_of_the_papers(name):
    for published, (products, _) in zip(PUBLISHED[name], FVCORE[name], strict=True):
        if published is not None:
            # Of one digit behind the point: a small number has lost more than 1 % there.
            assert products / 1e9 == pytest.approx(published, rel=0.01, abs=0.05)


# === Every layer ===


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_every_layer_counts_its_products(name, data_format):
    make, expected = LAYERS[name]
    shape = SHAPE if data_format == "channels_last" else (SHAPE[2], *SHAPE[:2])
    assert count_macs(of_one(make(data_format=data_format), shape)) == expected


@pytest.mark.parametrize("name", INFERENCE)
def test_every_layer_of_a_fused_model_counts_its_products(name):
    make, expected = INFERENCE[name]
    assert count_macs(of_one(make(), SHAPE)) == expected


def test_the_mlp_head_counts_its_products():
    assert count_macs(of_one(layers.MLPHead(3), (7,))) == HEAD


def test_every_layer_has_a_rule_and_a_test_of_it():
    registered = {
        kind
        for name, kind in keras.saving.get_custom_objects().items()
        if name.startswith("keras_poolformer>")
        and issubclass(kind, keras.Layer)
        and not issubclass(kind, keras.Model)
    }
    assert {kind.__name__ for kind in registered if find_rule(kind, {}) is None} == set()
    assert {kind.__name__ for kind in registered} == {*LAYERS, *INFERENCE, "MLPHead"}


@pytest.fixture
def layer_by_layer(monkeypatch):
    """PoolFormer's branches fold a norm into a matrix at each call, which is not of an image."""
    monkeypatch.setattr(residual_branches, "takes", lambda x: False)


@only_under("torch", "torch counts what it executes")
@pytest.mark.parametrize("name", {**LAYERS, **INFERENCE})
def test_torch_executes_as_many_products(name, layer_by_layer):
    make, expected = {**LAYERS, **INFERENCE}[name]
    assert executed(of_one(make(), SHAPE), SHAPE) == expected


KERAS_LAYERS = {
    "Dense": (lambda: keras.layers.Dense(5), (4, 3, 6)),
    "Conv1D": (lambda: keras.layers.Conv1D(4, 3, padding="same"), (10, 6)),
    "Conv2D": (lambda: keras.layers.Conv2D(4, (3, 2), strides=2, groups=2), (9, 8, 6)),
    "Conv2D channels first": (
        lambda: keras.layers.Conv2D(4, 3, dilation_rate=2, data_format="channels_first"),
        (6, 9, 8),
    ),
    "Conv3D": (lambda: keras.layers.Conv3D(4, 2), (4, 5, 6, 3)),
    "Conv1DTranspose": (lambda: keras.layers.Conv1DTranspose(4, 3, 2), (5, 6)),
    "Conv2DTranspose": (lambda: keras.layers.Conv2DTranspose(4, 3, 2), (5, 4, 6)),
    "Conv3DTranspose": (lambda: keras.layers.Conv3DTranspose(4, 3, 2), (3, 5, 4, 6)),
    "DepthwiseConv1D": (lambda: keras.layers.DepthwiseConv1D(3, depth_multiplier=2), (9, 6)),
    "DepthwiseConv2D": (lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (9, 8, 6)),
    "SeparableConv1D": (lambda: keras.layers.SeparableConv1D(4, 3, depth_multiplier=2), (9, 6)),
    "SeparableConv2D": (lambda: keras.layers.SeparableConv2D(4, 3, depth_multiplier=2), (9, 8, 6)),
    "BatchNormalization": (lambda: keras.layers.BatchNormalization(), (9, 8, 6)),
    "MaxPooling2D": (lambda: keras.layers.MaxPooling2D(), (9, 8, 6)),
}


@only_under("torch", "torch counts what it executes")
@pytest.mark.parametrize("name", KERAS_LAYERS)
def test_torch_executes_as_many_products_for_layers_of_keras(name):
    make, shape = KERAS_LAYERS[name]
    model = of_one(make(), shape)
    assert count_macs(model) == executed(model, shape)


# === Models ===

# 32 x 40 pixels: 8 x 10 positions and 16 channels, then 4 x 5 and 24.
SMALL = {"depths": [1, 1], "dims": [16, 24], "classes": 10, "input_shape": (32, 40, 3)}
STEM, DOWNSAMPLE = 80 * 16 * 7 * 7 * 3, 20 * 24 * 3 * 3 * 16
MLPS = 2 * 80 * 16 * 64 + 2 * 20 * 24 * 96
REST = STEM + DOWNSAMPLE + MLPS + 24 * 10
MODELS = {
    "pooling": ({}, REST),
    "identity": ({"token_mixer": "identity"}, REST),
    "depthwise_convolution": (
        {"token_mixer": "depthwise_convolution"},
        REST + 9 * (80 * 16 + 20 * 24),
    ),
    "separable_convolution": (
        {"token_mixer": "separable_convolution"},
        REST + 80 * (2 * 16 * 32 + 49 * 32) + 20 * (2 * 24 * 48 + 49 * 48),
    ),
    "self_attention": (
        # One head of 32 numbers each, since 16 and 24 channels hold none.
        {"token_mixer": "self_attention"},
        REST + 4 * 32 * (80 * 16 + 20 * 24) + 2 * 32 * (80**2 + 20**2),
    ),
    "random_mixing": ({"token_mixer": "random_mixing"}, REST + 80**2 * 16 + 20**2 * 24),
    "spatial_fully_connected": (
        {"token_mixer": "spatial_fully_connected"},
        REST + 80**2 * 16 + 20**2 * 24,
    ),
    "the second generation": (
        {
            "activation": "star_relu",
            "mlp_bias": False,
            "res_scale_init_value": 1.0,
            "stem_norm": "layer_norm",
            "downsample_norm": "layer_norm",
            "head": "mlp",
            "final_norm": "layer_norm",
            "norm_after_pool": True,
        },
        REST - 24 * 10 + 24 * 96 + 96 * 10,
    ),
    "without the classifier": ({"include_top": False}, REST - 24 * 10),
    "without MLPs": ({"mlp_ratios": None}, REST - MLPS),
}


def small(**kwargs):
    return MetaFormer(**{**SMALL, **kwargs})


@pytest.mark.parametrize("name", MODELS)
def test_every_backend_counts_the_same_integer(name):
    arguments, expected = MODELS[name]
    counted = count_macs(small(**arguments))
    assert counted == expected
    assert type(counted) is int


@only_under("torch", "torch counts what it executes")
@pytest.mark.parametrize("name", MODELS)
def test_torch_executes_as_many_products_for_models(name, layer_by_layer):
    arguments, expected = MODELS[name]
    assert executed(small(**arguments), (32, 40, 3)) == expected


@pytest.mark.parametrize("mixer", ["pooling", "self_attention", "random_mixing"])
def test_layout_precision_and_preprocessing_change_nothing(mixer):
    expected = MODELS[mixer][1]
    first = small(token_mixer=mixer, data_format="channels_first", input_shape=(3, 32, 40))
    half = small(token_mixer=mixer, dtype="mixed_bfloat16", include_preprocessing=True)
    assert count_macs(first) == count_macs(half) == expected


@pytest.mark.parametrize("convolutions", [False, True])
def test_a_fused_model_takes_as_many(convolutions):
    model = small(include_preprocessing=True, input_shape=(None, None, 3))
    fused = fuse(model, convolutions=convolutions)
    assert isinstance(fused, FusedMetaFormer)
    assert count_macs(fused, (48, 32, 3)) == count_macs(model, (48, 32, 3))


def test_another_size_than_the_models_is_counted_as_if_built_for_it():
    expected = count_macs(small(input_shape=(64, 48, 3)))
    assert count_macs(small(), (64, 48, 3)) == expected
    assert count_macs(small(input_shape=(None, None, 3)), [64, 48, 3]) == expected
    assert count_macs(small(), (48, 64, 3)) == expected


def test_without_the_classifier_its_product_is_missing():
    features = small(include_top=False, pooling="max")
    assert count_macs(features) == REST - 24 * 10
    pyramid = keras.Model(features.input, features.pyramid_outputs)
    assert count_macs(pyramid) == count_macs(features)


def test_models_around_a_model_and_layers_that_are_used_twice():
    metaformer, head = small(include_top=False, pooling="avg"), keras.layers.Dense(24)
    backbone = count_macs(metaformer)
    sequential = keras.Sequential(
        [keras.Input((32, 40, 3)), keras.layers.Rescaling(1 / 255), metaformer, head]
    )
    assert count_macs(sequential) == backbone + 24 * 24
    image = keras.Input((None, None, 3))
    vector = head(metaformer(image))
    twice = keras.Model(image, keras.layers.Add()([head(vector), vector]))
    assert count_macs(twice, (32, 40, 3)) == backbone + 2 * 24 * 24


def test_a_compiled_model_stays_as_it_is():
    model = small()
    model.compile("adam", "categorical_crossentropy")
    outputs = [layer.output for layer in model.layers]
    count_macs(model)
    assert model.compiled
    assert all(a is b.output for a, b in zip(outputs, model.layers, strict=True))


# === Layers of the user's ===


class Shuffled(keras.layers.Layer):
    """A token mixer of a user's: a grouped convolution."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(16, 3, padding="same", groups=4)

    def call(self, inputs):
        return self.conv(inputs)


def shuffled():
    return MetaFormer([1], [16], token_mixer=Shuffled, input_shape=(32, 32, 3), classes=10)


def test_a_layer_of_the_users_is_named_if_it_has_no_rule():
    with pytest.raises(ValueError, match="Shuffled, the class of 'stage1_block1/token_mixer'"):
        count_macs(shuffled())
    around = keras.Sequential([keras.Input((32, 32, 3)), shuffled()])
    with pytest.raises(ValueError, match="the class of 'metaformer/stage1_block1/token_mixer'"):
        count_macs(around)


def test_operations_of_keras_are_counted_if_they_have_no_products():
    x = keras.Input((8,))
    y = keras.layers.Dense(5)(x / 255)
    assert count_macs(keras.Model(x, ops.softmax(y))) == 8 * 5
    with pytest.raises(ValueError, match="^`rules` must say how to count Matmul"):
        count_macs(keras.Model(x, ops.matmul(ops.expand_dims(x, 2), ops.expand_dims(x, 1))))


@pytest.mark.parametrize(
    "rule",
    [
        lambda layer, shape: 9 * int(np.prod(shape)) * shape[-1] // 4,
        lambda layer, shape: [(layer.conv, shape)],
        lambda layer, shape: [(layer.conv, (*shape[:2], 4, 16)), 8 * 4 * 16 * 4 * 9],
    ],
    ids=["a number", "a layer inside", "both"],
)
def test_rules_of_the_users_count_numbers_and_layers_inside(rule):
    rest = count_macs(MetaFormer([1], [16], input_shape=(32, 32, 3), classes=10))
    expected = rest + (8 * 8 * 16) * 4 * 9  # 16 channels in four groups, a window of nine
    assert count_macs(shuffled(), rules={Shuffled: rule}) == expected


def test_a_subclass_keeps_the_rule_unless_it_computes_something_else():
    class Named(layers.SelfAttention):
        pass

    class Twice(layers.SelfAttention):
        def call(self, inputs):
            return super().call(super().call(inputs))

    own = find_rule(layers.SelfAttention, {})
    assert find_rule(Named, {}) is own is RULES[layers.SelfAttention]
    assert find_rule(Twice, {}) is None
    assert find_rule(Named, {layers.SelfAttention: len}) is len
    assert find_rule(Twice, {Twice: len}) is len


# === Bad input ===


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (None, r"`input_shape` must be given .* Received: None"),
        ((16, 64, 3), r"`input_shape` must be .* at least 32 x 32 pixels.*Received: \(16, 64, 3\)"),
        ((64, 64, 1), "of 3 channels"),
        ((64, None, 3), "`input_shape` must be 3 positive integers"),
        ((64, 64), "`input_shape` must be 3 positive integers"),
        ((64, 64, 3.0), "`input_shape` must be 3 positive integers"),
        (64, "`input_shape` must be 3 positive integers"),
    ],
)
def test_input_shapes_that_do_not_fit(shape, message):
    model = MetaFormer([1] * 4, [4] * 4, input_shape=(None, None, 3))
    for each in (model, fuse(model)):
        with pytest.raises(ValueError, match=message):
            count_macs(each, shape)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"token_mixer": "random_mixing"}, "RandomMixing was built for maps of"),
        ({"token_mixer": "spatial_fully_connected"}, "SpatialFullyConnected was built for"),
        ({"position_embedding_stage": 2}, "PositionEmbedding was built for maps of"),
    ],
)
def test_weights_of_one_size_are_not_counted_at_another(arguments, message):
    model = small(**arguments)
    assert count_macs(model) == count_macs(model, (32, 40, 3))
    with pytest.raises(ValueError, match=message):
        count_macs(model, (64, 64, 3))


def test_channels_that_weights_do_not_fit():
    features = small(include_top=False)
    pyramid = keras.Model(features.input, features.pyramid_outputs)
    with pytest.raises(ValueError, match="'stem' receives 3 along its axis 3"):
        count_macs(pyramid, (32, 40, 4))


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("model", [None, layers.Pooling(), Subclassed(), keras.Sequential()])
def test_models_whose_layers_cannot_be_listed(model):
    with pytest.raises(ValueError, match="`model` must be"):
        count_macs(model, (32, 32, 3))


def test_models_with_two_inputs():
    images = [keras.Input((8,)), keras.Input((8,))]
    model = keras.Model(images, keras.layers.Add()(images))
    with pytest.raises(ValueError, match="`model` must have one input"):
        count_macs(model, (8,))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"Shuffled": len}, "`rules` must map classes"),
        ({Shuffled: 5}, "`rules` must map classes"),
        ({Shuffled: lambda layer, shape: 1.5}, "`rules` must return an integer"),
    ],
)
def test_rules_that_are_none(rules, message):
    with pytest.raises(ValueError, match=message):
        count_macs(shuffled(), rules=rules)
