import keras
import numpy as np
import pytest
from keras import ops

from keras_poolformer import MetaFormer
from keras_poolformer.preprocessing import preprocess_input
from tests.backends import to_numpy

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def reference(pixels):
    return (pixels.astype("float64") / 255 - MEAN) / STD


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (2, 5, 4, 3)])
def test_arrays(rng, dtype, shape):
    images = rng.integers(0, 256, shape).astype(dtype)
    before = images.copy()
    normalised = preprocess_input(images)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, reference(images), atol=1e-5)
    assert not np.shares_memory(normalised, images)
    np.testing.assert_array_equal(images, before)
    first = np.moveaxis(images, -1, -3)
    np.testing.assert_array_equal(
        preprocess_input(first, "channels_first"), np.moveaxis(normalised, -1, -3)
    )
    keras.config.set_image_data_format("channels_first")
    np.testing.assert_array_equal(preprocess_input(first), np.moveaxis(normalised, -1, -3))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16", "float32"])
def test_tensors(rng, dtype):
    images = rng.integers(0, 256, (2, 3, 5, 4)).astype("float32")
    tensor = ops.cast(ops.convert_to_tensor(images), dtype)
    normalised = preprocess_input(tensor, "channels_first")
    assert ops.is_tensor(normalised)
    assert keras.backend.standardize_dtype(normalised.dtype) == "float32"
    expected = np.moveaxis(reference(np.moveaxis(to_numpy(tensor), 1, -1)), -1, 1)
    np.testing.assert_allclose(to_numpy(normalised), expected, atol=1e-5)


def test_is_what_models_do_themselves(rng):
    arguments = {"depths": [1], "dims": [8], "input_shape": (8, 8, 3), "classes": 4}
    own = MetaFormer(**arguments, include_preprocessing=True)
    other = MetaFormer(**arguments)
    other.set_weights(own.get_weights())
    images = rng.integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    np.testing.assert_allclose(
        other.predict_on_batch(preprocess_input(images)),
        own.predict_on_batch(images),
        atol=1e-6,
    )


def test_keras_tensors_are_saved_with_the_model(rng, tmp_path):
    image = keras.Input((6, 5, 3), dtype="uint8")
    keras.Model(image, preprocess_input(image)).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    images = rng.integers(0, 256, (2, 6, 5, 3)).astype("uint8")
    np.testing.assert_allclose(to_numpy(model(images)), reference(images), atol=1e-5)


def test_tf_data_on_every_backend(rng):
    import tensorflow as tf

    images = rng.integers(0, 256, (4, 6, 5, 3)).astype("uint8")
    dataset = tf.data.Dataset.from_tensor_slices(images).map(preprocess_input).batch(4)
    for normalised in dataset.as_numpy_iterator():
        np.testing.assert_allclose(normalised, reference(images), atol=1e-5)
    without_rank = tf.data.Dataset.from_tensors(b"").map(tf.io.decode_image)
    with pytest.raises(ValueError, match="shape=unknown"):
        without_rank.map(preprocess_input)


@pytest.mark.parametrize(
    ("shape", "data_format", "message"),
    [
        ((4, 4), None, r"`images` must be RGB.*\(H, W, 3\) or \(B, H, W, 3\).*shape=\(4, 4\)"),
        ((4, 4, 1), None, r"`images` must be RGB.*shape=\(4, 4, 1\)"),
        ((3, 4, 4), None, r"`images` must be RGB.*shape=\(3, 4, 4\)"),
        ((4, 4, 3), "channels_first", r"\(3, H, W\) or \(B, 3, H, W\).*shape=\(4, 4, 3\)"),
        ((1, 2, 4, 4, 3), None, r"`images` must be RGB.*shape=\(1, 2, 4, 4, 3\)"),
        ((4, 4, 3), "last", "`data_format` must be.*Received: 'last'"),
    ],
)
def test_errors(shape, data_format, message):
    with pytest.raises(ValueError, match=message):
        preprocess_input(np.zeros(shape), data_format)
