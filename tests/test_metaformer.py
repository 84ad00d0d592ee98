"""The abstract architecture: what can be configured, and what is refused."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_poolformer import MetaFormer
from keras_poolformer.layers import (
    ChannelLayerNorm,
    GroupNorm1,
    MetaFormerBlock,
    Pooling,
    SelfAttention,
    StarReLU,
)
from keras_poolformer.stages import drop_path_schedule
from keras_poolformer.weights import load_keras_file
from tests.backends import compiles, relative_error, slow_except_under, to_numpy

TINY = {"depths": [1, 2], "dims": [8, 12], "mlp_ratios": 2, "input_shape": (32, 32, 3)}


@keras.saving.register_keras_serializable(package="keras_poolformer_tests")
class GatedMixer(keras.layers.Layer):
    """A mixer of a user: weights, an argument, and a different behaviour in training."""

    def __init__(self, gate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.gate = gate

    def build(self, input_shape):
        self.weight = self.add_weight(shape=(input_shape[-1],), name="weight", initializer="ones")

    def call(self, inputs, training=False):
        mixed = ops.mean(inputs, (1, 2), keepdims=True) * self.weight + 0 * inputs
        return mixed * (2 if training else self.gate)

    def get_config(self):
        return {**super().get_config(), "gate": self.gate}


def blocks(model):
    return [layer for layer in model.layers if isinstance(layer, MetaFormerBlock)]


def predict(model, batch=2, size=32):
    x = np.random.default_rng(0).standard_normal((batch, size, size, 3)).astype("float32")
    return model.predict(x, verbose=0)


def test_layers_have_the_names_of_the_paper():
    model = MetaFormer(**TINY, include_preprocessing=True, classes=5)
    assert [layer.name for layer in model.layers] == [
        *("image", "preprocessing", "stem", "stage1_block1", "stage2_downsample"),
        *("stage2_block1", "stage2_block2", "norm", "pool", "head", "predictions"),
    ]
    lines = []
    model.summary(print_fn=lines.append)
    assert "stage2_block1 (MetaFormerBlock)" in "\n".join(lines)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("pooling", Pooling),
        ("identity", keras.layers.Identity),
        (GatedMixer, GatedMixer),
        (GatedMixer(gate=0.25), GatedMixer),
        (lambda: Pooling(5), Pooling),
    ],
    ids=["pooling", "identity", "class", "layer", "callable"],
)
def test_a_token_mixer_is_a_name_a_class_a_layer_or_a_callable(spec, kind):
    model = MetaFormer(**TINY, token_mixer=spec)
    mixers = [block.token_mixer for block in blocks(model)]
    assert all(type(mixer) is kind for mixer in mixers)
    assert len({id(mixer) for mixer in mixers}) == 3  # a fresh one each
    assert {mixer.name for mixer in mixers} == {"token_mixer"}
    assert predict(model).shape == (2, 1000)


def test_stages_may_have_token_mixers_norms_and_ratios_of_their_own():
    model = MetaFormer(
        **{**TINY, "mlp_ratios": [2, 3]},
        token_mixer=["identity", GatedMixer(0.25)],
        norm=["group_norm", None],
    )
    first, second, third = blocks(model)
    assert type(first.token_mixer) is keras.layers.Identity
    assert second.token_mixer.gate == third.token_mixer.gate == 0.25
    assert type(first.norm1) is GroupNorm1
    assert type(second.norm1) is type(model.get_layer("norm")) is keras.layers.Identity
    assert first.mlp.fc1.units == 2 * 8
    assert third.mlp.fc1.units == 3 * 12


def test_training_reaches_a_mixer_inside_the_block():
    block = MetaFormerBlock(GatedMixer, layer_scale_init_value=None)
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype("float32") + 3
    block.build(x.shape)
    block.norm1.beta.assign([1.0] * 3)
    difference = to_numpy(block(x, training=True)) - to_numpy(block(x, training=False))
    assert np.abs(difference).max() > 0.1


@pytest.mark.parametrize("mixer", ["pooling", GatedMixer(0.25), [Pooling(5), "identity"]])
def test_config_clone_and_file_round_trips(mixer, tmp_path):
    model = MetaFormer(
        **TINY, token_mixer=mixer, norm=GroupNorm1(epsilon=1e-6), layer_scale_init_value=0.5,
        drop_path_rate=0.2, dropout_rate=0.1, activation="relu", classes=5, trainable=False,
    )  # fmt: skip
    expected = predict(model)
    model.save(tmp_path / "model.keras")
    copies = [
        MetaFormer.from_config(model.get_config()),
        keras.models.clone_model(model),
        keras.saving.load_model(tmp_path / "model.keras"),
    ]
    for copy in copies:
        if copy is not copies[1]:  # Keras clones any functional model as a plain one
            assert type(copy) is MetaFormer
            assert copy.get_config() == model.get_config()
        assert [w.path for w in copy.weights] == [w.path for w in model.weights]
        copy.set_weights(model.get_weights()) if copy is not copies[-1] else None
        np.testing.assert_array_equal(predict(copy), expected)
        assert blocks(copy)[1].drop_path1.rate == blocks(model)[1].drop_path1.rate > 0


# Everything in which the second generation differs, at once.
SECOND = {
    "token_mixer": ["separable_convolution", lambda: SelfAttention(4)],
    "norm": lambda: ChannelLayerNorm(1e-6, center=False),
    "activation": "star_relu", "mlp_bias": False, "layer_scale_init_value": None,
    "res_scale_init_value": [None, 1.0], "stem_norm": lambda: ChannelLayerNorm(center=False),
    "downsample_norm": lambda: ChannelLayerNorm(center=False), "final_norm": "layer_norm",
    "norm_after_pool": True, "patch_init_std": 0.02, "head": "mlp", "head_dropout_rate": 0.1,
}  # fmt: skip


def test_the_second_generation_has_weights_of_these_names():
    model = MetaFormer(**TINY, **SECOND)
    assert [layer.name for layer in model.layers] == [
        *("image", "stem", "stem_norm", "stage1_block1"),
        *("stage2_downsample_norm", "stage2_downsample", "stage2_block1", "stage2_block2"),
        *("pool", "norm", "vector", "head", "predictions"),
    ]
    paths = {weight.path for weight in model.weights}
    block = {"norm1/gamma", "norm2/gamma", "mlp/fc1/kernel", "mlp/fc2/kernel",
             "mlp/activation/scale", "mlp/activation/bias"}  # fmt: skip
    first = block | {"token_mixer/pwconv1/kernel", "token_mixer/activation/scale",
                     "token_mixer/activation/bias", "token_mixer/dwconv/kernel",
                     "token_mixer/pwconv2/kernel"}  # fmt: skip
    second = block | {"token_mixer/qkv/kernel", "token_mixer/proj/kernel",
                      "res_scale1/gamma", "res_scale2/gamma"}  # fmt: skip
    head = {"fc1/kernel", "fc1/bias", "norm/gamma", "norm/beta", "fc2/kernel", "fc2/bias"}
    assert paths == {
        *("stem/kernel", "stem/bias", "stem_norm/gamma", "norm/gamma", "norm/beta"),
        *("stage2_downsample_norm/gamma", "stage2_downsample/kernel", "stage2_downsample/bias"),
        *(f"stage1_block1/{leaf}" for leaf in first),
        *(f"stage2_block{number}/{leaf}" for number in (1, 2) for leaf in second),
        *(f"head/{leaf}" for leaf in head),
    }
    assert np.abs(to_numpy(model.get_layer("stem").kernel)).max() > 2.5 * 0.02
    np.testing.assert_array_equal(to_numpy(model.get_layer("stem").bias), 0)


@pytest.mark.parametrize(
    "arguments",
    [
        SECOND,
        {**SECOND, "head": "linear"},
        {"token_mixer": "random_mixing", "position_embedding_stage": 2, "final_norm": None},
        {"token_mixer": "spatial_fully_connected", "norm": "batch_norm"},
        {"activation": StarReLU, "layer_scale_init_value": [0.5, None]},
        {"residual": False, "mlp_ratios": [None, 3], "activation": StarReLU(0.9, -0.4)},
        {"position_embedding_stage": 2, "position_embedding_size": (3, 5)},
    ],
    ids=[
        "second generation",
        "linear head",
        "random mixing",
        "spatial fc",
        "star relu",
        "parts left out",
        "interpolated positions",
    ],
)
def test_new_parts_survive_configuration_and_files(arguments, tmp_path, rng):
    model = MetaFormer(**{**TINY, **arguments}, classes=5)
    for weight in model.weights:
        value = to_numpy(weight) + 0.1 * rng.standard_normal(weight.shape)
        weight.assign(np.abs(value) if weight.name == "moving_variance" else value)
    expected = predict(model)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    again = MetaFormer.from_config(model.get_config())
    again.load_weights(tmp_path / "model.weights.h5")
    for copy in (again, keras.saving.load_model(tmp_path / "model.keras")):
        assert copy.get_config() == model.get_config()
        assert [w.path for w in copy.weights] == [w.path for w in model.weights]
        np.testing.assert_array_equal(predict(copy), expected)


def test_without_shortcuts_each_branch_replaces_its_input(rng):
    block = MetaFormerBlock(layer_scale_init_value=0.5, residual=False)
    x = rng.standard_normal((2, 5, 6, 4)).astype("float32")
    y = to_numpy(block(x))
    mixed = 0.5 * to_numpy(block.token_mixer(block.norm1(x)))
    expected = 0.5 * to_numpy(block.mlp(block.norm2(mixed)))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-7)


def test_without_an_mlp_a_block_only_mixes_tokens(rng):
    block = MetaFormerBlock(mlp_ratio=None, layer_scale_init_value=0.5)
    x = rng.standard_normal((2, 5, 6, 4)).astype("float32")
    y = to_numpy(block(x))
    expected = x + 0.5 * to_numpy(block.token_mixer(block.norm1(x)))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert (block.norm2, block.mlp, block.layer_scale2) == (None, None, None)
    model = MetaFormer(**{**TINY, "mlp_ratios": [None, 2]})
    assert [block.mlp is None for block in blocks(model)] == [True, False, False]


def test_every_block_has_a_star_relu_of_its_own():
    activation = StarReLU(0.8944, -0.4472)
    mlps = [block.mlp for block in blocks(MetaFormer(**TINY, activation=activation))]
    assert len({id(activation), *(id(mlp.activation) for mlp in mlps)}) == 4
    assert {mlp.activation.scale_init_value for mlp in mlps} == {0.8944}
    assert all(to_numpy(mlp.activation.bias) == np.float32(-0.4472) for mlp in mlps)


@pytest.mark.parametrize("pooling", ["avg", "max", None])
def test_the_last_norm_may_follow_the_pooling(pooling, tmp_path, rng):
    full = MetaFormer(**TINY, **SECOND)
    for weight in full.weights:
        weight.assign(to_numpy(weight) + 0.1 * rng.standard_normal(weight.shape))
    full.save_weights(tmp_path / "full.weights.h5")
    model = MetaFormer(**TINY, **SECOND, include_top=False, pooling=pooling)
    load_keras_file(model, tmp_path / "full.weights.h5")  # a classifier may be left over
    features = predict(keras.Model(model.input, model.pyramid_outputs["P3"]))
    if pooling is not None:
        features = getattr(np, {"avg": "mean", "max": "max"}[pooling])(features, (1, 2))
    centered = features - features.mean(-1, keepdims=True)
    expected = centered / np.sqrt(centered.var(-1, keepdims=True) + 1e-6)
    norm = model.get_layer("norm")
    expected = expected * to_numpy(norm.gamma) + to_numpy(norm.beta)
    np.testing.assert_allclose(predict(model), expected, rtol=1e-4, atol=1e-5)
    if pooling == "avg":
        vector = keras.Model(full.input, full.get_layer("vector").output)
        np.testing.assert_allclose(predict(vector), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("data_format", "policy"),
    [  # every layer is tested in each precision in both layouts
        ("channels_last", "mixed_bfloat16"),
        pytest.param(
            "channels_first", "mixed_float16", marks=slow_except_under("tensorflow", "torch")
        ),
        pytest.param("channels_last", "mixed_float16", marks=pytest.mark.slow),
        pytest.param("channels_first", "mixed_bfloat16", marks=pytest.mark.slow),
    ],
)
def test_the_second_generation_learns_in_half_precision_and_in_both_layouts(data_format, policy):
    shape = (32, 32, 3) if data_format == "channels_last" else (3, 32, 32)
    model = MetaFormer(
        **{**TINY, "input_shape": shape}, **SECOND, classes=2, data_format=data_format, dtype=policy
    )
    assert {weight.dtype for weight in model.weights} == {"float32"}
    x = 0.1 * np.random.default_rng(0).standard_normal((32, *shape)).astype("float32")
    labels = np.arange(32) % 2
    x[labels == 1] += 1
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = 0.01
    model.fit(x, labels, batch_size=8, epochs=6, verbose=0)
    assert model.evaluate(x, labels, verbose=0)[1] > 0.9


@pytest.mark.parametrize("mixer", ["random_mixing", "spatial_fully_connected"])
def test_mixers_tied_to_the_positions_need_a_size_and_keep_it(mixer):
    with pytest.raises(ValueError, match="every pair of positions.*known height"):
        MetaFormer([1], [8], token_mixer=mixer, include_top=False)
    model = MetaFormer([1], [8], token_mixer=mixer, include_top=False, input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match=r"expected shape=\(None, 32, 32, 3\)"):
        model(np.zeros((1, 48, 32, 3), "float32"))


def test_weights_fit_a_model_with_another_drop_path_rate(tmp_path):
    """Random states are no weights: what was trained with drop-path loads without it."""
    trained = MetaFormer(**TINY, drop_path_rate=0.3, dropout_rate=0.1)
    trained.save_weights(tmp_path / "trained.weights.h5")
    plain = MetaFormer(**TINY)
    plain.load_weights(tmp_path / "trained.weights.h5")
    np.testing.assert_array_equal(predict(plain), predict(trained))


def test_drop_path_grows_linearly_to_the_rate_of_the_last_block():
    model = MetaFormer(**TINY, drop_path_rate=0.2)
    assert [block.drop_path1.rate for block in blocks(model)] == pytest.approx([0, 0.1, 0.2])
    rates = [rate for stage in drop_path_schedule(0.1, [2, 2, 6, 2]) for rate in stage]
    assert rates == pytest.approx([0.1 * i / 11 for i in range(12)])
    assert drop_path_schedule(0.1, [1]) == [[0]]


def test_no_layer_scale():
    names = {w.path for w in MetaFormer(**TINY, layer_scale_init_value=None).weights}
    assert not any("layer_scale" in name for name in names)


def test_layer_scale_starts_the_branches_near_zero():
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype("float32")
    model = MetaFormer(**TINY, layer_scale_init_value=1e-5, include_top=False)
    stem = keras.Model(model.input, model.get_layer("stem").output)(x)
    stage = keras.Model(model.input, model.pyramid_outputs["P2"])(x)
    assert relative_error(to_numpy(stage), to_numpy(stem)) < 1e-4


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_features_and_stage_maps(data_format):
    first = data_format == "channels_first"
    model = MetaFormer(
        [1, 1, 1, 1],
        [8, 12, 16, 20],
        include_top=False,
        data_format=data_format,
        input_shape=(3, None, None) if first else (None, None, 3),
    )
    x = np.zeros((2, 3, 64, 96) if first else (2, 64, 96, 3), "float32")

    def shape(height, width, channels):
        return (2, channels, height, width) if first else (2, height, width, channels)

    maps = keras.Model(model.input, model.pyramid_outputs).predict(x, verbose=0)
    assert {level: value.shape for level, value in maps.items()} == {
        "P2": shape(16, 24, 8),
        "P3": shape(8, 12, 12),
        "P4": shape(4, 6, 16),
        "P5": shape(2, 3, 20),
    }
    assert model.predict(x, verbose=0).shape == shape(2, 3, 20)


def test_pooled_features_are_those_before_the_classifier():
    full = MetaFormer(**TINY, layer_scale_init_value=0.5)
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        pooled = MetaFormer(**TINY, layer_scale_init_value=0.5, include_top=False, pooling=pooling)
        plain = MetaFormer(**TINY, layer_scale_init_value=0.5, include_top=False)
        for model in (pooled, plain):
            model.set_weights(full.get_weights()[:-2])
        np.testing.assert_allclose(
            predict(pooled), reduce(predict(plain), (1, 2)), rtol=1e-4, atol=1e-6
        )
        if pooling == "avg":
            expected = keras.Model(full.input, full.get_layer("pool").output)
            np.testing.assert_allclose(predict(pooled), predict(expected), rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy, tmp_path):
    full = MetaFormer(**TINY, layer_scale_init_value=0.5, include_preprocessing=True)
    half = MetaFormer(**TINY, layer_scale_init_value=0.5, include_preprocessing=True, dtype=policy)
    half.set_weights(full.get_weights())
    assert {weight.dtype for weight in half.weights} == {"float32"}
    assert blocks(half)[0].token_mixer.compute_dtype == policy.removeprefix("mixed_")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
    logits = [
        keras.Model(m.input, m.get_layer("head").output).predict(pixels, verbose=0)
        for m in (full, half)
    ]
    assert relative_error(logits[1].astype("float32"), logits[0]) < 3e-2
    probabilities = half.predict(pixels, verbose=0)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-6)

    half.save(tmp_path / "half.keras")
    reloaded = keras.saving.load_model(tmp_path / "half.keras")
    assert reloaded.dtype_policy.name == blocks(reloaded)[0].dtype_policy.name == policy
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("data_format", "policy"),
    [
        ("channels_first", "float32"),
        ("channels_last", "mixed_bfloat16"),
        pytest.param("channels_last", "mixed_float16", marks=slow_except_under("torch")),
    ],
)
def test_fit_learns(data_format, policy):
    """Two classes, a bright half and a dark half, are told apart in a few steps."""
    shape = (32, 32, 3) if data_format == "channels_last" else (3, 32, 32)
    model = MetaFormer(
        **{**TINY, "input_shape": shape},
        classes=2,
        drop_path_rate=0.1,
        dropout_rate=0.1,
        data_format=data_format,
        dtype=policy,
    )
    x = 0.1 * np.random.default_rng(0).standard_normal((32, *shape)).astype("float32")
    labels = np.arange(32) % 2
    x[labels == 1] += 1
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = 0.01
    model.fit(x, labels, batch_size=8, epochs=6, verbose=0)
    assert model.evaluate(x, labels, verbose=0)[1] > 0.9


@compiles
def test_jit_compile_trains():
    model = MetaFormer(**TINY, classes=2, drop_path_rate=0.1)
    x = np.random.default_rng(0).standard_normal((8, 32, 32, 3)).astype("float32")
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=True)
    history = model.fit(x, np.arange(8) % 2, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_the_global_layout_is_read_once_and_saved():
    keras.config.set_image_data_format("channels_first")
    model = MetaFormer([1], [8], include_top=False)
    keras.config.set_image_data_format("channels_last")
    assert model.data_format == "channels_first"
    assert model.input_shape == (None, 3, None, None)
    copy = MetaFormer.from_config(model.get_config())
    assert copy.data_format == "channels_first"
    assert copy.predict(np.zeros((1, 3, 8, 12)), verbose=0).shape == (1, 8, 2, 3)


def test_input_tensor():
    image = keras.Input((32, 48, 3), name="photo")
    arguments = {key: value for key, value in TINY.items() if key != "input_shape"}
    model = MetaFormer(**arguments, input_tensor=image)
    assert model.input is image
    assert model.input_shape == (None, 32, 48, 3)
    with pytest.raises(ValueError, match="`input_tensor` must be a `keras.Input`"):
        MetaFormer(**arguments, input_tensor=keras.layers.Rescaling(2.0)(image))
    with pytest.raises(ValueError, match="`input_tensor` must be a `keras.Input`"):
        MetaFormer(**arguments, input_tensor=np.zeros((1, 32, 32, 3)))


class ChangesShape(keras.layers.Layer):
    def call(self, inputs):
        return inputs[:, ::2]


BAD = {
    "depths and dims differ": ({"dims": [8, 12, 16]}, r"`depths` and `dims`.*\(2 st.*\(3 st"),
    "no stage": ({"depths": [], "dims": []}, r"`depths` must be a list of positive integers"),
    "a depth of 0": ({"depths": [1, 0]}, r"`depths` must be.*\[1, 0\]"),
    "dims no list": ({"dims": 64}, "`dims` must be a list"),
    "unknown mixer": ({"token_mixer": "pool"}, r"`token_mixer`.*'pooling'.*'pool'"),
    "no mixer": ({"token_mixer": 3}, "`token_mixer` must be one of"),
    "callable gives no layer": ({"token_mixer": lambda: 3}, "`token_mixer`.*gave 3"),
    "mixer of another layout": (
        {"token_mixer": Pooling(data_format="channels_first")},
        "`token_mixer` must be a layer for channels_last",
    ),
    "mixer changes the shape": ({"token_mixer": ChangesShape}, "`token_mixer` must keep the shape"),
    "unknown norm": ({"norm": "batchnorm"}, r"`norm` must be one of .*'group_norm'.*'batchnorm'"),
    "mixers for three stages": ({"token_mixer": ["pooling"] * 3}, "`token_mixer`.*2 stages.*3 val"),
    "ratios for one stage": ({"mlp_ratios": [4]}, "`mlp_ratios`.*2 stages.*1 val"),
    "drop path of 1": ({"drop_path_rate": 1.0}, "`drop_path_rate` must be at least 0 and below 1"),
    "dropout of 2": ({"dropout_rate": 2}, "`dropout_rate` must be at least 0 and below 1"),
    "unknown head": ({"head": "conv"}, "`head` must be 'linear' or 'mlp'.*'conv'"),
    "head dropout of 1": ({"head_dropout_rate": 1}, "`head_dropout_rate` must be at least 0"),
    "unknown stem norm": ({"stem_norm": "ln"}, r"`stem_norm` must be one of .*'layer_norm'.*'ln'"),
    "unknown last norm": ({"final_norm": "ln"}, "`final_norm` must be one of"),
    "embedding in no stage": (
        {"position_embedding_stage": 3},
        "`position_embedding_stage` must be a stage, 1 to 2, or None.*3",
    ),
    "a size without an embedding": (
        {"position_embedding_size": 4},
        "`position_embedding_size` must be None without a `position_embedding_stage`",
    ),
    "an embedding of no size": (
        {"position_embedding_stage": 1, "position_embedding_size": 0},
        "`position_embedding_size` must be an integer of at least 1",
    ),
    "scaled shortcuts that are not there": (
        {"residual": False, "res_scale_init_value": 1.0},
        "`res_scale_init_value` must be None with `residual=False`.*1.0",
    ),
    "scales for three stages": (
        {"res_scale_init_value": [None, 1, 1]},
        "`res_scale_init_value`.*2 stages.*3 val",
    ),
    "initial weights of nothing": ({"patch_init_std": 0}, "`init_std` must be positive"),
    "unknown pooling": ({"pooling": "mean"}, "`pooling` must be None, 'avg' or 'max'.*'mean'"),
    "no classes": ({"classes": 0}, "`classes` must be a positive integer"),
    "a small image": ({"input_shape": (4, 32, 3)}, "height of at least 8.*height of 4"),
    "channels first by mistake": ({"input_shape": (3, 32, 32)}, "at least 8.*height of 3"),
    "unknown channels": ({"input_shape": (32, 32, None)}, "known number of channels"),
    "no image": ({"input_shape": (32, 32)}, r"`input_shape` must be \(height, width, channels\)"),
    "grey with preprocessing": (
        {"input_shape": (32, 32, 1), "include_preprocessing": True},
        "3 channels.*include_preprocessing",
    ),
    "unknown layout": ({"data_format": "NCHW"}, "`data_format` must be.*'NCHW'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(case):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        MetaFormer(**{**TINY, **arguments})


def test_images_that_do_not_fit_are_refused():
    fixed, open_size = MetaFormer(**TINY), MetaFormer([1, 1], [8, 12], include_top=False)
    with pytest.raises(ValueError, match=r"expected shape=\(None, 32, 32, 3\)"):
        fixed(np.zeros((1, 32, 32, 4), "float32"))
    with pytest.raises(ValueError, match=r"images of 3 channels.*\(1, 32, 32, 1\)"):
        open_size(np.zeros((1, 32, 32, 1), "float32"))
    with pytest.raises(ValueError, match="at least 8 x 8 pixels.*7, 32, 3"):
        open_size(np.zeros((1, 7, 32, 3), "float32"))
