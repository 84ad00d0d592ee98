"""A data set of images with one class each, in three parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SPLIT_SEED = 0
"""Seed of every random split.

It is no option: training and verification must agree on the images that were
held out, and training runs with different seeds on what they are compared on.
"""


@dataclass(frozen=True)
class Split:
    """Images and their classes.

    Attributes:
        images: Their pixels, uint8 (N, H, W, C) in [0, 255], or the paths of their
            files, (N,).
        labels: Indices into the class names, (N,).
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """Returns the images at `indices`."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """Images for training, for the curves and for the final measurement.

    Attributes:
        name: What it is, for reports.
        class_names: Names of the classes, in the order of the labels.
        channels: 1 for grey images, 3 for RGB.
        train: What the model learns from.
        validation: What the curves show after every epoch.
        test: What the accuracy is measured on; never part of `train`.
    """

    name: str
    class_names: tuple[str, ...]
    channels: int
    train: Split
    validation: Split
    test: Split

    def limit(self, images: int) -> "Dataset":
        """Returns the data set with at most `images` training images.

        They are drawn at random, as evenly from all classes as can be.

        Raises:
            ValueError: if that is less than one image a class.
        """
        if images < len(self.class_names):
            raise ValueError(
                f"`limit` must be at least one image for each of the {len(self.class_names)} "
                f"classes. Received: {images}"
            )
        if images >= len(self.train):
            return self
        order = np.random.default_rng(SPLIT_SEED).permutation(len(self.train))
        labels = self.train.labels[order]
        place = np.empty(len(order), int)  # of an image among those of its class
        for label in np.unique(labels):
            place[labels == label] = np.arange(np.sum(labels == label))
        kept = order[np.argsort(place, kind="stable")[:images]]
        return replace(self, train=self.train.take(kept))


def split_off(split: Split, images: int) -> tuple[Split, Split]:
    """Splits `images` images off, at random and with the same share of every class.

    Returns:
        The rest, and what was split off.
    """
    from sklearn.model_selection import train_test_split

    rest, part = train_test_split(
        np.arange(len(split)), test_size=images, stratify=split.labels, random_state=SPLIT_SEED
    )
    return split.take(rest), split.take(part)


def load_dataset(data: str | Path) -> Dataset:
    """Returns the data set that `data` names.

    Args:
        data: `"digits"`, or the path of a folder.

    Raises:
        ValueError: if there is no such data set.
    """
    from training.datasets.digits import load_digits
    from training.datasets.folder import load_folder

    return load_digits() if str(data) == "digits" else load_folder(Path(data))
