"""The five builders, as users call them."""

import inspect

import keras
import numpy as np
import pytest

import keras_poolformer
from keras_poolformer import PoolFormerS12
from keras_poolformer.layers import Pooling
from keras_poolformer.layers.token_mixers import TOKEN_MIXERS
from keras_poolformer.poolformer import VARIANTS
from tests.backends import rest_only_under, to_numpy

CONVENTIONAL = [
    *("include_top", "include_preprocessing", "weights", "input_tensor", "input_shape"),
    *("pooling", "classes", "classifier_activation", "name"),
]
PARAMETERS = {
    "S12": 11_915_176,
    "S24": 21_388_968,
    "S36": 30_862_760,
    "M36": 56_172_520,
    "M48": 73_473_448,
}

SHALLOW = {"depths": (1, 1, 1, 1)}  # which compiles in a third of the time


@pytest.mark.parametrize(
    "size", rest_only_under("torch", PARAMETERS, ["S12"], "the other sizes have more of the same")
)
def test_variants(size):
    builder = getattr(keras_poolformer, f"PoolFormer{size}")
    assert builder.__name__ == f"PoolFormer{size}"
    assert f"{VARIANTS[size].top1} %" in builder.__doc__
    assert list(inspect.signature(builder).parameters)[:9] == CONVENTIONAL
    model = builder()
    assert model.name == f"poolformer_{size.lower()}"
    assert model.count_params() == PARAMETERS[size] == VARIANTS[size].parameters
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)
    factor = to_numpy(model.get_layer("stage4_block1").layer_scale1.gamma)
    np.testing.assert_array_equal(factor, np.float32(VARIANTS[size].layer_scale_init_value))


def test_works_without_arguments():
    probabilities = PoolFormerS12().predict(np.zeros((1, 224, 224, 3)), verbose=0)
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-5)


def test_starts_as_the_official_code():
    model = PoolFormerS12()
    head = model.get_layer("head")
    assert abs(to_numpy(head.kernel).std() - 0.02) < 2e-4
    np.testing.assert_array_equal(to_numpy(head.bias), 0)
    stem = to_numpy(model.get_layer("stem").kernel)
    assert 0.99 / 147**0.5 < np.abs(stem).max() <= 1 / 147**0.5
    norm = model.get_layer("norm")
    np.testing.assert_array_equal(to_numpy(norm.gamma), 1)
    np.testing.assert_array_equal(to_numpy(norm.beta), 0)
    assert norm.epsilon == 1e-5


