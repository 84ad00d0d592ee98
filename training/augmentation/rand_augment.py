"""RandAugment as the paper uses it: timm's `rand-m9-mstd0.5-inc1`.

An operation is drawn from fifteen, applied with probability 1/2 and a magnitude of
normal distribution, and so again. All but three grow with the magnitude.
"""

from collections.abc import Callable
from typing import Any

from training.augmentation import geometry, pixel_operations

PROBABILITY = 0.5
LARGEST = 10.0
"""Magnitudes lie in [0, 10]."""

Operation = Callable[[Any, Any, Any, Any], Any]
"""Takes the image, the magnitude over the largest, a sign, -1 or 1, and whether the
interpolation is bicubic; the last three are tensors without axes."""


def _factor(level: Any, sign: Any) -> Any:
    import tensorflow as tf

    return tf.maximum(0.1, 1 + sign * 0.9 * level)


def _whole(value: Any) -> Any:
    import tensorflow as tf

    return tf.floor(value)


def _bits(level: Any) -> Any:
    import tensorflow as tf

    return 4 - tf.cast(tf.floor(4 * level), tf.int32)


OPERATIONS: dict[str, Operation] = {
    "AutoContrast": lambda x, m, s, b: pixel_operations.auto_contrast(x),
    "Equalize": lambda x, m, s, b: pixel_operations.equalize(x),
    "Invert": lambda x, m, s, b: 255 - x,
    "Rotate": lambda x, m, s, b: geometry.rotate(x, 30 * m * s, b),
    "PosterizeIncreasing": lambda x, m, s, b: pixel_operations.posterize(x, _bits(m)),
    "SolarizeIncreasing": lambda x, m, s, b: pixel_operations.solarize(x, 256 - _whole(256 * m)),
    "SolarizeAdd": lambda x, m, s, b: pixel_operations.solarize_add(x, _whole(110 * m)),
    "ColorIncreasing": lambda x, m, s, b: pixel_operations.color(x, _factor(m, s)),
    "ContrastIncreasing": lambda x, m, s, b: pixel_operations.contrast(x, _factor(m, s)),
    "BrightnessIncreasing": lambda x, m, s, b: pixel_operations.brightness(x, _factor(m, s)),
    "SharpnessIncreasing": lambda x, m, s, b: pixel_operations.sharpness(x, _factor(m, s)),
    "ShearX": lambda x, m, s, b: geometry.shear_x(x, 0.3 * m * s, b),
    "ShearY": lambda x, m, s, b: geometry.shear_y(x, 0.3 * m * s, b),
    "TranslateXRel": lambda x, m, s, b: geometry.translate_x(x, 0.45 * m * s * x.shape[1], b),
    "TranslateYRel": lambda x, m, s, b: geometry.translate_y(x, 0.45 * m * s * x.shape[0], b),
}
"""By timm's names."""


def draw(
    seed: Any, operations: int, magnitude: float, deviation: float, interpolation: str
) -> tuple[Any, Any, Any, Any]:
    """Returns what is done to an image, `operations` times.

    Args:
        seed: int32 (2,).
        operations: How many are drawn.
        magnitude: Mean of the magnitudes, in [0, 10].
        deviation: Their standard deviation, before they are clipped to [0, 10].
        interpolation: `"bilinear"`, `"bicubic"`, or `"random"` for one of them.

    Returns:
        The numbers of the operations, int32, with `len(OPERATIONS)` for none; their
        magnitudes over the largest, and signs, float32; whether each is bicubic.
    """
    import tensorflow as tf

    seeds = tf.random.split(seed, 2)
    uniform = tf.random.stateless_uniform((4, operations), seeds[0])
    normal = tf.random.stateless_normal((operations,), seeds[1])
    chosen = tf.cast(uniform[0] * len(OPERATIONS), tf.int32)
    chosen = tf.where(uniform[1] < PROBABILITY, chosen, len(OPERATIONS))
    level = tf.clip_by_value(magnitude + deviation * normal, 0, LARGEST) / LARGEST
    sign = tf.where(uniform[2] < 0.5, -1.0, 1.0)
    share = {"bilinear": 0.0, "random": 0.5, "bicubic": 1.0}[interpolation]
    return chosen, level, sign, uniform[3] < share


def rand_augment(
    image: Any,
    seed: Any,
    operations: int,
    magnitude: float,
    deviation: float,
    interpolation: str = "random",
) -> Any:
    """Changes an image by random operations.

    Args:
        image: float32 (H, W, 3) of whole numbers in [0, 255] and of static shape.
        seed: int32 (2,).
        operations: How many are drawn.
        magnitude: Mean of the magnitudes, in [0, 10].
        deviation: Their standard deviation.
        interpolation: Of the geometric operations.

    Returns:
        Whole numbers in [0, 255].

    Reference: [RandAugment](https://arxiv.org/abs/1909.13719).
    """
    import tensorflow as tf

    shape = image.shape
    chosen, level, sign, is_bicubic = draw(seed, operations, magnitude, deviation, interpolation)
    for index in range(operations):
        branches = [
            lambda operation=operation, x=image, i=index: operation(
                x, level[i], sign[i], is_bicubic[i]
            )
            for operation in OPERATIONS.values()
        ]
        # Only the operation that was drawn runs.
        image = tf.switch_case(chosen[index], [*branches, lambda x=image: x])
        image = tf.ensure_shape(image, shape)
    return image
