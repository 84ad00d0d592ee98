"""The operations of RandAugment on the values of pixels, equal to Pillow's.

All take and return float32 (H, W, C) pixels, whole numbers in [0, 255].

keras-cv supplies what it does right, measured on photographs against Pillow 13:
posterising and solarising (no difference), automatic contrast (at most one grey level,
at 1 % of the values, where Pillow's rounding errs). Nothing else imports it. Written
here is what it does otherwise:

- equalising takes the rarest value for the last one: up to 4 levels off;
- contrast moves each channel about its own mean, not about the mean grey: up to 36;
- colour and sharpness do not round the grey and the blurred image: up to 1.4;
- brightness is added, not multiplied.

keras-cv's layers are called with their arguments, not through their own drawing of
random numbers, which has a state: a training that goes on after an interruption must
draw the same ones again.
"""

import functools
from typing import Any

# Pillow's weights of the colours in a grey image, ITU-R 601-2, over 65536.
_GREY = (19595 / 65536, 38470 / 65536, 7471 / 65536)

_ALMOST = 1e-3
"""Added before values are cut to whole numbers, so that 127.99999 is 128 as in Pillow."""


@functools.cache
def _keras_cv_layer(name: str, **arguments: Any) -> Any:
    """A layer of keras-cv; importing it takes seconds, and it talks."""
    from keras_poolformer.optional import optional_import
    from training.quiet import quiet

    with quiet():
        layers = optional_import("keras_cv", "for RandAugment", "training").layers
    # By default layers have the precision of the model, which is no matter of pixels.
    return getattr(layers, name)(value_range=(0, 255), dtype="float32", **arguments)


def auto_contrast(image: Any) -> Any:
    """Stretches each channel to [0, 255]."""
    import tensorflow as tf

    stretched = _keras_cv_layer("AutoContrast").augment_images(image[None])[0]
    return tf.floor(stretched + _ALMOST)


def posterize(image: Any, bits: Any) -> Any:
    """Keeps the first `bits` bits, an integer tensor in [0, 4], of each value."""
    import tensorflow as tf

    # keras-cv takes a fixed number of bits, from 1. None at all leaves a black image.
    branches = [lambda: tf.zeros_like(image)]
    branches += [functools.partial(_posterized, image, number) for number in range(1, 5)]
    return tf.switch_case(bits, branches)


def _posterized(image: Any, bits: int) -> Any:
    return _keras_cv_layer("Posterization", bits=bits).augment_image(image)


def solarize(image: Any, threshold: Any) -> Any:
    """Inverts the values from `threshold` on, a number in [0, 256]."""
    return _keras_cv_layer("Solarization").augment_images(
        image[None], transformations={"thresholds": threshold, "additions": 0.0}
    )[0]


def solarize_add(image: Any, addition: Any) -> Any:
    """Adds to the values below 128, up to 255."""
    import tensorflow as tf

    return tf.where(image < 128, tf.minimum(image + addition, 255), image)


def equalize(image: Any) -> Any:
    """Spreads the values of each channel so that all are about equally frequent."""
    import tensorflow as tf

    def channel(values: Any) -> Any:
        histogram = tf.math.bincount(values, minlength=256, maxlength=256)
        used = tf.boolean_mask(histogram, histogram > 0)
        step = (tf.reduce_sum(histogram) - used[-1]) // 255
        table = (tf.cumsum(histogram, exclusive=True) + step // 2) // tf.maximum(step, 1)
        table = tf.where(step > 0, tf.minimum(table, 255), tf.range(256))
        return tf.gather(tf.cast(table, tf.float32), values)

    channels = tf.unstack(tf.cast(image, tf.int32), axis=-1)
    return tf.stack([channel(values) for values in channels], -1)


def color(image: Any, factor: Any) -> Any:
    """Makes the colours of an RGB image weaker (factor below 1) or stronger."""
    return _blend(_grey(image), image, factor)


def contrast(image: Any, factor: Any) -> Any:
    """Moves all values to (factor below 1) or from the mean grey of an RGB image."""
    import tensorflow as tf

    return _blend(tf.floor(tf.reduce_mean(_grey(image)) + 0.5), image, factor)


def brightness(image: Any, factor: Any) -> Any:
    """Makes an image darker (factor below 1) or brighter."""
    return _blend(0.0, image, factor)


def sharpness(image: Any, factor: Any) -> Any:
    """Blurs (factor below 1) or sharpens; the outermost pixels stay."""
    import tensorflow as tf

    height, width, channels = image.shape
    if height < 3 or width < 3:
        return image
    kernel = tf.constant([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    kernel = tf.tile(kernel[:, :, None, None], (1, 1, channels, 1))
    inner = image[1:-1, 1:-1]
    blurred = tf.nn.depthwise_conv2d(image[None], kernel, (1, 1, 1, 1), "VALID")[0]
    blurred = tf.floor(tf.clip_by_value(blurred + 0.5, 0, 255))
    change = tf.pad(_blend(blurred, inner, factor) - inner, ((1, 1), (1, 1), (0, 0)))
    return image + change


def _grey(image: Any) -> Any:
    import tensorflow as tf

    return tf.floor(tf.tensordot(image, tf.constant(_GREY), 1) + 0.5)[..., None]


def _blend(first: Any, second: Any, factor: Any) -> Any:
    """Goes from `first` (factor 0) to `second` (1) and beyond, cut to whole numbers."""
    import tensorflow as tf

    return tf.floor(tf.clip_by_value(first + factor * (second - first), 0, 255) + _ALMOST)
