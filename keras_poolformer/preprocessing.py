"""The normalisation of pixels, for models that do not do it themselves."""

from typing import Any

import keras
import numpy as np

from keras_poolformer.image_input import IMAGENET_MEAN, IMAGENET_STD
from keras_poolformer.layers.data_format import check_data_format


def preprocess_input(images: Any, data_format: str | None = None) -> Any:
    """Normalises RGB pixels with ImageNet's mean and deviation.

    Not for models made with `include_preprocessing=True`: they do it themselves,
    and twice would be wrong.

    Args:
        images: Pixels in [0, 255] of any numeric type: an array, a tensor, also in a
            `tf.data` pipeline on any backend, or a Keras tensor. One image of shape
            (H, W, 3) or a batch (B, H, W, 3); (3, H, W) or (B, 3, H, W) with
            `data_format="channels_first"`.
        data_format: `"channels_last"` or `"channels_first"`, by default that of
            Keras's configuration.

    Returns:
        The normalised images in float32, a new array for an array and a tensor for a
        tensor. `images` stay as they are.

    Raises:
        ValueError: if `images` have not the shape of RGB images.

    Example:
    >>> model = keras_poolformer.PoolFormerS12()
    >>> probabilities = model.predict(preprocess_input(pixels))
    >>> batches = dataset.map(lambda image, label: (preprocess_input(image), label))
    """
    layout = check_data_format(data_format or keras.config.image_data_format())
    is_tensor = keras.ops.is_tensor(images) or keras.backend.is_keras_tensor(images)
    # A tensor of a tf.data pipeline is foreign to the other backends.
    is_tensorflow = type(images).__module__.startswith("tensorflow.")
    if not is_tensor and not is_tensorflow:
        images = np.asarray(images)
    shape = _shape(images)
    axis = -1 if layout == "channels_last" else -3
    if shape is None or len(shape) not in (3, 4) or shape[axis] != 3:
        expected = "(H, W, 3) or (B, H, W, 3)" if axis == -1 else "(3, H, W) or (B, 3, H, W)"
        raise ValueError(
            f"`images` must be RGB images of shape {expected} for data_format={layout!r}. "
            f"Received: shape={'unknown' if shape is None else shape}"
        )
    vector = (3,) if axis == -1 else (3, 1, 1)
    mean = 255 * np.array(IMAGENET_MEAN, "float32").reshape(vector)
    std = 255 * np.array(IMAGENET_STD, "float32").reshape(vector)
    if is_tensorflow:
        import tensorflow as tf

        return (tf.cast(images, "float32") - mean) / std
    if is_tensor:
        pixels = keras.ops.cast(images, "float32")
        return keras.ops.divide(keras.ops.subtract(pixels, mean), std)
    return (images.astype("float32") - mean) / std


def normalize(pixels: np.ndarray) -> np.ndarray:
    """Normalises pixels for a model whose training is not known.

    Args:
        pixels: (N, H, W, C) pixels in [0, 255]. Where C is 3, they are RGB and ImageNet's
            mean and deviation are taken; otherwise something near them.
    """
    if pixels.shape[-1] == 3:
        return preprocess_input(pixels, "channels_last")
    return (pixels.astype("float32") - 127.5) / 63.75  # as good a guess as any


def _shape(images: Any) -> tuple[int | None, ...] | None:
    """Returns the shape as far as it is known; a tensor in `tf.data` may have no rank."""
    if getattr(images.shape, "rank", 0) is None:
        return None
    return tuple(images.shape)
