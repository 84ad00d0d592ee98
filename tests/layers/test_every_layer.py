"""What holds for every layer: layouts, precisions, open sizes, compilation, serialisation."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_poolformer import layers
from tests.backends import (
    BACKEND,
    compiles,
    in_one_piece,
    relative_error,
    run,
    slow_except_under,
    to_numpy,
)

# LayerScale is of order one here: at its usual 1e-5 a wrong branch would not show.
LAYERS = {
    "AveragePool2D": lambda **kw: layers.AveragePool2D(3, 2, 1, True, False, **kw),
    "Pooling": lambda **kw: layers.Pooling(3, **kw),
    # Behind no weight: one that adds a constant to a channel would have no gradient.
    "BatchNorm": lambda **kw: layers.BatchNorm(**kw),
    "GroupNorm1": lambda **kw: layers.GroupNorm1(**kw),
    "LayerScale": lambda **kw: layers.LayerScale(0.5, **kw),
    "ChannelMLP": lambda **kw: layers.ChannelMLP(2, dropout_rate=0.1, **kw),
    "ChannelMLP with StarReLU": lambda **kw: layers.ChannelMLP(
        2, layers.StarReLU(0.9, -0.4), use_bias=False, **kw
    ),
    "ChannelLayerNorm": lambda **kw: layers.ChannelLayerNorm(**kw),
    "ResScale": lambda **kw: layers.ResScale(**kw),
    "DepthwiseConvolution": lambda **kw: layers.DepthwiseConvolution(3, **kw),
    "SeparableConvolution": lambda **kw: layers.SeparableConvolution(5, **kw),
    "SelfAttention": lambda **kw: layers.SelfAttention(4, use_projection_bias=True, **kw),
    "RandomMixing": lambda **kw: layers.RandomMixing(**kw),
    "SpatialFullyConnected": lambda **kw: layers.SpatialFullyConnected(**kw),
    "PositionEmbedding": lambda **kw: layers.PositionEmbedding(**kw),
    "PatchEmbedding": lambda **kw: layers.PatchEmbedding(6, 3, 2, 1, **kw),
    "MetaFormerBlock": lambda **kw: layers.MetaFormerBlock(
        layer_scale_init_value=0.5, mlp_ratio=2, drop_path_rate=0.5, **kw
    ),
    "MetaFormerBlock of the second generation": lambda **kw: layers.MetaFormerBlock(
        "separable_convolution",
        "layer_norm",
        2,
        "star_relu",
        None,
        0.5,
        res_scale_init_value=1.0,
        mlp_bias=False,
        **kw,
    ),
    "MetaFormerBlock without shortcuts": lambda **kw: layers.MetaFormerBlock(
        layer_scale_init_value=0.5, mlp_ratio=2, residual=False, **kw
    ),
    "MetaFormerBlock without an MLP": lambda **kw: layers.MetaFormerBlock(
        "depthwise_convolution",
        mlp_ratio=None,
        activation="star_relu",
        layer_scale_init_value=0.5,
        drop_path_rate=0.5,
        res_scale_init_value=1.0,
        **kw,
    ),
}
WEIGHTS = {
    "AveragePool2D": [],
    "Pooling": [],
    "GroupNorm1": ["gamma", "beta"],
    "LayerScale": ["gamma"],
    "ChannelMLP": ["fc1/kernel", "fc1/bias", "fc2/kernel", "fc2/bias"],
    "ChannelMLP with StarReLU": [
        *("fc1/kernel", "activation/scale", "activation/bias", "fc2/kernel"),
    ],
    "ChannelLayerNorm": ["gamma", "beta"],
    "BatchNorm": ["gamma", "beta", "moving_mean", "moving_variance"],
    "ResScale": ["gamma"],
    "DepthwiseConvolution": ["kernel", "bias"],
    "SeparableConvolution": [
        *("pwconv1/kernel", "activation/scale", "activation/bias"),
        *("dwconv/kernel", "pwconv2/kernel"),
    ],
    "SelfAttention": ["qkv/kernel", "proj/kernel", "proj/bias"],
    "RandomMixing": ["mixing"],
    "SpatialFullyConnected": ["kernel"],
    "PositionEmbedding": ["embedding"],
    "PatchEmbedding": ["kernel", "bias"],
    "MetaFormerBlock": [
        *("norm1/gamma", "norm1/beta", "norm2/gamma", "norm2/beta"),
        *("mlp/fc1/kernel", "mlp/fc1/bias", "mlp/fc2/kernel", "mlp/fc2/bias"),
        *("layer_scale1/gamma", "layer_scale2/gamma"),
    ],
    "MetaFormerBlock of the second generation": [
        *("norm1/gamma", "norm1/beta", "norm2/gamma", "norm2/beta"),
        *("token_mixer/pwconv1/kernel", "token_mixer/activation/scale"),
        *("token_mixer/activation/bias", "token_mixer/dwconv/kernel"),
        *("token_mixer/pwconv2/kernel", "mlp/fc1/kernel", "mlp/fc2/kernel"),
        *("mlp/activation/scale", "mlp/activation/bias", "res_scale1/gamma", "res_scale2/gamma"),
    ],
    "MetaFormerBlock without an MLP": [
        *("norm1/gamma", "norm1/beta", "token_mixer/kernel", "token_mixer/bias"),
        *("layer_scale1/gamma", "res_scale1/gamma"),
    ],
}
WEIGHTS["MetaFormerBlock without shortcuts"] = WEIGHTS["MetaFormerBlock"]
# Their weights belong to the positions of one size of map.
OF_ONE_SIZE = ("RandomMixing", "SpatialFullyConnected", "PositionEmbedding")
every_layer = pytest.mark.parametrize("name", LAYERS)
every_layout = pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])


def randomize(layer, rng):
    """Moves every weight, so that those that start at 0 or 1 count."""
    for weight in layer.weights:
        value = to_numpy(weight) + 0.3 * rng.standard_normal(weight.shape)
        weight.assign(np.abs(value) if weight.name == "moving_variance" else value)


def arranged(x, data_format):
    """A (B, H, W, C) array in another layout."""
    return x if data_format == "channels_last" else np.ascontiguousarray(np.moveaxis(x, -1, 1))


@every_layer
def test_weights_have_stable_names(name):
    layer = LAYERS[name](name="layer")
    layer.build((None, 8, 8, 4))
    assert sorted(w.path for w in layer.weights) == sorted(f"layer/{w}" for w in WEIGHTS[name])


@every_layer
@pytest.mark.parametrize("size", [(7, 9), (5, 4)], ids=["odd", "width equals channels"])
def test_channels_first_is_the_transposed_channels_last(name, size, rng):
    x = rng.standard_normal((2, *size, 4)).astype("float32")
    last, first = LAYERS[name](), LAYERS[name](data_format="channels_first")
    last.build(x.shape)
    first.build((2, 4, *size))
    randomize(last, rng)
    first.set_weights(last.get_weights())
    expected = arranged(run(last, x), "channels_first")
    y = run(first, arranged(x, "channels_first"))
    assert first.compute_output_shape((2, 4, *size)) == y.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@every_layer
@every_layout
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 2e-2), ("mixed_float16", 3e-3)]
)
def test_mixed_precision_is_close_to_float32(name, data_format, policy, tolerance, rng):
    x = arranged(rng.standard_normal((2, 8, 9, 16)).astype("float32"), data_format)
    full = LAYERS[name](data_format=data_format)
    half = LAYERS[name](data_format=data_format, dtype=policy)
    for layer in (full, half):
        layer.build(x.shape)
    randomize(full, rng)
    half.set_weights(full.get_weights())
    assert {w.dtype for w in half.weights} <= {"float32"}
    y = in_one_piece(half)(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert relative_error(to_numpy(y), run(full, x)) < tolerance


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in OF_ONE_SIZE])
@every_layout
def test_height_and_width_may_be_open(name, data_format, rng):
    layer = LAYERS[name](data_format=data_format)
    open_shape = (None, None, 4) if data_format == "channels_last" else (4, None, None)
    image = keras.Input(open_shape)
    model = keras.Model(image, layer(image))
    assert sum(size is None for size in model.output_shape) == 3
    for size in [(8, 8), (5, 11)]:
        x = arranged(rng.standard_normal((2, *size, 4)).astype("float32"), data_format)
        y = model.predict(x, verbose=0)
        assert y.shape == layer.compute_output_shape(x.shape)
        np.testing.assert_allclose(y, run(layer, x), rtol=1e-5, atol=1e-5)


@every_layer
@every_layout
def test_config_and_weights_round_trip(name, data_format, rng, tmp_path):
    image = keras.Input((8, 8, 4) if data_format == "channels_last" else (4, 8, 8))
    model = keras.Model(image, LAYERS[name](data_format=data_format)(image))
    randomize(model, rng)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    assert reloaded.layers[-1].get_config() == model.layers[-1].get_config()
    x = rng.standard_normal((2, *model.input_shape[1:])).astype("float32")
    np.testing.assert_array_equal(reloaded.predict(x, verbose=0), model.predict(x, verbose=0))


@every_layer
def test_a_wrong_rank_is_refused(name):
    with pytest.raises(ValueError, match=r"rank 4|Expected a feature map"):
        LAYERS[name]()(np.zeros((8, 8, 4), "float32"))


@every_layer
def test_an_unknown_layout_is_refused(name):
    with pytest.raises(ValueError, match="`data_format` must be .*'NHWC'"):
        LAYERS[name](data_format="NHWC")


@pytest.mark.parametrize(
    ("data_format", "policy"),
    [
        ("channels_last", "float32"),
        pytest.param("channels_first", "float32", marks=pytest.mark.slow),
        pytest.param("channels_last", "mixed_bfloat16", marks=pytest.mark.slow),
        pytest.param("channels_first", "mixed_float16", marks=slow_except_under("torch")),
    ],
)
@compiles
def test_all_layers_train_inside_jit_compile(data_format, policy, rng):
    kwargs = {"data_format": data_format, "dtype": policy}
    image = keras.Input((16, 12, 4) if data_format == "channels_last" else (4, 16, 12))
    x = image
    for make in LAYERS.values():
        x = make(**kwargs)(x)
    x = layers.StochasticDepth(0.5, dtype=policy)(x)
    x = keras.layers.GlobalAveragePooling2D(data_format=data_format, dtype=policy)(x)
    model = keras.Model(image, keras.layers.Dense(3, dtype="float32")(x))
    randomize(model, rng)  # at their start many branches in a row would let nothing through
    images = rng.standard_normal((8, *model.input_shape[1:])).astype("float32")
    labels = np.arange(8) % 3
    before = [w.copy() for w in model.get_weights()]
    expected = run(model, images)

    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    # bfloat16 keeps 8 bits, and a compiler that fuses rounds elsewhere.
    tolerance = {"float32": 1e-5, "mixed_float16": 5e-3, "mixed_bfloat16": 5e-2}[policy]
    assert relative_error(model.predict(images, verbose=0), expected) < tolerance
    history = model.fit(images, labels, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    moved = [not np.array_equal(b, a) for b, a in zip(before, model.get_weights(), strict=True)]
    # norm1's shift cancels in `pool(x) - x`: the only trained weight without a gradient.
    still = [w.path for w, m in zip(model.weights, moved, strict=True) if w.trainable and not m]
    assert all("norm1/beta" in path for path in still), still


@pytest.mark.skipif(BACKEND != "torch", reason="torch.compile alone can break a graph")
@pytest.mark.parametrize(
    ("data_format", "training"),
    [
        # A trace takes a quarter of a minute. Each layer has one in both modes and layouts.
        ("channels_last", True),
        ("channels_first", False),
        pytest.param("channels_last", False, marks=pytest.mark.slow),
        pytest.param("channels_first", True, marks=pytest.mark.slow),
    ],
)
def test_torch_traces_all_layers_into_one_graph(data_format, training, rng):
    import torch

    shape = (16, 12, 4) if data_format == "channels_last" else (4, 16, 12)
    image = keras.Input(shape)
    x = image
    # Keras's BatchNormalization keeps its axes in a list that torch.compile cannot trace:
    # the graph breaks there and goes on behind it.
    traced = [make for name, make in LAYERS.items() if name != "BatchNorm"]
    for make in (*traced, lambda **kw: layers.StochasticDepth(0.5)):
        x = make(data_format=data_format)(x)
    model = keras.Model(image, x)
    images = ops.convert_to_tensor(rng.standard_normal((8, *shape)).astype("float32"))
    # fullgraph raises at a graph break; this backend runs the graph without compiling C++.
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    if training:  # stochastic depth draws: no two calls are equal
        compiled(images, training=True).sum().backward()
        assert all(weight.value.grad is not None for weight in model.trainable_weights)
        return
    np.testing.assert_allclose(
        to_numpy(compiled(images, training=False)), to_numpy(model(images)), rtol=1e-5, atol=1e-6
    )
