"""Random changes of training images, as pure functions of a seed in `tf.data`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.augmentation import crop, erasing, geometry, mixing, rand_augment
from training.fields import check_field, is_integer, is_number

INTERPOLATIONS = ("random", "bilinear", "bicubic")


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images; the defaults are the paper's.

    All randomness comes from the seeds, int32 (2,), so that equal seeds give equal
    images in every process and after every restart.

    Attributes:
        crop_scale: Range of the area of the random crop, over the image's; `None` for
            the whole image, cut as in validation.
        crop_ratio: Range of the width of the crop over its height.
        interpolation: `"bilinear"`, `"bicubic"`, or `"random"` for one of them.
        flip: Probability that an image is mirrored, left to right.
        rotation: Largest turn, in degrees either way.
        zoom: Largest relative change of size, either way.
        shift: Largest shift along each axis, in pixels.
        rand_augment: Operations of RandAugment that are drawn for an image.
        magnitude: Their mean magnitude, in [0, 10].
        magnitude_std: Its standard deviation.
        erasing: Probability that a box of the image is erased.
        mixup: Parameter of mixup's distribution Beta; 0 for no mixup.
        cutmix: The same of CutMix.
        mix_probability: Probability that a batch is mixed.
        cutmix_share: Probability of CutMix for a batch that is mixed.

    Raises:
        ValueError: if a value is out of its range.

    Reference: section 5.1 of [MetaFormer](https://arxiv.org/abs/2111.11418) and the
        authors' training script.
    """

    crop_scale: tuple[float, float] | None = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str = "random"
    flip: float = 0.5
    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    rand_augment: int = 2
    magnitude: float = 9.0
    magnitude_std: float = 0.5
    erasing: float = 0.25
    mixup: float = 0.8
    cutmix: float = 1.0
    mix_probability: float = 1.0
    cutmix_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("crop_scale", "crop_ratio"):
            value = getattr(self, name)
            if isinstance(value, list):  # as JSON has it
                object.__setattr__(self, name, tuple(value))
        self._check(
            "crop_scale",
            "two numbers above 0 and at most 1, the smaller first, such as (0.08, 1.0), or None",
            lambda v: v is None or (_is_range(v) and v[1] <= 1),
        )
        self._check(
            "crop_ratio",
            "two positive numbers, the smaller first, such as (0.75, 1.33)",
            _is_range,
        )
        self._check("interpolation", f"one of {INTERPOLATIONS}", lambda v: v in INTERPOLATIONS)
        for name in ("flip", "erasing", "mix_probability", "cutmix_share"):
            self._check(name, "a probability in [0, 1]", lambda v: _is_finite(v) and 0 <= v <= 1)
        self._check("zoom", "at least 0 and below 1", lambda v: _is_finite(v) and 0 <= v < 1)
        self._check(
            "magnitude",
            f"in [0, {rand_augment.LARGEST:g}]",
            lambda v: _is_finite(v) and 0 <= v <= rand_augment.LARGEST,
        )
        for name in ("rotation", "shift", "magnitude_std", "mixup", "cutmix"):
            self._check(name, "a number, 0 or more", lambda v: _is_finite(v) and v >= 0)
        self._check(
            "rand_augment",
            "an integer in [0, 16], the operations drawn for an image",
            lambda v: is_integer(v) and 0 <= v <= 16,
        )

    def _check(self, name: str, wanted: str, is_right: Callable[[Any], bool]) -> None:
        check_field(self, name, wanted, is_right, prefix="augmentation.")

    def check_channels(self, channels: int) -> None:
        """Makes sure that images of so many channels can be changed.

        Raises:
            ValueError: if RandAugment, which changes colours, shall change others than RGB.
        """
        if self.rand_augment and channels != 3:
            raise ValueError(
                "`augmentation.rand_augment` must be 0 for images that are not RGB. "
                f"Received: {self.rand_augment} for {channels} channels"
            )

    def crop_window(self, height: Any, width: Any, seed: Any) -> Any:
        """Returns the window [top, left, height, width] of the random crop, int32 (4,).

        Args:
            height: Height of the image, an integer tensor.
            width: Its width, likewise.
            seed: int32 (2,).

        Raises:
            ValueError: if there is no random crop.
        """
        if self.crop_scale is None:
            raise ValueError("`augmentation.crop_scale` must not be None for a random crop")
        return crop.crop_window(height, width, seed, self.crop_scale, self.crop_ratio)

    def resize(self, image: Any, height: int, width: int, seed: Any) -> Any:
        """Resizes an image, with antialiasing, to whole numbers in [0, 255].

        The values are within one of Pillow's. Where a bicubic curve overshoots black or
        white they differ by more (at 0.03 % of the values of photographs), since Pillow
        clips them between its two passes.

        Args:
            image: (H, W, C) in [0, 255], of any type.
            height: Height of the result.
            width: Its width.
            seed: int32 (2,). Draws the interpolation if it is `"random"`.

        Returns:
            float32 (height, width, C).
        """
        import tensorflow as tf

        def resized(method: str) -> Any:
            return tf.image.resize(image, (height, width), method, antialias=True)

        if self.interpolation == "random":
            is_first = tf.random.stateless_uniform((), seed) < 0.5
            result = tf.cond(is_first, lambda: resized("bilinear"), lambda: resized("bicubic"))
        else:
            result = resized(self.interpolation)
        return tf.clip_by_value(tf.round(result), 0, 255)

    def augment(self, image: Any, seed: Any) -> Any:
        """Changes one image.

        Args:
            image: float32 (H, W, C) in [0, 255], of static shape.
            seed: int32 (2,).

        Returns:
            An image of that shape. Only in an erased box are values outside [0, 255].

        Raises:
            ValueError: if RandAugment shall change an image that is not RGB.
        """
        import tensorflow as tf

        seeds = tf.random.split(seed, 4)
        if self.flip:
            is_flipped = tf.random.stateless_uniform((), seeds[0]) < self.flip
            image = tf.cond(is_flipped, lambda: tf.reverse(image, [1]), lambda: image)
        if self.rotation or self.zoom or self.shift:
            draws = tf.random.stateless_uniform((4,), seeds[1], -1, 1)
            image = geometry.random_affine(image, draws, self.rotation, self.zoom, self.shift)
        if self.rand_augment:
            self.check_channels(image.shape[-1])
            image = rand_augment.rand_augment(
                tf.round(image),
                seeds[2],
                self.rand_augment,
                self.magnitude,
                self.magnitude_std,
                self.interpolation,
            )
        if self.erasing:
            image = erasing.erase(image, seeds[3], self.erasing)
        return image

    def mix(self, images: Any, labels: Any, seed: Any) -> tuple[Any, Any]:
        """Mixes the images of a batch, and their labels.

        Each image is mixed with its mirror in the batch: the first with the last, and so
        on. What is drawn depends on the seed and on the size of the images alone.

        Args:
            images: float32 (B, H, W, C).
            labels: One-hot, float32 (B, classes).
            seed: int32 (2,).
        """
        return mixing.mix(
            images,
            labels,
            seed,
            self.mixup,
            self.cutmix,
            self.mix_probability,
            self.cutmix_share,
        )


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(_is_finite(bound) for bound in value)
        and 0 < value[0] <= value[1]
    )
