"""From a file to pixels, inside `tf.data` and out of it."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_poolformer.image_file import read_image
from keras_poolformer.transform import EvaluationTransform
from training.datasets.dataset import Split
from training.datasets.records import RecordSplit

if TYPE_CHECKING:
    from training.augmentation import Augmentation

KEPT_BYTES = 1 << 30
"""What is the same in every epoch is kept in memory up to this size: the resized pixels of
evaluation, and of training the files. Whole decoded images would take many times the memory of
the files, to make batches of small crops by a third faster."""

JPEG_ACCURACY = "INTEGER_ACCURATE"
"""Decodes JPEG to the very pixels of Pillow; TensorFlow's own choice is up to 5 levels off.

Of a part that is decoded alone, the outermost columns may differ a little: there, no
neighbour is left from which the colours between two samples are interpolated."""


def read_pixels(source: str | bytes, channels: int) -> np.ndarray:
    """Returns the uint8 (H, W, channels) pixels of an image, read by Pillow.

    They are not turned by EXIF data, as published accuracies were measured.

    Args:
        source: Path of the file, or its content.
        channels: 1 for grey images, 3 for RGB.

    Raises:
        ImageError: a `ValueError`, if it is broken or no image.
    """
    image = read_image(source, upright=False)
    return np.asarray(image) if channels == 3 else np.asarray(image.convert("L"))[..., None]


class WholeImages:
    """Resizes and cuts images as for evaluation, for use inside `tf.data`.

    The pixels are those of `EvaluationTransform`, which are Pillow's. They are made
    once, if all of them fit into `KEPT_BYTES`.

    Args:
        split: The images.
        image_shape: Height, width and channels of the result.
        crop_pct: Share of the resized image's covering side that stays.
    """

    def __init__(
        self, split: Split | RecordSplit, image_shape: tuple[int, int, int], crop_pct: float = 1.0
    ) -> None:
        self._split = split
        self._shape = image_shape
        self._transform = EvaluationTransform(image_shape[0], image_shape[1], crop_pct)
        self._pixels = self._kept = None
        if isinstance(split, Split):
            if split.has_pixels and split.images.shape[1:] == image_shape and crop_pct == 1:
                self._pixels = _constant(split.images)
            elif len(split) * math.prod(image_shape) <= KEPT_BYTES:
                self._kept = np.empty((len(split), *image_shape), "uint8")
                self._is_kept = np.zeros(len(split), bool)

    def __call__(self, source: Any) -> Any:
        """Returns the uint8 pixels as a tensor.

        Args:
            source: int64 index into the split; of a `RecordSplit`, the encoded image.
        """
        import tensorflow as tf

        if self._pixels is not None:
            return tf.gather(self._pixels, source)
        return tf.ensure_shape(tf.numpy_function(self._read, [source], tf.uint8), self._shape)

    def _read(self, source: Any) -> np.ndarray:
        if self._kept is not None and self._is_kept[source]:
            return self._kept[source]
        pixels = self._transform(_as_image(self._split, source))[..., : self._shape[2]]
        if self._kept is not None:
            self._kept[source] = pixels
            self._is_kept[source] = True  # last: another thread may read it now
        return pixels


class RandomCrops:
    """Reads a random part of each image at the model's size, for use inside `tf.data`.

    Of a JPEG file, only the blocks under the window are decoded. What TensorFlow does
    not read as Pillow does, Pillow reads as a whole. Files that fit into `KEPT_BYTES`
    are read once.

    Args:
        split: The images.
        image_shape: Height, width and channels of the result.
        augmentation: Draws the window and resizes it.
    """

    def __init__(
        self,
        split: Split | RecordSplit,
        image_shape: tuple[int, int, int],
        augmentation: "Augmentation",
    ) -> None:
        self._split = split
        self._shape = image_shape
        self._augmentation = augmentation
        if isinstance(split, RecordSplit):
            return
        if split.has_pixels:
            self._pixels = _constant(split.images)
            return
        reads = split.tensorflow_reads
        reads = np.zeros(len(split), bool) if reads is None else reads
        self._any_read, self._all_read = reads.any(), reads.all()
        if self._any_read:
            self._reads = _constant(reads)
            content = _content_if_few(split, reads)
            self._are_paths = content is None
            # As bytes: a file system may have names that are no text.
            names = [os.fsencode(file) for file in split.images] if content is None else content
            self._files = _constant(names)

    def __call__(self, source: Any, window_seed: Any, resize_seed: Any) -> Any:
        """Returns float32 pixels of the model's size as a tensor.

        Args:
            source: int64 index into the split; of a `RecordSplit`, the encoded image.
            window_seed: Seed of the window, int32 (2,).
            resize_seed: Seed of the way it is resized, int32 (2,).
        """
        height, width, channels = self._shape
        image = self._window(source, window_seed)
        image.set_shape((None, None, channels))
        image = self._augmentation.resize(image, height, width, resize_seed)
        image.set_shape(self._shape)
        return image

    def _window(self, source: Any, seed: Any) -> Any:
        import tensorflow as tf

        if isinstance(self._split, RecordSplit):
            return tf.cond(
                is_plain_jpeg(source),
                lambda: self._part_of_jpeg(source, seed),
                lambda: self._part_of_pillow(source, seed),
            )
        if self._split.has_pixels:
            return self._part(tf.gather(self._pixels, source), seed)
        if not self._any_read:
            return self._part_of_pillow(source, seed)

        def content() -> Any:
            file = tf.gather(self._files, source)
            return tf.io.read_file(file) if self._are_paths else file

        if self._all_read:
            return self._part_of_jpeg(content(), seed)
        return tf.cond(
            tf.gather(self._reads, source),
            lambda: self._part_of_jpeg(content(), seed),
            lambda: self._part_of_pillow(source, seed),
        )

    def _part_of_jpeg(self, content: Any, seed: Any) -> Any:
        import tensorflow as tf

        size = tf.image.extract_jpeg_shape(content)
        window = self._augmentation.crop_window(size[0], size[1], seed)
        return tf.image.decode_and_crop_jpeg(
            content, window, channels=self._shape[2], dct_method=JPEG_ACCURACY
        )

    def _part_of_pillow(self, source: Any, seed: Any) -> Any:
        import tensorflow as tf

        def read(source: Any) -> np.ndarray:
            return read_pixels(_file(self._split, source), self._shape[2])

        image = tf.numpy_function(read, [source], tf.uint8)
        image.set_shape((None, None, self._shape[2]))
        return self._part(image, seed)

    def _part(self, image: Any, seed: Any) -> Any:
        import tensorflow as tf

        size = tf.shape(image)
        window = self._augmentation.crop_window(size[0], size[1], seed)
        return tf.image.crop_to_bounding_box(image, *tf.unstack(window))


def is_plain_jpeg(content: Any) -> Any:
    """Returns whether an encoded image is a JPEG of grey levels or colours, not of inks.

    Of record files, these are what TensorFlow decodes.
    """
    import tensorflow as tf

    return tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.image.extract_jpeg_shape(content)[2] <= 3,
        lambda: tf.constant(False),
    )


def _content_if_few(split: Split, wanted: np.ndarray) -> list[bytes] | None:
    """The content of the wanted files if it fits into `KEPT_BYTES`; empty for the others."""
    total = 0
    for file in split.images[wanted]:
        total += len(file) if isinstance(file, bytes) else os.stat(file).st_size
        if total > KEPT_BYTES and isinstance(file, str):
            return None
    return [
        b"" if not want else file if isinstance(file, bytes) else Path(file).read_bytes()
        for file, want in zip(split.images, wanted, strict=True)
    ]


def _file(split: Split | RecordSplit, source: Any) -> str | bytes:
    """The path or the content of a file."""
    return source if isinstance(split, RecordSplit) else split.images[source]


def _as_image(split: Split | RecordSplit, source: Any) -> Any:
    """An image of Pillow."""
    if isinstance(split, Split) and split.has_pixels:
        pixels = split.images[source]
        return _from_array(pixels)
    return read_image(_file(split, source), upright=False)


def _from_array(pixels: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _constant(values: Any) -> Any:
    """A tensor in the memory of the CPU, where `tf.data` works."""
    import tensorflow as tf

    with tf.device("CPU:0"):
        return tf.constant(values)
