"""Broken images are found, named and left out before the training begins."""

import io
import json
import os
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_poolformer.files import replacing
from keras_poolformer.image_file import ImageError, read_image
from training.datasets.dataset import Dataset, Split
from training.decoding import JPEG_ACCURACY

MOST_BROKEN = 0.05
"""Share of broken images that is put up with."""

_FORMAT = 1  # of the file that keeps the results
_AT_ONCE = 4096  # images that are handed to the threads before the next ones

Result = tuple[bool, str | None]
"""Whether TensorFlow reads the image, and what is wrong with it."""


def check_dataset(
    dataset: Dataset,
    cache: Path | None = None,
    *,
    most_broken: float = MOST_BROKEN,
    verbose: int = 1,
) -> tuple[Dataset, list[tuple[str, str]]]:
    """Checks all images that are files, and leaves the broken ones out.

    Images in record files are not checked: TensorFlow Datasets wrote them.

    Args:
        dataset: The images.
        cache: A JSON file that keeps the results, as of `check_images`.
        most_broken: Share of broken images in a part that is put up with, in [0, 1].
        verbose: 1 for a progress bar and the names of broken images, 0 for neither.

    Returns:
        The data set without them, and the name and trouble of each.

    Raises:
        ValueError: as of `check_images`.
    """
    parts = {part: getattr(dataset, part) for part in ("train", "validation", "test")}
    checked: dict[int, Any] = {}  # one part may serve as two
    broken: list[tuple[str, str]] = []
    for part in parts.values():
        if id(part) in checked:
            continue
        checked[id(part)] = part
        if isinstance(part, Split):
            checked[id(part)], found = check_images(
                part, dataset.class_names, cache, most_broken=most_broken, verbose=verbose
            )
            broken += found
    if broken and verbose:
        print(f"{len(broken)} broken images are left out: {_list(broken)}", flush=True)
    return replace(dataset, **{name: checked[id(part)] for name, part in parts.items()}), broken


def check_images(
    split: Split,
    class_names: tuple[str, ...],
    cache: Path | None = None,
    *,
    most_broken: float = MOST_BROKEN,
    verbose: int = 1,
) -> tuple[Split, list[tuple[str, str]]]:
    """Decodes every image once.

    Args:
        split: The images. Pixels in memory are in order as they are.
        class_names: Names of the classes, in the order of the labels.
        cache: A JSON file that keeps the results. What it knows is not decoded again
            while size and time of the image stay the same. Results of other images in
            it are kept.
        most_broken: Share of broken images that is put up with, in [0, 1].
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        The images that are whole, with `tensorflow_reads` filled in, and the name and
        trouble of each other one.

    Raises:
        ValueError: if more images are broken, or all of a class, or `cache` is another
            kind of file.
    """
    if not 0 <= most_broken <= 1:
        raise ValueError(f"`most_broken` must be a share in [0, 1]. Received: {most_broken}")
    if split.has_pixels:
        return split, []
    results = _check_all(split, cache, verbose)
    reads = np.array([reads for reads, _ in results], bool)
    is_whole = np.array([reason is None for _, reason in results], bool)
    broken = [(split.name(int(i)), str(results[i][1])) for i in np.flatnonzero(~is_whole)]
    if len(broken) > most_broken * len(split):
        raise ValueError(
            f"`data` must be images of which at most {most_broken:.0%} are broken. Received: "
            f"{len(split)} images, {len(broken)} of them broken: {_list(broken)}"
        )
    lost = np.setdiff1d(split.labels, split.labels[is_whole])
    if len(lost):
        raise ValueError(
            "`data` must have whole images in every class. Received: class "
            f"{class_names[lost[0]]!r}, all of whose images are broken: {_list(broken)}"
        )
    return replace(split, tensorflow_reads=reads).take(np.flatnonzero(is_whole)), broken


def _check_all(split: Split, cache: Path | None, verbose: int) -> list[Result]:
    """The results of all images, those in `cache` without another look at the images."""
    known = _load(cache)
    stamps = [_stamp(file) for file in split.images]
    results: dict[int, Result] = {}
    new = []
    for i, stamp in enumerate(stamps):
        entry = known.get(split.name(i))
        if stamp is not None and entry is not None and entry[:2] == stamp:
            results[i] = (entry[2], entry[3])
        else:
            new.append(i)
    progress = keras.utils.Progbar(len(new), verbose=verbose if new else 0, unit_name="image")
    # Pillow warns of oddities in files that it can read; `warnings` is the same in all threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(min(os.cpu_count() or 1, 32)) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        try:
            for start in range(0, len(new), _AT_ONCE):
                part = new[start : start + _AT_ONCE]
                for i, result in zip(part, pool.map(_check, split.images[part]), strict=True):
                    results[i] = result
                    progress.add(1)
        finally:  # what was done before Ctrl-C need not be done again
            if new and cache is not None:
                for i in new:
                    stamp = stamps[i]
                    if i in results and stamp is not None:
                        known[split.name(i)] = [*stamp, *results[i]]
                _save(cache, known)
    return [results[i] for i in range(len(split))]


def _check(file: str | bytes) -> Result:
    from PIL import Image

    try:
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
        if not content:
            return False, "it is empty"
        image = read_image(content, upright=False)
    except OSError as error:
        return False, f"it cannot be read: {error.strerror}"
    except ImageError as error:
        return False, error.reason
    with Image.open(io.BytesIO(content)) as header:
        kind, mode = header.format, header.mode
    if mode[0] in "IF":  # Pillow makes nearly white images of them
        return False, f"its grey levels have more than 8 bits (mode {mode} of Pillow)"
    is_jpeg = kind in ("JPEG", "MPO") and mode in ("L", "RGB")
    return is_jpeg and _tensorflow_reads(content, image.height, image.width), None


def _tensorflow_reads(content: bytes, height: int, width: int) -> bool:
    """Whether TensorFlow decodes a JPEG that Pillow decodes."""
    import tensorflow as tf

    try:
        decoded = tf.io.decode_jpeg(content, 3, dct_method=JPEG_ACCURACY)
    except tf.errors.InvalidArgumentError:
        return False
    return tuple(decoded.shape) == (height, width, 3)


def _stamp(file: str | bytes) -> list[int] | None:
    """What changes when the file does; `None` if there is no file."""
    if isinstance(file, bytes):
        return [len(file), zlib.crc32(file)]
    try:
        status = os.stat(file)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _load(cache: Path | None) -> dict[str, list[Any]]:
    if cache is None or not cache.is_file():
        return {}
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
        if content["format"] == _FORMAT:
            return content["images"]
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(
        "`cache` must be a file that a check of images wrote; remove it to have one written. "
        f"Received: {str(cache)!r}"
    )


def _save(cache: Path, images: dict[str, list[Any]]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    with replacing(cache) as path:
        content = {"format": _FORMAT, "images": images}
        path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def _list(broken: list[tuple[str, str]]) -> str:
    """The first ten."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in broken[:10])
    return shown + (f"; and {len(broken) - 10} more" if len(broken) > 10 else "")
