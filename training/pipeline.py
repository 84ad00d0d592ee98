"""From a split to batches for Keras, with `tf.data` on every backend."""

from typing import TYPE_CHECKING, Any

import numpy as np

from training.datasets.dataset import Split
from training.datasets.records import RecordSplit
from training.decoding import RandomCrops, WholeImages
from training.worker import Worker, own_records, steps_per_epoch

if TYPE_CHECKING:
    from training.augmentation import Augmentation


class TrainingPipeline:
    """Makes the augmented batches of every epoch: pixels and one-hot labels.

    What an epoch contains is a function of `seed` and the epoch: the order of the
    images, and the seed of every image and of every batch. Neither earlier epochs nor
    the number of workers have a part in it. So a training can go on at any step, and
    workers see the rows of the batches that one alone would see.

    All batches have one size, since XLA compiles anew for every size. The few images
    that do not fill a batch are left out of an epoch, other ones in each.

    Args:
        split: The images.
        classes: Number of classes.
        image_shape: Height, width and channels that the model takes.
        batch_size: Images of a batch, over all workers. One worker alone takes fewer
            if the split has fewer.
        augmentation: What is done to each image and to each batch.
        seed: Seed of all chance, at least 0.
        worker: Which process this is.
        multiple_of: Round the steps of an epoch down to a multiple of this.

    Attributes:
        batch_size: Images of a batch, over all workers.
        steps: Batches of an epoch.

    Raises:
        ValueError: if the images do not fill the batches, or a batch cannot be shared
            by the workers.

    Example:
    >>> pipeline = TrainingPipeline(split, 10, (224, 224, 3), 128, Augmentation(), seed=0)
    >>> model.fit(pipeline.epoch(0), steps_per_epoch=pipeline.steps)
    """

    def __init__(
        self,
        split: Split | RecordSplit,
        classes: int,
        image_shape: tuple[int, int, int],
        batch_size: int,
        augmentation: "Augmentation",
        seed: int,
        worker: Worker | None = None,
        *,
        multiple_of: int = 1,
    ) -> None:
        worker = worker or Worker()
        if worker.count == 1 and multiple_of == 1:
            batch_size = min(batch_size, len(split))
        self.batch_size = batch_size
        self.steps = steps_per_epoch(len(split), batch_size, multiple_of)
        mixes = augmentation.mix_probability > 0 and augmentation.mixup + augmentation.cutmix > 0
        self._rows = worker.rows(batch_size, mixes)
        self._split = split
        self._seed = seed
        # Functions are traced once, here. Every epoch has a new `tf.data.Dataset`, which
        # would trace them again.
        self._read = _reading(split, classes, image_shape, augmentation)
        rows = len(self._rows)
        self._mix = _mixing(rows, classes, image_shape, augmentation) if mixes else None

    def epoch(self, epoch: int, first_step: int = 0) -> Any:
        """Returns the batches of one epoch as a `tf.data.Dataset`.

        Args:
            epoch: Number of the epoch, from 0.
            first_step: Begin with this batch, from 0. It costs nothing but for a
                `RecordSplit`, whose files must be read up to there.

        Returns:
            Pairs of float32 (rows, H, W, C) pixels in [0, 255], and float32
            (rows, classes) labels: this worker's rows of each batch.

        Raises:
            ValueError: if there is no such step.
        """
        import tensorflow as tf

        if not 0 <= first_step <= self.steps:
            raise ValueError(
                f"`first_step` must be at least 0 and at most {self.steps}, the steps of an epoch. "
                f"Received: {first_step}"
            )
        shape = (self.steps, self.batch_size)
        seeds = _seeds(self._seed, epoch, 1, (*shape, 3))[first_step:, self._rows]
        batches = tf.data.Dataset.zip(
            self._examples(epoch, first_step),
            tf.data.Dataset.from_tensor_slices(seeds.reshape(-1, 3, 2)),
        )
        batches = batches.map(
            lambda example, seeds: self._read(*example, seeds),
            num_parallel_calls=tf.data.AUTOTUNE,
        ).batch(len(self._rows), drop_remainder=True)
        if self._mix is not None:
            seeds = _seeds(self._seed, epoch, 2, (self.steps,))[first_step:]
            batches = tf.data.Dataset.zip(batches, tf.data.Dataset.from_tensor_slices(seeds)).map(
                lambda batch, seed: self._mix(*batch, seed), num_parallel_calls=tf.data.AUTOTUNE
            )
        batches = batches.apply(tf.data.experimental.assert_cardinality(self.steps - first_step))
        return _finished(batches)

    def _examples(self, epoch: int, first_step: int) -> Any:
        """This worker's images in the order of the epoch: what they are read from, and labels."""
        import tensorflow as tf

        if isinstance(self._split, Split):
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._split))
            order = order[: self.steps * self.batch_size].reshape(self.steps, self.batch_size)
            order = order[first_step:, self._rows].reshape(-1)
            return tf.data.Dataset.from_tensor_slices(
                (order, self._split.labels[order].astype("int64"))
            )
        records = self._split.shuffled(self._seed, epoch).skip(first_step * self.batch_size)
        return own_records(records, self.batch_size, self._rows)


