"""Random changes of training images, as stateless functions of a seed in `tf.data`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Augmentation = Callable[[Any, Any], Any]
"""Maps a float (H, W, C) image and a (2,) integer seed to an image of that shape."""


@dataclass(frozen=True)
class RandomAffine:
    """Turns, scales and shifts an image, and fills with zeros from outside.

    Attributes:
        degrees: Largest turn, either way.
        zoom: Largest relative change of size, either way.
        shift: Largest shift along each axis, in pixels.
    """

    degrees: float
    zoom: float
    shift: float

    def __call__(self, image: Any, seed: Any) -> Any:
        import tensorflow as tf

        height, width, channels = image.shape
        draws = tf.random.stateless_uniform((4,), seed, minval=-1.0, maxval=1.0)
        angle = draws[0] * math.radians(self.degrees)
        scale = 1 + draws[1] * self.zoom
        cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
        # The pixel (x, y) of the result shows the point (cos x - sin y + dx, sin x + cos y + dy)
        # of the image; dx and dy keep the centre in its place, but for the shift.
        x, y = (width - 1) / 2, (height - 1) / 2
        dx = x - cos * x + sin * y + draws[2] * self.shift
        dy = y - sin * x - cos * y + draws[3] * self.shift
        changed = tf.raw_ops.ImageProjectiveTransformV3(
            images=image[None],
            transforms=tf.stack([cos, -sin, dx, sin, cos, dy, 0.0, 0.0])[None],
            output_shape=[height, width],
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
            fill_value=0.0,
        )
        return tf.ensure_shape(changed[0], (height, width, channels))


@dataclass(frozen=True)
class CropAndFlip:
    """Shifts an image by some pixels, mirroring it at its border, and flips half of all.

    Attributes:
        shift: Largest shift along each axis, over the image's size.
    """

    shift: float

    def __call__(self, image: Any, seed: Any) -> Any:
        import tensorflow as tf

        height, width, channels = image.shape
        rows, columns = round(height * self.shift), round(width * self.shift)
        crop_seed, flip_seed = tf.unstack(tf.random.split(seed, 2))
        image = tf.pad(image, [(rows, rows), (columns, columns), (0, 0)], "REFLECT")
        image = tf.image.stateless_random_crop(image, (height, width, channels), crop_seed)
        return tf.image.stateless_random_flip_left_right(image, flip_seed)
