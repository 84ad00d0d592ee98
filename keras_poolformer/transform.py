"""Photographs as the published accuracies were measured: resized, and cut in the middle."""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_poolformer.classifier import Classifier
from keras_poolformer.metaformer import find_metaformer
from keras_poolformer.variants import row_of

DEFAULT_SIZE = 224
"""Height and width for models that leave them open, in pixels."""

# Resized images beyond this many pixels are not made as a whole: the photograph is
# hundreds of times longer than wide, and would fill the memory.
_LARGEST = 1 << 26


@dataclass(frozen=True)
class EvaluationTransform:
    """Resizes a photograph with Pillow's bicubic filter and cuts out its middle.

    The photograph keeps its proportions. Its short side becomes
    floor(size / crop_pct) long, so `crop_pct` is the share of it that is left by
    the cut. Every pixel is that of timm's and torchvision's evaluation transforms.

    Args:
        height, width: Size of the result in pixels. If they differ, the photograph
            becomes as small as it can while it covers both sides.
        crop_pct: Share of the resized photograph's covering side that stays, in
            (0, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
    >>> transform = EvaluationTransform(224, 224, crop_pct=0.9)
    >>> transform(read_image("cat.jpg")).shape
    (224, 224, 3)
    """

    height: int
    width: int
    crop_pct: float = 1.0

    def __post_init__(self) -> None:
        for argument in ("height", "width"):
            value = getattr(self, argument)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{argument}` must be a positive integer. Received: {value!r}")
        if not 0 < self.crop_pct <= 1:
            raise ValueError(
                f"`crop_pct` must be above 0 and at most 1, such as 0.9. Received: {self.crop_pct}"
            )

    def __str__(self) -> str:
        height, width = self._target()
        size = f"short side to {height}" if height == width else f"to cover {height} x {width}"
        return (
            f"resized with bicubic, {size} pixels; the middle {self.height} x {self.width} "
            f"(crop_pct {self.crop_pct:g})"
        )

    def __call__(self, image: Any) -> np.ndarray:
        """Returns the uint8 (height, width, 3) pixels of a PIL image."""
        from PIL import Image

        if image.mode != "RGB":
            image = image.convert("RGB")
        rows, columns = self._resized(image.height, image.width)
        # As Python rounds: halves to the even number.
        top, left = round((rows - self.height) / 2), round((columns - self.width) / 2)
        if rows * columns > _LARGEST:
            y, x = image.height / rows, image.width / columns
            box = (left * x, top * y, (left + self.width) * x, (top + self.height) * y)
            return np.array(image.resize((self.width, self.height), Image.Resampling.BICUBIC, box))
        image = image.resize((columns, rows), Image.Resampling.BICUBIC)
        return np.array(image.crop((left, top, left + self.width, top + self.height)))

    def _target(self) -> tuple[int, int]:
        """The height and width that the resized photograph must cover."""
        return math.floor(self.height / self.crop_pct), math.floor(self.width / self.crop_pct)

    def _resized(self, rows: int, columns: int) -> tuple[int, int]:
        """The size of a resized photograph; the references round the two cases differently."""
        height, width = self._target()
        if height == width:
            short = min(rows, columns)
            return int(height * rows / short), int(width * columns / short)
        scale = min(rows / height, columns / width)
        return round(rows / scale), round(columns / scale)


def evaluation_transform(
    model: keras.Model, crop_pct: float | None = None, image_size: Any = None
) -> EvaluationTransform:
    """Returns the transform that the accuracy of a model is measured with.

    Args:
        model: A model that classifies photographs.
        crop_pct: Share of the resized short side that stays. By default the paper's
            for a PoolFormer, 0.9 for S12, S24 and S36 and 0.95 for M36 and M48, the
            official code's for the hybrids of the first paper, and 1.0 for the second
            generation and other architectures.
        image_size: Height and width, one number or two, for a model that leaves them
            open; 224 by default.

    Raises:
        ValueError: if the model takes no photographs, or not of this size.

    Example:
    >>> transform = evaluation_transform(keras_poolformer.PoolFormerM36())
    >>> str(transform)
    'resized with bicubic, short side to 235 pixels; the middle 224 x 224 (crop_pct 0.95)'
    """
    classifier = Classifier(model)
    height, width = _image_size(classifier.size, image_size)
    return EvaluationTransform(height, width, default_crop_pct(model, crop_pct))


def default_crop_pct(model: keras.Model, crop_pct: float | None = None) -> float:
    """Returns `crop_pct` or, where it is `None`, that of the builder's model, else 1.0."""
    if crop_pct is not None:
        return crop_pct
    row = row_of(find_metaformer(model))
    return 1.0 if row is None else row[0].variants[row[1]].crop_pct


def _image_size(size: tuple[int | None, int | None], image_size: Any) -> tuple[int, int]:
    if image_size is None:
        return size[0] or DEFAULT_SIZE, size[1] or DEFAULT_SIZE
    given = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size,) * 2
    if len(given) != 2 or not all(isinstance(side, int) and side > 0 for side in given):
        raise ValueError(
            "`image_size` must be a positive integer or two, height and width. "
            f"Received: {image_size!r}"
        )
    if any(side not in (None, wanted) for side, wanted in zip(size, given, strict=True)):
        raise ValueError(
            f"`image_size` must be that of the model, which takes images of {size[0]} x {size[1]} "
            f"pixels only. Received: {image_size!r}"
        )
    return given
