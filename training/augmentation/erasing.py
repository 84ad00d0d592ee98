"""Random erasing: a box of the image becomes noise."""

import math
from collections.abc import Sequence
from typing import Any

from keras_poolformer.image_input import IMAGENET_MEAN, IMAGENET_STD

AREA = (0.02, 1 / 3)
ASPECT = (0.3, 1 / 0.3)
TRIES = 10


def erasing_box(height: int, width: int, seed: Any) -> Any:
    """Returns the box [top, left, height, width], int32 (4,); of height 0 if none fits.

    Its share of the area is uniform in [0.02, 1/3], its height over its width
    log-uniform in [0.3, 1/0.3]. Of ten tries the first that fits is taken.
    """
    import tensorflow as tf

    draws = tf.random.stateless_uniform((4, TRIES), seed)
    area = height * width * (AREA[0] + draws[0] * (AREA[1] - AREA[0]))
    low, high = math.log(ASPECT[0]), math.log(ASPECT[1])
    aspect = tf.exp(low + draws[1] * (high - low))
    h, w = tf.round(tf.sqrt(area * aspect)), tf.round(tf.sqrt(area / aspect))
    fits = (h < height) & (w < width)
    first = tf.argmax(fits, output_type="int32")
    top, left = tf.floor(draws[2] * (height - h + 1)), tf.floor(draws[3] * (width - w + 1))
    box = tf.stack([top[first], left[first], h[first], w[first]])
    return tf.cast(tf.where(tf.reduce_any(fits), box, tf.zeros_like(box)), "int32")


def erase(image: Any, seed: Any, probability: float) -> Any:
    """Puts noise into a box of an image, with a probability.

    The noise is normal after ImageNet's normalisation, so it is not bound to
    [0, 255]; for images of other than three channels it has the means of the
    three.

    Args:
        image: float32 (H, W, C) in [0, 255], of static shape.
        seed: int32 (2,).
        probability: In [0, 1].

    Reference: [Random Erasing Data Augmentation](https://arxiv.org/abs/1708.04896);
        timm's mode "pixel".
    """
    import tensorflow as tf

    height, width, channels = image.shape
    mean: Sequence[float] = IMAGENET_MEAN
    deviation: Sequence[float] = IMAGENET_STD
    if channels != 3:
        mean, deviation = [sum(mean) / 3], [sum(deviation) / 3]
    seeds = tf.random.split(seed, 3)

    def erased() -> Any:
        top, left, h, w = tf.unstack(erasing_box(height, width, seeds[1]))
        noise = tf.random.stateless_normal(image.shape, seeds[2])
        noise = 255 * (noise * tf.constant(deviation, "float32") + tf.constant(mean, "float32"))
        rows, columns = tf.range(height), tf.range(width)
        inside = ((rows >= top) & (rows < top + h))[:, None] & (
            (columns >= left) & (columns < left + w)
        )[None]
        return tf.where(inside[..., None], noise, image)

    return tf.cond(tf.random.stateless_uniform((), seeds[0]) < probability, erased, lambda: image)
