import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_poolformer
from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow, randomize
from tflite.convert import convert
from tflite.export import prepare, to_litert
from tflite.half_precision import LARGEST, extremes, half_precision
from tflite.images import sample_images

pytestmark = in_tensorflow
SHAPE = (1, 64, 48, 3)


def filled(*values):
    """An image for each value, with that value everywhere."""
    return np.stack([np.full(SHAPE[1:], value, "float32") for value in values])


@pytest.fixture(scope="module")
def mean():
    return graphs.content(lambda x: tf.reduce_mean(x, (1, 2)), SHAPE)


@pytest.fixture(scope="module")
def mean_square():
    return graphs.content(lambda x: tf.reduce_mean(x * x, (1, 2)), SHAPE)


def test_a_sum_is_emulated_term_by_term(mean):
    (found,) = extremes(mean, filled(0.5))
    assert (found.operation, found.value, found.bound) == ("MEAN", 0.5, 64 * 48 * 0.5)
    # One by one, float16 cannot count by halves beyond 1024.
    assert found.partial_sum == 1024


def test_a_sum_that_overflows_is_found_and_a_shorter_one_is_not(mean_square):
    _, found = extremes(mean_square, filled(5))
    assert (found.bound, found.partial_sum) == (64 * 48 * 25, np.inf)
    assert half_precision(mean_square, filled(5)) == {
        "largest": 64 * 48 * 25,
        "operation": "MEAN",
        "name": found.name,
        "overflows": True,
    }
    found = half_precision(graphs.shortened(mean_square), filled(5))
    assert (found["largest"], found["overflows"]) == (64 * 25, False)


def test_an_activation_beyond_float16_overflows():
    content = graphs.content(lambda x: tf.reduce_max(x * x, 3), SHAPE)
    found = half_precision(content, filled(300))
    assert found["overflows"]
    assert found["largest"] == 90_000 > LARGEST


def test_the_largest_over_all_images_counts(mean):
    assert half_precision(mean, filled(1, 3, 2))["largest"] == 64 * 48 * 3


@pytest.mark.parametrize(
    "variant",
    ["S12", *(pytest.param(name, marks=pytest.mark.slow) for name in ("S24", "S36", "M36", "M48"))],
)
def test_a_poolformer_stays_within_float16_on_real_images(variant):
    build = getattr(keras_poolformer, f"PoolFormer{variant}")
    model = randomize(build(weights=None, include_preprocessing=True, input_shape=(224, 224, 3)))
    images = sample_images((224, 224, 3), 4)
    as_it_is, scaled = (
        half_precision(to_litert(*prepare(model, pixels=pixels)), images.astype("float32"))
        for pixels in (None, images)
    )
    assert as_it_is["overflows"]
    assert scaled["largest"] < LARGEST / 16


def grown(model):
    """A model whose stream is as large as after a long training."""
    for weight in model.trainable_variables:
        if "stem" in weight.path or "layer_scale" in weight.path:
            weight.assign(100 * weight)
    return model


def test_a_file_for_half_precision_computes_what_the_model_computes(make_model, tmp_path):
    report = convert(grown(make_model()), tmp_path / "model.tflite")
    assert report["half_precision"]["largest"] < LARGEST / 16
    assert report["sqnr_db"] > 100


def test_a_backbone_among_other_layers_is_scaled_too(make_model, tmp_path):
    backbone = grown(make_model(include_preprocessing=False, include_top=False, pooling="avg"))
    layers = [backbone, keras.layers.Dense(3, activation="softmax")]
    rescaling = keras.layers.Rescaling(1 / 60, offset=-2)
    for name, model in {
        "first": keras.Sequential(layers),
        "behind": keras.Sequential([keras.Input((16, 16, 3)), rescaling, *layers]),
    }.items():
        report = convert(model, tmp_path / f"{name}.tflite")
        assert report["half_precision"]["largest"] < LARGEST / 16
        assert report["sqnr_db"] > 100


def test_sums_are_shorter_where_the_stream_cannot_be_scaled(make_model, tmp_path):
    # Without a LayerScale behind it, no weight takes the power of two back.
    arguments = {"token_mixer": keras.layers.ReLU, "layer_scale_init_value": None}
    model = grown(make_model((128, 128, 3), **arguments))
    content = to_litert(*prepare(model, pixels=sample_images((128, 128, 3))))
    plain = half_precision(content, sample_images((128, 128, 3), 2).astype("float32"))
    assert plain["overflows"]
    report = convert(model, tmp_path / "model.tflite")
    assert report["half_precision"]["largest"] < plain["largest"] / 4
    assert report["sqnr_db"] > 100
