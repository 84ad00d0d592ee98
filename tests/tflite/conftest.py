"""Models with weights of order one, whose branches all show in the output."""

import keras
import numpy as np
import pytest

from keras_poolformer import MetaFormer
from tests.backends import BACKEND

in_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="under every backend the file is made by the same process with TensorFlow",
)


def randomize(model, seed=0):
    """Gives every weight a random value that keeps activations near one."""
    generator = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        noise = generator.normal(size=weight.shape)
        if len(weight.shape) > 1:
            noise /= np.sqrt(np.prod(weight.shape[:-1]))
        elif weight.name == "gamma":
            noise = 1 + 0.3 * noise
        else:
            noise *= 0.3
        weight.assign(noise.astype("float32"))
    return model


@pytest.fixture(scope="session")
def make_model():
    """Builds a small PoolFormer on pixels; `seed` decides on its weights."""

    def make(input_shape=(16, 16, 3), seed=0, include_preprocessing=True, **kwargs):
        keras.utils.set_random_seed(seed)
        arguments = {
            "depths": (1, 1),
            "dims": (8, 16),
            "stem_patch_size": 3,
            "stem_stride": 2,
            "stem_padding": 1,
            "classes": 3,
        }
        model = MetaFormer(
            input_shape=input_shape,
            include_preprocessing=include_preprocessing,
            **{**arguments, **kwargs},
        )
        return randomize(model, seed)

    return make


@pytest.fixture(scope="session")
def saved(make_model, tmp_path_factory):
    """The path of a saved model of 16 x 16 pixels and 3 classes."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    make_model().save(path)
    return path


@pytest.fixture(scope="session")
def converted(saved):
    """The path of the .tflite file of `saved`."""
    from tflite.convert import convert

    path = saved.with_suffix(".tflite")
    convert(saved, path)
    return path


def pixels(shape, seed=0):
    """Random images in [0, 255]."""
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")
