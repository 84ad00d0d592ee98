"""The picture of what an augmentation does to photographs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_poolformer.files import replacing
from keras_poolformer.transform import EvaluationTransform
from training.augmentation.augmentation import Augmentation

VERSIONS = 6
"""Augmented versions of each photograph."""

# In inches: a column of the grid, what is left free of it, and what is above and beside.
_CELL, _GAP, _HEAD, _LEFT = 1.3, 0.06, 0.75, 0.3


def save_sheet(
    path: Path,
    photographs: Sequence[np.ndarray],
    augmentation: Augmentation,
    image_size: int,
    seed: int,
) -> None:
    """Draws each photograph as in validation, augmented versions of it, and mixed ones.

    In the last row, images of the column above are mixed: by mixup and CutMix in turn,
    if the augmentation has both, and even if it mixes few batches. Under them are the
    weights of their labels. Noise beyond black and white is cut off.

    Args:
        path: The .png file to write.
        photographs: uint8 (H, W, 1) or (H, W, 3), each of its own size.
        augmentation: What to draw.
        image_size: Height and width that the model takes, in pixels.
        seed: Equal seeds give equal pictures.

    Raises:
        ValueError: if there are no photographs, or if RandAugment shall change grey ones.
    """
    from matplotlib.figure import Figure

    if not len(photographs):
        raise ValueError("`photographs` must be at least one image. Received: none")
    originals = [_as_in_validation(photograph, image_size) for photograph in photographs]
    versions = [
        [
            _augmented(photograph, original, augmentation, _seeds(seed, row, column))
            for column in range(VERSIONS)
        ]
        for row, (photograph, original) in enumerate(zip(photographs, originals, strict=True))
    ]
    mixed = _mixed(versions, augmentation, seed)

    rows = len(photographs)
    width = _LEFT + _CELL * (1 + VERSIONS)
    height = _HEAD + _CELL * rows + (_CELL + 0.7 if mixed else 0.1)
    figure = Figure(figsize=(width, height), dpi=120)

    def write(text: str, x: float, y: float, size: float = 9, color: str = "0.35") -> None:
        """Writes about a point, in inches from the left and from the top."""
        place = {"ha": "center", "va": "center"}
        figure.text(x / width, 1 - y / height, text, place, size=size, color=color)

    def show(image: np.ndarray, column: int, top: float) -> None:
        left, side = _LEFT + _CELL * column, _CELL - _GAP
        axes = figure.add_axes(
            (left / width, 1 - (top + side) / height, side / width, side / height)
        )
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="0.8", linewidth=0.5)  # white images have an end, too
        axes.imshow(np.clip(np.round(image), 0, 255).astype("uint8"), "gray", vmin=0, vmax=255)

    def middle(column: float) -> float:
        return _LEFT + _CELL * (column + 0.5) - _GAP / 2

    write("Training images, augmented", width / 2, 0.25, 13, "0")
    write("as in validation", middle(0), _HEAD - 0.14)
    write("augmented", middle((1 + VERSIONS) / 2), _HEAD - 0.14)
    for row, (original, line) in enumerate(zip(originals, versions, strict=True)):
        top = _HEAD + _CELL * row
        write(f"{row + 1}", _LEFT / 2, top + _CELL / 2, color="0")
        for column, image in enumerate([original, *line]):
            show(image, column, top)
    top = _HEAD + _CELL * rows + 0.35
    if mixed:
        write("mixed, of the\ncolumn above", middle(0), top + _CELL / 2)
    for column, (kind, image, weights) in enumerate(mixed, 1):
        write(kind, middle(column), top - 0.14)
        show(image, column, top)
        parts = [f"{weights[i]:.2f} of {i + 1}" for i in np.flatnonzero(weights)]
        write(", ".join(parts), middle(column), top + _CELL + 0.08, 8.5, "0")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _as_in_validation(photograph: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    channels = photograph.shape[-1]
    image = Image.fromarray(photograph[..., 0] if channels == 1 else photograph)
    return EvaluationTransform(size, size)(image)[..., :channels]


def _augmented(
    photograph: np.ndarray, original: np.ndarray, augmentation: Augmentation, seeds: np.ndarray
) -> np.ndarray:
    """A float32 training image, made as `TrainingPipeline` does it."""
    import tensorflow as tf

    size, _, channels = original.shape
    with tf.device("CPU:0"):  # the others may be another backend's
        image = tf.constant(original, tf.float32)
        if augmentation.crop_scale is not None:
            height, width, _ = photograph.shape
            top, left, rows, columns = augmentation.crop_window(height, width, seeds[0]).numpy()
            window = photograph[top : top + rows, left : left + columns]
            image = augmentation.resize(window, size, size, seeds[1])
            image = tf.ensure_shape(image, (size, size, channels))
        return augmentation.augment(image, seeds[2]).numpy()


def _mixed(
    versions: list[list[np.ndarray]], augmentation: Augmentation, seed: int
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """One image of each of some mixed batches: how it was mixed, pixels, and label."""
    import tensorflow as tf

    kinds = [kind for kind in ("mixup", "cutmix") if getattr(augmentation, kind)]
    # In the middle of an odd number is one that would be mixed with itself.
    mixable = [row for row in range(len(versions)) if row != len(versions) - 1 - row]
    if not (kinds and mixable and augmentation.mix_probability):
        return []
    images = []
    for column in range(VERSIONS):
        kind = kinds[column % len(kinds)]
        only = replace(augmentation, mix_probability=1.0, cutmix_share=float(kind == "cutmix"))
        row = mixable[column % len(mixable)]
        with tf.device("CPU:0"):
            batch = np.stack([line[column] for line in versions])
            labels = np.eye(len(versions), dtype="float32")
            pixels, weights = only.mix(
                tf.constant(batch), tf.constant(labels), _seeds(seed, len(versions), column)[0]
            )
        name = {"mixup": "mixup", "cutmix": "CutMix"}[kind]
        images.append((name, pixels[row].numpy(), weights[row].numpy()))
    return images


def _seeds(seed: int, row: int, column: int) -> np.ndarray:
    """Three seeds of two numbers."""
    generator = np.random.default_rng([seed, row, column])
    return generator.integers(-(2**31), 2**31, (3, 2)).astype("int32")
