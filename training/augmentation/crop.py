"""The random resized crop: a window of random area and shape."""

import math
from typing import Any

TRIES = 10


def crop_window(
    height: Any, width: Any, seed: Any, scale: tuple[float, float], ratio: tuple[float, float]
) -> Any:
    """Returns the window [top, left, height, width] of a random crop, int32 (4,).

    Its area is uniform in `scale` times the image's, its width over its height
    log-uniform in `ratio`. Of ten tries the first that fits is taken; if none
    does, the largest window in the middle whose shape is in `ratio`.

    Reference: [Going Deeper with Convolutions](https://arxiv.org/abs/1409.4842),
        section 6; torchvision's `RandomResizedCrop`.
    """
    import tensorflow as tf

    rows, columns = tf.cast(height, "float32"), tf.cast(width, "float32")
    draws = tf.random.stateless_uniform((4, TRIES), seed)
    area = rows * columns * (scale[0] + draws[0] * (scale[1] - scale[0]))
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = tf.exp(low + draws[1] * (high - low))
    h, w = tf.round(tf.sqrt(area / shape)), tf.round(tf.sqrt(area * shape))
    fits = (h >= 1) & (w >= 1) & (h <= rows) & (w <= columns)
    top, left = tf.floor(draws[2] * (rows - h + 1)), tf.floor(draws[3] * (columns - w + 1))
    first = tf.argmax(fits, output_type="int32")
    tried = tf.stack([top[first], left[first], h[first], w[first]])

    whole = columns / rows
    h = tf.where(whole < ratio[0], tf.round(columns / ratio[0]), rows)
    w = tf.where(whole > ratio[1], tf.round(rows * ratio[1]), columns)
    h, w = tf.maximum(tf.minimum(h, rows), 1), tf.maximum(tf.minimum(w, columns), 1)
    middle = tf.stack([tf.floor((rows - h) / 2), tf.floor((columns - w) / 2), h, w])
    return tf.cast(tf.where(tf.reduce_any(fits), tried, middle), "int32")