def evaluation_batches(
    split: Split | RecordSplit,
    classes: int,
    image_shape: tuple[int, int, int],
    batch_size: int,
    crop_pct: float = 1.0,
) -> Any:
    """Returns all images in the order of the split: pixels and one-hot labels.

    The pixels are those of `EvaluationTransform`. The last batch may be smaller.

    Args:
        split: The images.
        classes: Number of classes.
        image_shape: Height, width and channels that the model takes.
        batch_size: Images of a batch.
        crop_pct: Share of the resized image's covering side that stays.
    """
    import tensorflow as tf

    examples = (
        split.in_order()
        if isinstance(split, RecordSplit)
        else tf.data.Dataset.from_tensor_slices((np.arange(len(split)), split.labels))
    )
    images = _whole(split, classes, image_shape, crop_pct)
    examples = examples.map(images, num_parallel_calls=tf.data.AUTOTUNE)
    return _finished(examples.batch(batch_size))


def weighted_batches(
    split: Split | RecordSplit,
    classes: int,
    image_shape: tuple[int, int, int],
    batch_size: int,
    crop_pct: float = 1.0,
    worker: Worker | None = None,
) -> Any:
    """Returns this worker's part of all images: pixels, one-hot labels and weights.

    All workers have equally many batches of one size. Over all of them, each image has
    the weight 1 once; what fills the last batch has the weight 0.

    Args:
        split: The images.
        classes: Number of classes.
        image_shape: Height, width and channels that the model takes.
        batch_size: Images of a batch, over all workers.
        crop_pct: Share of the resized image's covering side that stays.
        worker: Which process this is.

    Raises:
        ValueError: if a batch cannot be shared by the workers.
    """
    import tensorflow as tf

    worker = worker or Worker()
    share = worker.share(batch_size)
    steps = -(-len(split) // batch_size)
    rows = np.arange(worker.rank * share, (worker.rank + 1) * share)
    numbers = (np.arange(steps)[:, None] * batch_size + rows).reshape(-1)
    weights = (numbers < len(split)).astype("float32")
    if isinstance(split, RecordSplit):
        records = split.in_order()
        padding = records.take(1).repeat(steps * batch_size - len(split))
        examples = own_records(records.concatenate(padding), batch_size, rows)
    else:
        numbers = np.minimum(numbers, len(split) - 1)
        examples = tf.data.Dataset.from_tensor_slices(
            (numbers, split.labels[numbers].astype("int64"))
        )
    examples = examples.map(
        _whole(split, classes, image_shape, crop_pct), num_parallel_calls=tf.data.AUTOTUNE
    )
    weighted = tf.data.Dataset.zip(examples, tf.data.Dataset.from_tensor_slices(weights))
    batches = weighted.map(lambda example, weight: (*example, weight))
    batches = batches.batch(share, drop_remainder=True)
    return _finished(batches.apply(tf.data.experimental.assert_cardinality(steps)))


def _reading(
    split: Split | RecordSplit,
    classes: int,
    image_shape: tuple[int, int, int],
    augmentation: "Augmentation",
) -> Any:
    """The traced function that reads and augments one image."""
    import tensorflow as tf

    source = tf.string if isinstance(split, RecordSplit) else tf.int64
    crops: Any = None
    if augmentation.crop_scale is None:
        whole = WholeImages(split, image_shape)
    else:
        crops = RandomCrops(split, image_shape, augmentation)

    @tf.function(
        input_signature=[
            tf.TensorSpec([], source),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([3, 2], tf.int32),
        ],
        autograph=False,  # nothing to convert, and looking takes a second
    )
    def read(source: Any, label: Any, seeds: Any) -> Any:
        if crops is None:
            image = tf.cast(whole(source), tf.float32)
        else:
            image = crops(source, seeds[0], seeds[1])
        image = tf.ensure_shape(augmentation.augment(image, seeds[2]), image_shape)
        return image, tf.one_hot(label, classes)

    return read.get_concrete_function()


def _mixing(
    rows: int, classes: int, image_shape: tuple[int, int, int], augmentation: "Augmentation"
) -> Any:
    """The traced function that mixes a batch."""
    import tensorflow as tf

    mix = tf.function(
        augmentation.mix,
        input_signature=[
            tf.TensorSpec([rows, *image_shape], tf.float32),
            tf.TensorSpec([rows, classes], tf.float32),
            tf.TensorSpec([2], tf.int32),
        ],
        autograph=False,
    )
    return mix.get_concrete_function()


def _whole(
    split: Split | RecordSplit, classes: int, image_shape: tuple[int, int, int], crop_pct: float
) -> Any:
    """The function that reads an image as for evaluation."""
    import tensorflow as tf

    images = WholeImages(split, image_shape, crop_pct)

    def read(source: Any, label: Any) -> Any:
        return tf.cast(images(source), tf.float32), tf.one_hot(label, classes)

    return read


def _seeds(seed: int, epoch: int, kind: int, shape: tuple[int, ...]) -> np.ndarray:
    """Seeds for TensorFlow's stateless operations, int32 (*shape, 2)."""
    generator = np.random.default_rng([seed, epoch, kind])
    return generator.integers(-(2**31), 2**31, (*shape, 2), dtype="int32")


def _finished(batches: Any) -> Any:
    """Reads ahead, in a fixed order, and is not sharded once more by a strategy."""
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
