"""The stages of the input pipeline, each with all before it."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from training.augmentation import Augmentation
from training.datasets.dataset import Split
from training.pipeline import TrainingPipeline

STAGES: dict[str, tuple[str, ...]] = {
    "decode, crop, resize": (),
    "flip, rotate, zoom, shift": ("flip", "rotation", "zoom", "shift"),
    "RandAugment": ("rand_augment",),
    "erasing": ("erasing",),
    "mixup, CutMix": ("mixup", "cutmix"),
}
"""What of the augmentation each stage adds, by the names of its fields."""


def cumulative(augmentation: Augmentation) -> Iterator[tuple[str, Augmentation]]:
    """Yields the stages that an augmentation has, each with all before it."""
    left: dict[str, Any] = dict.fromkeys(itertools.chain(*STAGES.values()), 0)
    for stage, fields in STAGES.items():
        used = [field for field in fields if getattr(augmentation, field)]
        for field in used:
            del left[field]
        if used or not fields:
            yield stage, dataclasses.replace(augmentation, **left)


def read_only(split: Split, batch_size: int) -> Any:
    """Returns a `tf.data.Dataset` of batches that only reads the files."""
    import tensorflow as tf

    files = tf.data.Dataset.from_tensor_slices([str(file) for file in split.images])
    contents = files.map(tf.io.read_file, num_parallel_calls=tf.data.AUTOTUNE)
    return contents.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def pipelines(
    split: Split, augmentation: Augmentation, classes: int, size: int, batch_size: int
) -> dict[str, Any]:
    """Returns a repeated `tf.data.Dataset` of batches for each stage, and for reading alone."""
    made = {"read": read_only(split, batch_size).repeat()}
    for stage, part in cumulative(augmentation):
        pipeline = TrainingPipeline(split, classes, (size, size, 3), batch_size, part, seed=0)
        made[stage] = pipeline.epoch(0).repeat()
    return made
