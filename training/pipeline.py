"""From a split to batches for Keras, with `tf.data` on every backend."""

import math
from typing import Any

from training.augmentation import Augmentation
from training.datasets.dataset import Split

CACHE_BYTES = 1 << 30
"""Resized images are kept in memory up to this size."""


def training_batches(
    split: Split,
    classes: int,
    image_shape: tuple[int, int, int],
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
) -> Any:
    """Returns augmented batches in a new order each epoch: pixels and one-hot labels.

    All batches have one size, since XLA compiles anew for every size. The few images
    that do not fill a batch are left out of an epoch, other ones in each.

    Args:
        split: The images.
        classes: Number of classes.
        image_shape: Height, width and channels that the model takes.
        batch_size: Images of a batch; fewer if the split has fewer.
        augmentation: What is done to each image.
        seed: Seed of the order and of the augmentation.
    """
    import tensorflow as tf

    def augment(pair: Any, seed: Any) -> Any:
        image, label = pair
        return augmentation(tf.cast(image, "float32"), seed), label

    images = _images(split, classes, image_shape, shuffle_seed=seed)
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    return (
        tf.data.Dataset.zip(images, seeds)
        .map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(min(batch_size, len(split)), drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def evaluation_batches(
    split: Split, classes: int, image_shape: tuple[int, int, int], batch_size: int
) -> Any:
    """Returns all images in the order of the split: pixels and one-hot labels."""
    import tensorflow as tf

    return (
        _images(split, classes, image_shape)
        .map(lambda image, label: (tf.cast(image, "float32"), label))
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def _images(
    split: Split,
    classes: int,
    image_shape: tuple[int, int, int],
    shuffle_seed: int | None = None,
) -> Any:
    """Returns the single images as uint8 pixels in `image_shape`, with one-hot labels."""
    import tensorflow as tf

    height, width, channels = image_shape

    def read(image: Any, label: Any) -> Any:
        if split.images.ndim == 1:
            image = tf.io.decode_image(tf.io.read_file(image), channels, expand_animations=False)
        if image.shape != image_shape:
            image = fill(image, height, width)
        return tf.ensure_shape(image, image_shape), tf.one_hot(label, classes)

    def shuffled(images: Any) -> Any:
        return images if shuffle_seed is None else images.shuffle(len(split), shuffle_seed)

    images = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
    if len(split) * math.prod(image_shape) <= CACHE_BYTES:
        return shuffled(images.map(read, num_parallel_calls=tf.data.AUTOTUNE).cache())
    # Paths are shuffled rather than images, which would not fit into memory.
    return shuffled(images).map(read, num_parallel_calls=tf.data.AUTOTUNE)


def fill(image: Any, height: int, width: int) -> Any:
    """Resizes a uint8 (H, W, C) image until it covers the size, and cuts its middle out."""
    import tensorflow as tf

    size = tf.cast(tf.shape(image)[:2], "float32")
    scale = tf.reduce_max(tf.constant([height, width], "float32") / size)
    # Without the small number, rounding errors of the product add a row.
    covering = tf.cast(tf.math.ceil(size * scale - 1e-3), "int32")
    image = tf.image.resize(image, covering, "bilinear", antialias=True)
    image = tf.image.resize_with_crop_or_pad(image, height, width)
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), "uint8")
