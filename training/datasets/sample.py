"""Single images to look at."""

import itertools

import numpy as np

from training.datasets.dataset import Split
from training.datasets.records import RecordSplit
from training.decoding import read_pixels


def sample_photographs(
    split: Split | RecordSplit, images: int, seed: int, channels: int = 3
) -> list[np.ndarray]:
    """Returns some images at their own sizes: uint8 (H, W, channels) in [0, 255].

    Args:
        split: Where they come from.
        images: How many to draw; fewer if the split has fewer.
        seed: Which ones.
        channels: 1 for grey images, 3 for RGB. Pixels in memory stay as they are.

    Raises:
        ImageError: a `ValueError`, if one is broken.
    """
    if isinstance(split, RecordSplit):
        encoded = itertools.islice(split.shuffled(seed, 0).as_numpy_iterator(), images)
        return [read_pixels(image, channels) for image, _ in encoded]
    chosen = split.images[np.random.default_rng(seed).permutation(len(split))[:images]]
    return list(chosen) if split.has_pixels else [read_pixels(file, channels) for file in chosen]
