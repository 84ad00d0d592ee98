import keras
import numpy as np
import pytest

import keras_poolformer
from keras_poolformer.inference import fuse, scale_stream, stream_exponents
from keras_poolformer.layers import ChannelLayerNorm
from keras_poolformer.variants import FAMILIES
from tests.backends import relative_error


def trained(rng, **kwargs):
    """A small MetaFormer, as after a training that let the stream grow."""
    arguments = {"depths": (1, 2), "dims": (8, 16), "classes": 5, "input_shape": (32, 32, 3)}
    model = keras_poolformer.MetaFormer(**{**arguments, "classifier_activation": None, **kwargs})
    for weight in model.trainable_variables:
        value = rng.normal(size=weight.shape)
        if len(weight.shape) > 1:
            value /= np.sqrt(np.prod(weight.shape[:-1]))
        grows = ("layer_scale", "stem", "pwconv2", "proj", "fc2", "embedding", "token_mixer/kernel")
        if any(name in weight.path for name in grows):
            value *= 30
        weight.assign(value)
    return model


def images(rng, count=4):
    return rng.uniform(0, 255, (count, 32, 32, 3)).astype("float32")


def maps(model, pixels):
    """The outputs of all layers, by name."""
    layers = model.layers[1:]
    outputs = keras.Model(model.input, [layer.output for layer in layers]).predict_on_batch(pixels)
    return {layer.name: np.asarray(y) for layer, y in zip(layers, outputs, strict=True)}


SECOND = {
    key: value
    for key, value in FAMILIES["ConvFormer"].arguments.items()
    if key not in ("token_mixer", "head", "res_scale_init_value")
} | {"res_scale_init_value": [None, 1.0], "layer_scale_init_value": None}
CONFIGURATIONS = {
    "the paper's": {},
    "pixels inside": {"include_preprocessing": True},
    "identity mixer": {"token_mixer": "identity"},
    "a stage without norms": {"norm": [None, "group_norm"]},
    "largest features": {"include_top": False, "pooling": "max"},
    "maps": {"include_top": False},
    "no LayerScale": {"layer_scale_init_value": None},
    "a mixer of one's own": {"token_mixer": keras.layers.ReLU},
    "batch norm in between": {"norm": ["batch_norm", "group_norm"]},
    "separable convolutions": {"token_mixer": "separable_convolution", "norm": "layer_norm"},
    "attention with positions": {
        "token_mixer": ["depthwise_convolution", "self_attention"], "norm": "layer_norm",
        "position_embedding_stage": 2,
    },
    "mixing of positions": {"token_mixer": ["random_mixing", "spatial_fully_connected"]},
    "the second generation": {
        **SECOND, "norm": "group_norm", "token_mixer": ["pooling", "identity"],
    },
    "pooling after layer norm": {"norm": "layer_norm"},
    "the second generation, other mixers": {
        **SECOND, "token_mixer": ["separable_convolution", "random_mixing"], "head": "mlp",
    },
    "the second generation, maps": {
        **SECOND, "token_mixer": ["separable_convolution", "self_attention"], "include_top": False,
    },
    "channels first": {"data_format": "channels_first", "input_shape": (3, 32, 32)},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_outputs_stay_and_the_stream_becomes_small(name, rng):
    fused = fuse(trained(rng, **CONFIGURATIONS[name]))
    pixels = images(rng)
    if fused.data_format == "channels_first":
        pixels = pixels.transpose(0, 3, 1, 2)
    exponents = stream_exponents(fused, pixels)
    assert min(exponents) > 0
    small = scale_stream(fused, exponents)
    before, after = maps(fused, pixels), maps(small, pixels)
    for layer, expected in before.items():
        is_stream = layer.startswith("stage") and not layer.endswith("norm")
        is_stem = layer == ("stem_norm" if "stem_norm" in before else "stem")
        if is_stream or is_stem or layer == "position_embedding":
            stage = 0 if is_stem else 1 if layer == "position_embedding" else int(layer[5]) - 1
            expected = expected / 2 ** exponents[stage]
            assert np.abs(after[layer]).max() <= 2
        elif layer == "pool" and "vector" in before:  # before the last norm
            expected = expected / 2 ** exponents[-1]
        # To the last bit where the backend's arithmetic is that of IEEE 754.
        assert relative_error(after[layer], expected) < 1e-6, layer


def test_exponents_are_no_larger_than_needed(rng):
    fused = fuse(trained(rng))
    pixels = images(rng)
    exponents = stream_exponents(fused, pixels)
    after = maps(scale_stream(fused, exponents), pixels)
    for stage in (1, 2):
        values = [y for name, y in after.items() if name.startswith(f"stage{stage}")]
        values += [after["stem"]] * (stage == 1)
        assert 1 < max(np.abs(y).max() for y in values) <= 2
    assert stream_exponents(scale_stream(fused, exponents), pixels) == (0, 0)


def test_the_given_model_stays_and_predictions_made_before_change_nothing(rng):
    fused = fuse(trained(rng))
    pixels = images(rng)
    expected = fused.predict(pixels, verbose=0)
    small = scale_stream(fused, (7, 9))
    assert relative_error(small.predict(pixels, verbose=0), expected) < 1e-6
    np.testing.assert_array_equal(fused.predict(pixels, verbose=0), expected)


def test_it_can_be_saved(rng, tmp_path):
    small = scale_stream(fuse(trained(rng)), (3, 5))
    pixels = images(rng)
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(
        loaded.predict(pixels, verbose=0), small.predict(pixels, verbose=0)
    )


def test_what_does_not_cancel_stays(rng):
    for arguments in (
        {"token_mixer": keras.layers.ReLU, "layer_scale_init_value": None},
        {"token_mixer": keras.layers.ReLU, "norm": [None, "group_norm"]},
        {"norm": keras.layers.LayerNormalization},
        {"final_norm": None},
        {"stem_norm": ChannelLayerNorm(scale=False)},
    ):
        fused = fuse(trained(rng, **arguments))
        assert stream_exponents(fused, images(rng)) == (0, 0)
        with pytest.raises(ValueError, match=r"`exponents` must be 0.*Received: \(1, 0\)"):
            scale_stream(fused, (1, 0))


@pytest.mark.parametrize("exponents", [(1,), (1, 2, 3), (1.0, 2.0)])
def test_exponents_are_integers_one_for_each_stage(exponents, rng):
    with pytest.raises(ValueError, match="`exponents` must be 2 integers"):
        scale_stream(fuse(trained(rng)), exponents)


def test_a_model_that_is_not_fused_is_refused(rng):
    model = trained(rng)
    for function in (lambda: scale_stream(model, (0, 0)), lambda: stream_exponents(model, None)):
        with pytest.raises(ValueError, match="`model` must be fused.*Received: 'metaformer'"):
            function()
