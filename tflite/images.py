"""Photographs to measure ranges and errors with."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.labelled_images import SUFFIXES

FEWEST = 8
"""Images that calibration needs at least."""


def list_images(folder: Path, argument: str = "calibrate", fewest: int = FEWEST) -> list[Path]:
    """Returns the image files in a folder and the folders inside, sorted.

    Args:
        folder: The folder.
        argument: What the user calls it.
        fewest: Images that there must be.

    Raises:
        ValueError: if there is no such folder, or fewer images in it.
    """
    if not folder.is_dir():
        raise ValueError(
            f"`{argument}` must be a folder of images. Received: {str(folder)!r}, which is none"
        )
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(found) < fewest:
        raise ValueError(
            f"`{argument}` must be a folder of at least {fewest} images like those the model will "
            f"see, better 100. Received: {str(folder)!r} with {len(found)}"
        )
    return found


def read_images(
    paths: list[Path],
    image_shape: tuple[int, int, int],
    crop_pct: float,
    count: int,
    seed: int = 0,
    argument: str = "calibrate",
    fewest: int = FEWEST,
) -> np.ndarray:
    """Returns a seeded choice of images as uint8 (N, H, W, C) pixels, cut as in evaluation.

    Broken images are passed over.

    Raises:
        ValueError: if fewer than `fewest` can be read.
    """
    from keras_poolformer.image_file import ImageError, read_image

    images: list[np.ndarray] = []
    broken: list[str] = []
    for index in np.random.default_rng(seed).permutation(len(paths)):
        if len(images) == count:
            break
        try:
            images.append(_cut(read_image(paths[index]), image_shape, crop_pct))
        except ImageError as error:
            broken.append(f"{paths[index]}: {error.reason}")
    if len(images) < fewest:
        raise ValueError(
            f"`{argument}` must be a folder of at least {fewest} images that can be read. "
            f"Received: {len(images)} images and {len(broken)} broken ones"
            + (f", the first {broken[0]}" if broken else "")
        )
    return np.stack(images)


def sample_images(image_shape: tuple[int, int, int], count: int = 16) -> np.ndarray:
    """Returns real photographs without a download: parts of the two inside scikit-learn.

    Args:
        image_shape: (height, width, channels) of the images.
        count: How many.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    draw = np.random.default_rng(0)

    def parts() -> Iterator[np.ndarray]:
        for index in range(count):
            photograph = photographs[index % len(photographs)]
            side = int(draw.integers(120, photograph.height))
            left = int(draw.integers(0, photograph.width - side))
            top = int(draw.integers(0, photograph.height - side))
            yield _cut(photograph.crop((left, top, left + side, top + side)), image_shape, 1.0)

    return np.stack(list(parts()))


def _cut(photograph: object, image_shape: tuple[int, int, int], crop_pct: float) -> np.ndarray:
    from keras_poolformer.transform import EvaluationTransform

    height, width, channels = image_shape
    pixels = EvaluationTransform(height, width, crop_pct)(photograph)
    if channels == 3:
        return pixels
    from PIL import Image

    grey = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    return np.repeat(grey, channels, axis=-1)
