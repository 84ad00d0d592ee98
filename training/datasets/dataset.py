"""A data set of images with one class each, in three parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.datasets.records import RecordSplit

SPLIT_SEED = 0
"""Seed of every random split.

It is no option: training and verification must agree on the images that were
held out, and training runs with different seeds on what they are compared on.
"""

TEST_SHARE = 0.2
"""Share of the images that is held out where nothing else says which."""


@dataclass(frozen=True)
class Split:
    """Images and their classes.

    Attributes:
        images: Their pixels, uint8 (N, H, W, C) in [0, 255]; or (N,) objects: the
            paths of their files, `str`, or the content of the files, `bytes`.
        labels: Indices into the class names, (N,).
        names: What to call images that have no path, (N,).
        tensorflow_reads: Whether TensorFlow decodes the file as Pillow does, bool
            (N,). `None` if nobody knows yet: then Pillow reads all files.
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray | None = None
    tensorflow_reads: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_pixels(self) -> bool:
        """Whether the images are decoded already."""
        return self.images.ndim == 4

    def name(self, index: int) -> str:
        """Returns what to call an image in a message."""
        if self.names is not None:
            return str(self.names[index])
        return f"image {index}" if self.has_pixels else str(self.images[index])

    def take(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """Returns the images at `indices`."""
        return Split(
            self.images[indices],
            self.labels[indices],
            None if self.names is None else self.names[indices],
            None if self.tensorflow_reads is None else self.tensorflow_reads[indices],
        )


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
    train: Split | RecordSplit
    validation: Split | RecordSplit
    test: Split | RecordSplit

    def counts(self) -> dict[str, int]:
        """Returns the number of images of each part."""
        return {part: len(getattr(self, part)) for part in ("train", "validation", "test")}

    def limit(self, images: int) -> "Dataset":
        """Returns the data set with at most `images` training images.

        They are drawn at random, as evenly from all classes as can be. Of a data set
        in record files, they are the first.

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
        if isinstance(self.train, RecordSplit):
            return replace(self, train=self.train.first(images))
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


def load_dataset(
    data: str | Path, *, data_dir: Path | None = None, download: bool = False
) -> Dataset:
    """Returns the data set that `data` names.

    Args:
        data: `"digits"`, the path of a folder, or the name of a data set in TensorFlow
            Datasets, such as `"imagenet2012"`. A folder that exists comes first.
        data_dir: Where TensorFlow Datasets keeps data sets; by default its own place.
        download: Whether TensorFlow Datasets may fetch and prepare what is not there.

    Raises:
        ValueError: if there is no such data set, or one of another kind.
        ImportError: if TensorFlow Datasets is needed and not installed.
    """
    from training.datasets.digits import load_digits
    from training.datasets.folder import load_folder
    from training.datasets.tfds import is_tfds_name, load_tfds

    if str(data) == "digits":
        return load_digits()
    if Path(data).exists() or not is_tfds_name(str(data)):
        return load_folder(Path(data))
    return load_tfds(str(data), data_dir, download)