def test_classifier_activation_and_classes():
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3))
    arguments = {"classes": 7, "input_shape": (32, 32, 3), **SHALLOW}
    logits = PoolFormerS12(**arguments, classifier_activation=None)
    softmax = PoolFormerS12(**arguments)
    softmax.set_weights(logits.get_weights())
    z = logits.predict(x, verbose=0)
    assert z.shape == (2, 7)
    expected = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    np.testing.assert_allclose(softmax.predict(x, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_preprocessing_inside_is_the_normalisation_outside(data_format):
    first = data_format == "channels_first"
    shape = (3, 40, 32) if first else (40, 32, 3)
    arguments = {"input_shape": shape, "classifier_activation": None, "data_format": data_format}
    arguments |= SHALLOW
    inside = PoolFormerS12(**arguments, include_preprocessing=True)
    outside = PoolFormerS12(**arguments)
    outside.set_weights(inside.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype="uint8")
    along = (3, 1, 1) if first else (3,)
    mean = np.reshape([0.485, 0.456, 0.406], along)
    std = np.reshape([0.229, 0.224, 0.225], along)
    np.testing.assert_allclose(
        inside.predict(pixels, verbose=0),
        outside.predict((pixels / 255 - mean) / std, verbose=0),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_global_layout_does_not_reach_the_preprocessing():
    arguments = {"include_preprocessing": True, "include_top": False, "pooling": "avg", **SHALLOW}
    keras.config.set_image_data_format("channels_first")
    first = PoolFormerS12(**arguments)
    keras.config.set_image_data_format("channels_last")
    last = PoolFormerS12(**arguments)
    last.set_weights(first.get_weights())
    x = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3))
    np.testing.assert_allclose(
        first.predict(x.transpose(0, 3, 1, 2), verbose=0),
        last.predict(x, verbose=0),
        rtol=1e-5,
        atol=1e-5,
    )


def test_any_argument_of_the_metaformer_can_be_changed():
    model = PoolFormerS12(
        depths=[1, 1, 1, 1], token_mixer=lambda: Pooling(5), activation="relu", drop_path_rate=0.3
    )
    block = model.get_layer("stage4_block1")
    assert block.token_mixer.pool_size == 5
    assert block.mlp.activation is keras.activations.relu
    assert block.drop_path2.rate == pytest.approx(0.3)
    with pytest.raises(TypeError, match="token_mixr"):
        PoolFormerS12(token_mixr="pooling")


def test_input_tensor_that_is_an_input():
    image = keras.Input((64, 64, 3))
    model = PoolFormerS12(input_tensor=image, include_top=False)
    assert model.input is image
    assert list(model.pyramid_outputs) == ["P2", "P3", "P4", "P5"]


def test_input_tensor_that_other_layers_made(tmp_path):
    grey = keras.Input((48, 48, 1))
    colour = keras.layers.Concatenate()([grey, grey, grey])
    model = PoolFormerS12(input_tensor=colour, classes=3, **SHALLOW)
    assert model.input is grey or model.inputs[0] is grey
    x = np.random.default_rng(0).standard_normal((2, 48, 48, 1)).astype("float32")
    expected = model.get_layer("poolformer_s12").predict(np.repeat(x, 3, -1), verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)
    model.save(tmp_path / "grey.keras")
    reloaded = keras.saving.load_model(tmp_path / "grey.keras")
    np.testing.assert_array_equal(reloaded.predict(x, verbose=0), model.predict(x, verbose=0))


SMALL = {"depths": [1, 1], "dims": [8, 12], "input_shape": (32, 32, 3)}


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("as_text", [True, False])
def test_weights_from_a_file(suffix, as_text, tmp_path):
    saved = PoolFormerS12(**SMALL)
    path = tmp_path / f"saved{suffix}"
    saved.save_weights(path) if suffix == ".weights.h5" else saved.save(path)
    loaded = PoolFormerS12(**SMALL, weights=str(path) if as_text else path)
    for ours, theirs in zip(loaded.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


MISFITS = {
    "fewer blocks": ({}, {"depths": [2, 1]}),
    "more blocks": ({"depths": [2, 1]}, {}),
    "more stages": ({"depths": [1, 1, 1], "dims": [8, 12, 16]}, {}),
    "other dims": ({}, {"dims": [8, 16]}),
    "other classes": ({}, {"classes": 10}),
    "LayerScale missing": ({"layer_scale_init_value": None}, {}),
    "LayerScale left over": ({}, {"layer_scale_init_value": None}),
    "no classifier": ({"include_top": False}, {}),
}


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("case", MISFITS)
@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_architecture_are_refused(case, suffix, tmp_path):
    saved, wanted = MISFITS[case]
    path = tmp_path / f"saved{suffix}"
    model = PoolFormerS12(**{**SMALL, **saved})
    model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
    with pytest.raises(ValueError, match=rf"`weights` does not fit.*saved\{suffix}"):
        PoolFormerS12(**{**SMALL, **wanted}, weights=path)


SIZE_BOUND = {
    "random_mixing": "have a weight for every pair of positions",
    "spatial_fully_connected": "have a weight for every pair of positions",
    "an embedding": "A position embedding has a vector for each position",
}


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("part", SIZE_BOUND)
@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_size_of_image_are_refused_with_the_reason(part, suffix, tmp_path):
    is_mixer = part in TOKEN_MIXERS
    arguments = {
        **SMALL,
        **({"token_mixer": part} if is_mixer else {"position_embedding_stage": 1}),
    }
    path = tmp_path / f"saved{suffix}"
    model = PoolFormerS12(**arguments)
    model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
    with pytest.raises(ValueError, match=rf"`weights` does not fit.*{SIZE_BOUND[part]}"):
        PoolFormerS12(**{**arguments, "input_shape": (64, 32, 3)}, weights=path)


def test_a_broken_file_is_refused(tmp_path):
    for name in ("broken.keras", "broken.weights.h5"):
        (tmp_path / name).write_bytes(b"no archive")
        with pytest.raises(ValueError, match=rf"`weights` does not fit.*{name}"):
            PoolFormerS12(**SMALL, weights=tmp_path / name)


def test_a_backbone_takes_its_weights_from_a_classifier(tmp_path):
    model = PoolFormerS12(**SMALL)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((2, 32, 32, 3)), np.zeros(2), verbose=0)  # the file has an optimizer too
    model.save(tmp_path / "classifier.keras")
    backbone = PoolFormerS12(**SMALL, include_top=False, weights=tmp_path / "classifier.keras")
    for ours, theirs in zip(backbone.get_weights(), model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "nowhere.keras"}, "`weights` names a file that does not exist.*nowhere"),
        ({"weights": "imagenet21k"}, "`weights` must be None, 'imagenet', a preset.*'imagenet21k'"),
        ({"weights": "model.h5"}, r"the path of a file that ends in \.weights\.h5.*'model.h5'"),
        (
            {"weights": "imagenet", "classes": 10},
            "`classes` must be 1000 for `weights='imagenet'`.*classes=10.*include_top=False",
        ),
        (
            {"weights": "poolformer_s24"},
            "must be a preset of PoolFormerS12: .*'poolformer_s12'.*is one of PoolFormerS24",
        ),
        (
            {"weights": "imagenet", "input_shape": (64, 64, 4)},
            "`input_shape` must have 3 channels.*'poolformer_s12'.*4 channels",
        ),
        ({"input_shape": (31, 64, 3)}, "height of at least 32.*height of 31"),
        ({"input_shape": (64, 31, 3)}, "width of at least 32.*width of 31"),
        ({"include_preprocessing": True, "input_shape": (64, 64, 4)}, "3 channels"),
        ({"pooling": "sum"}, "`pooling` must be"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PoolFormerS12(**arguments)
