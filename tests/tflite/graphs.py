"""Small .tflite files made by hand, of which everything is known."""

import numpy as np

from tflite.flatbuffer import pack, unpack
from tflite.short_sums import shorten_sums


def write(path, function, *shapes, dtype="float32"):
    """Writes a function of tensors as a .tflite file. In a shape, `None` is open."""
    path.write_bytes(content(function, *shapes, dtype=dtype))
    return path


def content(function, *shapes, dtype="float32"):
    """The content of such a file."""
    import tensorflow as tf

    signature = [
        tf.TensorSpec(shape, dtype, name=f"image{place or ''}")
        for place, shape in enumerate(shapes)
    ]
    run = tf.function(function, input_signature=signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [run.get_concrete_function()], tf.Module()
    )
    return converter.convert()


def written(path, content):
    """The path, with the content there."""
    path.write_bytes(content)
    return path


def shortened(content):
    """The content of a file whose sums are short."""
    model = unpack(content)
    shorten_sums(model)
    return pack(model)


def weights(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def convolution(images):
    """One operation that the delegate takes."""
    import tensorflow as tf

    return tf.nn.conv2d(images, weights(3, 3, 4, 4), strides=1, padding="SAME")


def interrupted(images):
    """A convolution, a cumulative sum, which the delegate does not know, and a convolution."""
    import tensorflow as tf

    return convolution(tf.cumsum(convolution(images), axis=1))
