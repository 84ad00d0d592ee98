"""Affine changes of an image, as Pillow and timm define them."""

import math
from collections.abc import Callable
from typing import Any

from keras_poolformer.image_input import IMAGENET_MEAN

FILL = tuple(min(255, round(255 * mean)) for mean in IMAGENET_MEAN)
"""What comes in from outside: ImageNet's mean colour, as in timm."""

_ALMOST = 1e-3
"""Added before values are cut to whole numbers, so that 127.99999 is 128 as in Pillow."""


def rotate(image: Any, degrees: Any, is_bicubic: Any) -> Any:
    """Turns an RGB image counterclockwise about its middle."""
    import tensorflow as tf

    angle = degrees * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    matrix = _centered(image, (cos, -sin, sin, cos))
    return _warp(image, matrix, is_bicubic, _bicubic)


def shear_x(image: Any, factor: Any, is_bicubic: Any) -> Any:
    """Shifts each row of an RGB image by `factor` times its number; the first stays."""
    import tensorflow as tf

    # Of pixel centres, which are half a pixel from their numbers.
    matrix = tf.stack([1.0, factor, factor / 2, 0.0, 1.0, 0.0])
    return _warp(image, matrix, is_bicubic, _bicubic_in_rows)


def shear_y(image: Any, factor: Any, is_bicubic: Any) -> Any:
    """Shifts each column of an RGB image by `factor` times its number; the first stays."""
    import tensorflow as tf

    matrix = tf.stack([1.0, 0.0, 0.0, factor, 1.0, factor / 2])
    return _warp(image, matrix, is_bicubic, _bicubic_in_columns)


def translate_x(image: Any, pixels: Any, is_bicubic: Any) -> Any:
    """Shows what is some pixels to the right in an RGB image."""
    import tensorflow as tf

    matrix = tf.stack([1.0, 0.0, pixels, 0.0, 1.0, 0.0])
    return _warp(image, matrix, is_bicubic, _bicubic_in_rows)


def translate_y(image: Any, pixels: Any, is_bicubic: Any) -> Any:
    """Shows what is some pixels below in an RGB image."""
    import tensorflow as tf

    matrix = tf.stack([1.0, 0.0, 0.0, 0.0, 1.0, pixels])
    return _warp(image, matrix, is_bicubic, _bicubic_in_columns)


def random_affine(image: Any, draws: Any, degrees: float, zoom: float, shift: float) -> Any:
    """Turns, scales and shifts an image, and fills with zeros from outside.

    It is not Pillow's: values are not cut to whole numbers, and the border fades out.

    Args:
        image: float32 (H, W, C) of static shape.
        draws: Four numbers in [-1, 1).
        degrees: Largest turn, either way.
        zoom: Largest relative change of size, either way.
        shift: Largest shift along each axis, in pixels.
    """
    import tensorflow as tf

    angle, scale = draws[0] * math.radians(degrees), 1 + draws[1] * zoom
    cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
    matrix = _centered(image, (cos, -sin, sin, cos))
    matrix += tf.stack([0, 0, draws[2] * shift, 0, 0, draws[3] * shift])
    return _bilinear(image, matrix, "CONSTANT")


def _centered(image: Any, matrix: tuple[Any, Any, Any, Any]) -> Any:
    """The six numbers of a linear map that keeps the middle of the image."""
    import tensorflow as tf

    height, width, _ = image.shape
    x, y = (width - 1) / 2, (height - 1) / 2
    a, b, c, d = matrix
    return tf.stack([a, b, x - a * x - b * y, c, d, y - c * x - d * y])


def _warp(image: Any, matrix: Any, is_bicubic: Any, bicubic: Callable[[Any, Any, Any], Any]) -> Any:
    """The image whose pixel (x, y) shows the point `matrix` @ (x, y, 1).

    Equal to Pillow's: what is less than half a pixel outside is interpolated from the
    border, what is farther is `FILL`, and fractions of a grey level are cut off.

    Args:
        image: float32 (H, W, 3) of static shape.
        matrix: Six numbers, row by row.
        is_bicubic: Boolean tensor; False for bilinear.
        bicubic: Interpolates the image at the points x and y, each (H, W).
    """
    import tensorflow as tf

    height, width, _ = image.shape
    a, b, c, d, e, f = tf.unstack(tf.cast(matrix, tf.float32))
    columns = tf.range(width, dtype=tf.float32)[None]
    rows = tf.range(height, dtype=tf.float32)[:, None]
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    changed = tf.cond(
        is_bicubic, lambda: bicubic(image, x, y), lambda: _bilinear(image, matrix, "NEAREST")
    )
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    changed = tf.floor(tf.clip_by_value(changed, 0, 255) + _ALMOST)
    return tf.where(inside[..., None], changed, tf.constant(FILL, tf.float32))


def _bilinear(image: Any, matrix: Any, outside: str) -> Any:
    """`outside`: "CONSTANT" for zeros, "NEAREST" for the border."""
    import tensorflow as tf

    changed = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.concat([matrix, [0.0, 0.0]], 0)[None],
        output_shape=image.shape[:2],
        interpolation="BILINEAR",
        fill_mode=outside,
        fill_value=0.0,
    )[0]
    return tf.ensure_shape(changed, image.shape)


def _bicubic(image: Any, x: Any, y: Any) -> Any:
    """TensorFlow has no bicubic warp: sixteen pixels are gathered for each."""
    left, columns = _taps(x, image.shape[1])
    top, rows = _taps(y, image.shape[0])
    return sum(
        row_weight
        * sum(weight * _gather(image, top(row), left(column)) for column, weight in columns)
        for row, row_weight in rows
    )


def _bicubic_in_rows(image: Any, x: Any, y: Any) -> Any:
    """For whole numbers y: four pixels are enough."""
    import tensorflow as tf

    left, columns = _taps(x, image.shape[1])
    row = tf.clip_by_value(tf.cast(y, tf.int32), 0, image.shape[0] - 1)
    return sum(weight * _gather(image, row, left(column)) for column, weight in columns)


def _bicubic_in_columns(image: Any, x: Any, y: Any) -> Any:
    """For whole numbers x."""
    import tensorflow as tf

    top, rows = _taps(y, image.shape[0])
    column = tf.clip_by_value(tf.cast(x, tf.int32), 0, image.shape[1] - 1)
    return sum(weight * _gather(image, top(row), column) for row, weight in rows)


def _taps(position: Any, size: int) -> tuple[Callable[[int], Any], list[tuple[int, Any]]]:
    """The four neighbours of points along an axis, and their weights.

    The weights are Pillow's for transformations, with a slope of -1 at the next pixel;
    for resizing it takes -1/2.
    """
    import tensorflow as tf

    first = tf.floor(position)
    d = (position - first)[..., None]
    first = tf.cast(first, tf.int32)
    weights = (
        d * (d * (2 - d) - 1),
        d * d * (d - 2) + 1,
        d * (d * (1 - d) + 1),
        d * d * (d - 1),
    )

    def neighbour(offset: int) -> Any:
        return tf.clip_by_value(first + offset, 0, size - 1)

    return neighbour, list(zip((-1, 0, 1, 2), weights, strict=True))


def _gather(image: Any, rows: Any, columns: Any) -> Any:
    import tensorflow as tf

    height, width, channels = image.shape
    return tf.gather(tf.reshape(image, (height * width, channels)), rows * width + columns)
