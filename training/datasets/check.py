"""Broken images are found, named and left out before the training begins."""

import os
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.datasets.broken import MOST_BROKEN, Broken, listed, require_few
from training.datasets.check_cache import CheckCache
from training.datasets.check_records import check_records
from training.datasets.dataset import Dataset, Split
from training.datasets.decodable import Result, decode

_AT_ONCE = 4096  # images that are handed to the threads before the next ones


def check_dataset(
    dataset: Dataset,
    cache: Path | None = None,
    *,
    most_broken: float = MOST_BROKEN,
    verbose: int = 1,
) -> tuple[Dataset, Broken]:
    """Checks all images that are files or in record files, and leaves the broken ones out.

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
    broken: Broken = []
    for part in parts.values():
        if id(part) in checked:
            continue
        checked[id(part)], found = (
            check_images(part, dataset.class_names, cache, most_broken=most_broken, verbose=verbose)
            if isinstance(part, Split)
            else check_records(part, cache, most_broken=most_broken, verbose=verbose)
        )
        broken += found
    if broken and verbose:
        print(f"{len(broken)} broken images are left out: {listed(broken)}", flush=True)
    return replace(dataset, **{name: checked[id(part)] for name, part in parts.items()}), broken


def check_images(
    split: Split,
    class_names: tuple[str, ...],
    cache: Path | None = None,
    *,
    most_broken: float = MOST_BROKEN,
    verbose: int = 1,
) -> tuple[Split, Broken]:
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
    require_few([], len(split), most_broken)
    if split.has_pixels:
        return split, []
    results = _check_all(split, cache, verbose)
    reads = np.array([reads for reads, _ in results], bool)
    is_whole = np.array([reason is None for _, reason in results], bool)
    broken = [(split.name(int(i)), str(results[i][1])) for i in np.flatnonzero(~is_whole)]
    require_few(broken, len(split), most_broken)
    lost = np.setdiff1d(split.labels, split.labels[is_whole])
    if len(lost):
        raise ValueError(
            "`data` must have whole images in every class. Received: class "
            f"{class_names[lost[0]]!r}, all of whose images are broken: {listed(broken)}"
        )
    return replace(split, tensorflow_reads=reads).take(np.flatnonzero(is_whole)), broken


def _check_all(split: Split, cache: Path | None, verbose: int) -> list[Result]:
    """The results of all images, those in `cache` without another look at the images."""
    known = CheckCache.load(cache)
    stamps = [_stamp(file) for file in split.images]
    results: dict[int, Result] = {}
    new = []
    for i, stamp in enumerate(stamps):
        entry = known.images.get(split.name(i))
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
                for i, result in zip(part, pool.map(decode, split.images[part]), strict=True):
                    results[i] = result
                    progress.add(1)
        finally:  # what was done before Ctrl-C need not be done again
            if new:
                for i in new:
                    stamp = stamps[i]
                    if i in results and stamp is not None:
                        known.images[split.name(i)] = [*stamp, *results[i]]
                known.save()
    return [results[i] for i in range(len(split))]


def _stamp(file: str | bytes) -> list[int] | None:
    """What changes when the file does; `None` if there is no file."""
    if isinstance(file, bytes):
        return [len(file), zlib.crc32(file)]
    try:
        status = os.stat(file)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
