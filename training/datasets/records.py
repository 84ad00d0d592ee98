"""Images in the record files of TensorFlow Datasets, read one after the other."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SHUFFLE_BUFFER = 16_384
"""Encoded images among which the next one is drawn; about 2 GB of ImageNet's."""


@dataclass(frozen=True)
class RecordSplit:
    """A part of a data set that is too large for memory.

    Record files can only be read from their beginning. What a training gets of them is
    shuffled twice: the files, and the images among those that were read last.

    Attributes:
        builder: The prepared data set, with the features `image` and `label`.
        split: Name of the split in the data set, such as `"train"`.
        start: Number of the first image in the split.
        stop: Number after that of the last.
        shuffle_buffer: Encoded images that are held in memory to draw the next from.
        left_out: Ids of the images between `start` and `stop` that are not read, such as
            broken ones.
    """

    builder: Any
    split: str
    start: int
    stop: int
    shuffle_buffer: int = SHUFFLE_BUFFER
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.stop - self.start - len(self.left_out)

    def first(self, images: int) -> "RecordSplit":
        """Returns the first `images` images, which are as good as drawn: preparing shuffles."""
        return replace(self, stop=min(self.start + images, self.stop))

    def in_order(self) -> Any:
        """Returns the encoded images and their labels as a `tf.data.Dataset`."""
        return self._read()

    def identified(self) -> Any:
        """Returns the ids of all images, and the encoded images, as a `tf.data.Dataset`."""
        records = read_records(self.builder, self._name)
        return records.map(lambda name, image, label: (name, image))

    def shuffled(self, seed: int, epoch: int) -> Any:
        """Returns them in the order of an epoch, which seed and epoch alone determine."""
        import tensorflow as tf

        generator = np.random.default_rng([seed, epoch])

        def permuted(files: Any) -> Any:
            return [files[i] for i in generator.permutation(len(files))]

        records = self._read(permuted)
        first, second = (int(part) for part in generator.integers(0, 2**63, 2))
        # `Dataset.shuffle` mixes TensorFlow's global seed in, which differs between workers.
        variant = tf.raw_ops.ShuffleDatasetV3(
            input_dataset=tf.data.experimental.to_variant(records),
            buffer_size=self.shuffle_buffer,
            seed=first,
            seed2=second,
            seed_generator=tf.raw_ops.DummySeedGenerator(),
            output_types=[spec.dtype for spec in records.element_spec],
            output_shapes=[spec.shape for spec in records.element_spec],
            reshuffle_each_iteration=False,
        )
        return tf.data.experimental.from_variant(variant, records.element_spec)

    @property
    def _name(self) -> str:
        return f"{self.split}[{self.start}:{self.stop}]"

    def _read(self, permute: Callable[[Any], Any] | None = None) -> Any:
        records = read_records(self.builder, self._name, permute)
        if self.left_out:
            import tensorflow as tf

            left_out = tf.constant(self.left_out)
            records = records.filter(lambda name, image, label: tf.reduce_all(name != left_out))
        return records.map(lambda name, image, label: (image, label))


def read_records(builder: Any, split: str, permute: Callable[[Any], Any] | None = None) -> Any:
    """Returns the ids, encoded images and labels of a split as a `tf.data.Dataset`.

    Args:
        builder: The prepared data set, with the features `image` and `label`.
        split: Such as `"train"` or `"train[:10%]"`.
        permute: Puts the record files into another order.
    """
    import tensorflow_datasets as tfds

    encoded = builder.as_dataset(
        split=split,
        shuffle_files=False,  # it would mix in the global seed as well
        decoders=tfds.decode.PartialDecoding(
            {"image": True, "label": True}, {"image": tfds.decode.SkipDecoding()}
        ),
        read_config=tfds.ReadConfig(
            add_tfds_id=True, try_autocache=False, experimental_interleave_sort_fn=permute
        ),
    )
    return encoded.map(lambda example: (example["tfds_id"], example["image"], example["label"]))
