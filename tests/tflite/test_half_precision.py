import numpy as np
import pytest
import tensorflow as tf

import keras_poolformer
from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow, randomize
from tflite.export import prepare, to_litert
from tflite.half_precision import LARGEST, extremes, half_precision
from tflite.images import sample_images

pytestmark = in_tensorflow
SHAPE = (1, 64, 48, 3)


def of_mean(path, value):
    (found,) = [
        extreme
        for extreme in extremes(path, np.full((1, 64, 48, 3), value, "float32"))
        if extreme.operation == "MEAN"
    ][-1:]
    return found


def test_a_sum_is_emulated_term_by_term(tmp_path):
    path = graphs.written(
        tmp_path / "m.tflite", graphs.content(lambda x: tf.reduce_mean(x, (1, 2)), SHAPE)
    )
    found = of_mean(path, 0.5)
    assert found.value == 0.5
    assert found.bound == 64 * 48 * 0.5
    # One by one, float16 cannot count by halves beyond 1024.
    assert found.partial_sum == 1024


def test_overflow_is_found_and_shorter_sums_avoid_it(tmp_path):
    content = graphs.content(lambda x: tf.reduce_mean(x * x, (1, 2)), SHAPE)
    long = graphs.written(tmp_path / "long.tflite", content)
    short = graphs.written(tmp_path / "short.tflite", graphs.shortened(content))
    images = np.full((1, 64, 48, 3), 5, "float32")
    assert of_mean(long, 5.0).bound == 64 * 48 * 25
    assert half_precision(long, images) == {
        "largest": 64 * 48 * 25,
        "operation": "MEAN",
        "name": of_mean(long, 5.0).name,
        "overflows": True,
    }
    found = half_precision(short, images)
    assert not found["overflows"]
    assert found["largest"] == 64 * 25


def test_an_activation_beyond_float16_overflows(tmp_path):
    path = graphs.written(
        tmp_path / "m.tflite", graphs.content(lambda x: tf.reduce_max(x * x, 3), SHAPE)
    )
    found = half_precision(path, np.full((1, 64, 48, 3), 300, "float32"))
    assert found["overflows"]
    assert found["largest"] == 90_000 > LARGEST


def test_the_largest_over_all_images_counts(tmp_path):
    path = graphs.written(
        tmp_path / "m.tflite", graphs.content(lambda x: tf.reduce_mean(x, (1, 2)), SHAPE)
    )
    images = np.stack([np.full((64, 48, 3), value, "float32") for value in (1, 3, 2)])
    assert half_precision(path, images)["largest"] == 64 * 48 * 3


def mean_sums(content, path, images):
    """The bounds of all sums of means in a file."""
    found = extremes(graphs.written(path, content), images)
    return [extreme for extreme in found if extreme.operation == "MEAN"], found


@pytest.mark.parametrize(
    "variant",
    ["S12", *(pytest.param(v, marks=pytest.mark.slow) for v in ("S24", "S36", "M36", "M48"))],
)
def test_a_poolformer_stays_within_float16_on_real_images(variant, tmp_path):
    build = getattr(keras_poolformer, f"PoolFormer{variant}")
    model = build(weights=None, include_preprocessing=True, input_shape=(224, 224, 3))
    images = sample_images((224, 224, 3), 2).astype("float32")
    content = to_litert(*prepare(randomize(model)))
    long, _ = mean_sums(content, tmp_path / "long.tflite", images)
    short, all_of_it = mean_sums(graphs.shortened(content), tmp_path / "short.tflite", images)
    assert max(extreme.largest for extreme in all_of_it) < LARGEST / 4
    assert max(extreme.bound for extreme in short) < max(extreme.bound for extreme in long) / 10
