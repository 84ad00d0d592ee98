"""Broken images in record files are found before the training begins."""

import itertools
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras

from training.datasets.broken import MOST_BROKEN, Broken, require_few
from training.datasets.check_cache import CheckCache
from training.datasets.decodable import decode
from training.datasets.records import RecordSplit
from training.decoding import is_plain_jpeg

_AT_ONCE = 1024  # images in memory that are handed to the threads before the next ones


def check_records(
    split: RecordSplit,
    cache: Path | None = None,
    *,
    most_broken: float = MOST_BROKEN,
    verbose: int = 1,
) -> tuple[RecordSplit, Broken]:
    """Decodes every image once.

    Args:
        split: The images.
        cache: A JSON file that keeps the results. A split that it knows is not read
            again: TensorFlow Datasets does not change what it has prepared.
        most_broken: Share of broken images that is put up with, in [0, 1].
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        The split without its broken images, and the id and trouble of each of these.

    Raises:
        ValueError: if more images are broken, or `cache` is another kind of file.
    """
    known = CheckCache.load(cache)
    place = f"{split.builder.data_dir} {split.split}[{split.start}:{split.stop}]"
    if place not in known.records:
        known.records[place] = dict(_find_broken(split, verbose))
        known.save()
    broken = list(known.records[place].items())
    require_few(broken, len(split), most_broken)
    return replace(split, left_out=tuple(name for name, _ in broken)) if broken else split, broken


def _find_broken(split: RecordSplit, verbose: int) -> Broken:
    progress = keras.utils.Progbar(len(split), verbose=verbose, unit_name="image")
    broken: Broken = []
    records = split.identified().as_numpy_iterator()
    with warnings.catch_warnings(), ThreadPoolExecutor(min(os.cpu_count() or 1, 32)) as pool:
        warnings.filterwarnings("ignore", module="PIL")  # of oddities in files that it can read
        while part := list(itertools.islice(records, _AT_ONCE)):
            results = pool.map(decode, (image for _, image in part))
            for (name, image), (tensorflow_reads, reason) in zip(part, results, strict=True):
                if reason is None and not tensorflow_reads and bool(is_plain_jpeg(image)):
                    reason = "TensorFlow cannot decode it"
                if reason is not None:
                    broken.append((name.decode(), reason))
                progress.add(1)
    return broken
