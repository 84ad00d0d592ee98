"""Data sets of TensorFlow Datasets that have images with one class each."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from keras_poolformer.optional import optional_import
from training.datasets.dataset import TEST_SHARE, Dataset, Split
from training.datasets.records import RecordSplit
from training.decoding import read_pixels

MEMORY_BYTES = 1 << 30
"""A data set is kept in memory up to this size of its files; small images as pixels."""

# name, name/config, name:version, but no namespace:name, which is a download.
_NAME = re.compile(r"[A-Za-z]\w*(/[\w.=,+-]+)*(:(\d+|\*)(\.(\d+|\*)){2})?")


def is_tfds_name(data: str) -> bool:
    """Returns whether `data` looks like the name of a data set, such as `"imagenet_v2"`."""
    return _NAME.fullmatch(data) is not None


def load_tfds(name: str, data_dir: Path | None = None, download: bool = False) -> Dataset:
    """Returns a data set of TensorFlow Datasets for training.

    Its `train` is learned from; `validation`, else `test`, else the last fifth of
    `train` is held out, and serves as validation and as test. What fits is read into
    memory as a whole. Larger ones are read from their record files in each epoch.

    Args:
        name: Its name, such as `"imagenet2012"` or `"imagenette/320px-v2"`.
        data_dir: Where data sets are kept; by default TensorFlow Datasets' own place.
        download: Whether to download and prepare what is not there. Nothing is
            fetched otherwise.

    Raises:
        ValueError: if there is no such data set, or not of this kind; the message
            says what to do.
        ImportError: if TensorFlow Datasets is not installed.
    """
    builder, features = open_builder(name, data_dir, download)
    image, splits = features["image"], builder.info.splits
    if image.shape[-1] not in (1, 3) or np.dtype(image.np_dtype) != np.uint8:
        raise ValueError(
            "`data` must have images with 1 or 3 channels and values of type uint8. "
            f"Received: {name!r} with {image}"
        )
    if "train" not in splits:
        raise ValueError(
            "`data` must have a split 'train' to learn from. "
            f"Received: {name!r}, which has {', '.join(sorted(splits))}"
        )
    held_out = next((split for split in ("validation", "test") if split in splits), None)
    train = RecordSplit(builder, "train", 0, splits["train"].num_examples)
    if held_out is not None:
        test = RecordSplit(builder, held_out, 0, splits[held_out].num_examples)
    else:
        cut = round(len(train) * (1 - TEST_SHARE))
        train, test = train.first(cut), RecordSplit(builder, "train", cut, len(train))
    used = {"train", held_out or "train"}
    fits = sum(splits[split].num_bytes for split in used) <= MEMORY_BYTES
    parts = [_into_memory(part, image.shape) if fits else part for part in (train, test)]
    class_names = tuple(features["label"].names)
    return Dataset(name, class_names, image.shape[-1], parts[0], parts[1], parts[1])


def open_builder(name: str, data_dir: Path | None, download: bool) -> tuple[Any, dict[str, Any]]:
    """Opens a prepared data set that has images with one class each.

    Args:
        name: Its name, such as `"imagenette/320px-v2"`.
        data_dir: Where data sets are kept; by default TensorFlow Datasets' own place.
        download: Whether to download and prepare what is not there.

    Returns:
        The builder, and its features by name, among them `image` and `label`.

    Raises:
        ValueError, ImportError: as of `load_tfds`.
    """
    tfds = optional_import(
        "tensorflow_datasets", f"to read {name!r}, which is no folder", "training"
    )
    builder = None
    try:
        where = {} if data_dir is None else {"data_dir": str(data_dir)}
        builder = tfds.builder(name, **where)
        if download:
            builder.download_and_prepare()
    except Exception as error:  # of any kind: it runs the data set's own code
        reason = str(error).strip().splitlines()
        raise ValueError(
            "`data` must be a folder, or the name of a data set in TensorFlow Datasets. "
            f"Received: {name!r}, which is no folder, and TensorFlow Datasets says: "
            f"{reason[0] if reason else type(error).__name__}{_manual_download(builder)}"
        ) from error
    if not builder.info.splits:
        raise ValueError(
            f"`data` must be prepared. Received: {name!r}, which is not in {builder.data_dir}. "
            "Pass --download to fetch and prepare it, or --data-dir with its place"
            f"{_manual_download(builder)}"
        )
    is_dict = isinstance(builder.info.features, tfds.features.FeaturesDict)
    features = dict(builder.info.features.items()) if is_dict else {}
    if not (
        isinstance(features.get("image"), tfds.features.Image)
        and isinstance(features.get("label"), tfds.features.ClassLabel)
    ):
        raise ValueError(
            "`data` must have the features 'image' and 'label', a class. "
            f"Received: {name!r} with {builder.info.features}"
        )
    return builder, features


def _manual_download(builder: Any) -> str:
    """What to do where the owner hands out the files in person only; empty for others."""
    instructions = getattr(builder, "MANUAL_DOWNLOAD_INSTRUCTIONS", None)
    if not instructions:
        return ""
    depth = len(builder.info.full_name.split("/"))
    root = Path(builder.data_dir).parents[depth - 1]
    folder = root / "downloads" / "manual"
    return (
        f". Its files must be downloaded by hand, into {folder}: "
        f"{' '.join(instructions.split())} Then give the same command with "
        f"--data-dir {root} --download, once, which prepares the data set from these files"
    )


def _into_memory(part: RecordSplit, shape: tuple[int | None, ...]) -> Split:
    """Reads a split: as pixels if all images have one size and fit, else as encoded files."""
    encoded, labels = [], []
    for image, label in part.in_order().as_numpy_iterator():
        encoded.append(image)
        labels.append(label)
    classes = np.array(labels, "int64")
    size = [side for side in shape if side is not None]
    if len(size) < len(shape) or len(part) * math.prod(size) > MEMORY_BYTES:
        files = np.empty(len(encoded), object)
        files[:] = encoded
        names = np.array([f"{part.split}[{part.start + i}]" for i in range(len(part))], object)
        return Split(files, classes, names)
    pixels = np.empty((len(part), *size), "uint8")
    for i, image in enumerate(encoded):
        pixels[i] = read_pixels(image, size[-1])
    return Split(pixels, classes)
