"""Labelled images of TensorFlow Datasets, read as the files that they are."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_poolformer.optional import optional_import
from training.class_labels import Labels, match
from training.labelled_images import LabelledImage, LabelledImages

# name, name/config, name:version, but no namespace:name, which is a download.
_NAME = re.compile(r"[A-Za-z]\w*(/[\w.=,+-]+)*(:(\d+|\*)(\.(\d+|\*)){2})?")


def is_tfds_name(data: str) -> bool:
    """Returns whether `data` looks like the name of a data set, such as `"imagenet_v2"`."""
    return _NAME.fullmatch(data) is not None


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
    tfds = optional_import(
        "tensorflow_datasets", f"to read {name!r}, which is no folder", "training"
    )
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
            f"{reason[0] if reason else type(error).__name__}"
        ) from error
    if not builder.info.splits:
        raise ValueError(
            f"`data` must be prepared. Received: {name!r}, which is not in {builder.data_dir}. "
            "Pass --download to fetch and prepare it, or --data-dir with its place"
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
    labels, indices = match(features["label"].names, labels, outputs)
    split = split or next((s for s in ("validation", "test") if s in builder.info.splits), None)
    try:
        count = builder.info.splits[split].num_examples
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"`split` must be one of {', '.join(sorted(builder.info.splits))}, or a part of one. "
            f"Received: {split!r}"
        ) from error
    images = _Images(tfds, builder, str(split), indices, limit)
    count = count if limit is None else min(count, limit)
    return LabelledImages(f"{name}, {split}", labels, len(indices), images, count)


@dataclass(frozen=True)
class _Images:
    tfds: Any
    builder: Any
    split: str
    indices: list[int]
    limit: int | None

    def __iter__(self) -> Iterator[LabelledImage]:
        encoded = self.builder.as_dataset(
            split=self.split,
            shuffle_files=False,
            decoders={"image": self.tfds.decode.SkipDecoding()},
        )
        numbered = enumerate(encoded.as_numpy_iterator())
        for number, example in itertools.islice(numbered, self.limit):
            label = self.indices[int(example["label"])]
            yield LabelledImage(f"{self.split}[{number}]", example["image"], label)
