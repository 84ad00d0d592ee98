"""Labelled images of TensorFlow Datasets, read as the files that they are."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.class_labels import Labels, match
from training.datasets.records import read_records
from training.datasets.tfds import is_tfds_name as is_tfds_name
from training.datasets.tfds import open_builder
from training.labelled_images import LabelledImage, LabelledImages


def read_tfds(
    name: str,
    labels: Labels | None,
    outputs: int,
    split: str | None = None,
    limit: int | None = None,
    data_dir: Path | None = None,
    download: bool = False,
) -> LabelledImages:
    """Opens a data set of TensorFlow Datasets that has images with one class each.

    The images are decoded with Pillow, like those of a folder: TensorFlow decodes
    JPEG a little differently.

    Args:
        name: Its name, such as `"imagenette/320px-v2"`.
        labels: Labels of the model, or `None` if the data set names its outputs.
        outputs: Number of outputs of the model.
        split: Such as `"validation"` or `"train[:10%]"`. By default `"validation"`,
            else `"test"`.
        limit: Take only this many images, the first.
        data_dir: Where data sets are kept; by default TensorFlow Datasets' own place.
        download: Whether to download and prepare what is not there. Nothing is
            fetched otherwise.

    Raises:
        ValueError: if there is no such data set, or not of this kind; the message
            says what to do.
        ImportError: if TensorFlow Datasets is not installed.
    """
    builder, features = open_builder(name, data_dir, download)
    labels, indices = match(features["label"].names, labels, outputs)
    split = split or next((s for s in ("validation", "test") if s in builder.info.splits), None)
    try:
        count = builder.info.splits[split].num_examples
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"`split` must be one of {', '.join(sorted(builder.info.splits))}, or a part of one. "
            f"Received: {split!r}"
        ) from error
    images = _Images(builder, str(split), indices, limit)
    count = count if limit is None else min(count, limit)
    return LabelledImages(f"{name}, {split}", labels, len(indices), images, count)


@dataclass(frozen=True)
class _Images:
    builder: Any
    split: str
    indices: list[int]
    limit: int | None

    def __iter__(self) -> Iterator[LabelledImage]:
        numbered = enumerate(read_records(self.builder, self.split).as_numpy_iterator())
        for number, (_, encoded, label) in itertools.islice(numbered, self.limit):
            yield LabelledImage(f"{self.split}[{number}]", encoded, self.indices[int(label)])
