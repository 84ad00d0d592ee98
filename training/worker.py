"""The share of one of several training processes in each batch."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Worker:
    """One of the processes that train together.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.

    Raises:
        ValueError: if there is no such process.
    """

    rank: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.count:
            raise ValueError(
                f"`rank` must be at least 0 and below `count`, {self.count}. Received: {self.rank}"
            )

    def share(self, batch_size: int) -> int:
        """Returns how many rows of a batch of all workers each of them gets.

        Raises:
            ValueError: if the rows cannot be shared evenly.
        """
        if batch_size % self.count:
            raise ValueError(
                f"`batch_size` must be a multiple of the {self.count} processes. "
                f"Received: {batch_size}"
            )
        return batch_size // self.count

    def rows(self, batch_size: int, mixed: bool) -> np.ndarray:
        """Returns the numbers of this worker's rows in a batch of all workers.

        Mixing pairs the rows of a batch with those of the reversed batch. The rows of
        a worker are therefore closed under reversal: some of the first half, and
        their mirrors in the second.

        Args:
            batch_size: Rows of the batch of all workers.
            mixed: Whether rows are mixed.

        Raises:
            ValueError: if the rows cannot be shared evenly, or not in pairs.
        """
        share = self.share(batch_size)
        if share % 2 == 0:
            half = np.arange(self.rank * share // 2, (self.rank + 1) * share // 2)
            return np.concatenate([half, batch_size - 1 - half[::-1]])
        if mixed and self.count > 1:
            raise ValueError(
                f"`batch_size` must be a multiple of twice the {self.count} processes, since "
                f"images are mixed in pairs. Received: {batch_size}"
            )
        return np.arange(self.rank * share, (self.rank + 1) * share)


def steps_per_epoch(images: int, batch_size: int, multiple_of: int = 1) -> int:
    """Returns the number of full batches in an epoch.

    Args:
        images: Images of the epoch.
        batch_size: Images of a batch.
        multiple_of: Round down to a multiple of this, such as the steps of one call.

    Raises:
        ValueError: if there are too few images for `multiple_of` batches.
    """
    steps = images // batch_size // multiple_of * multiple_of
    if steps == 0:
        raise ValueError(
            f"`batch_size` must be so small that the {images} images fill "
            f"{multiple_of} batch{'es' * (multiple_of > 1)}. Received: {batch_size}"
        )
    return steps


def own_records(records: Any, batch_size: int, rows: np.ndarray) -> Any:
    """Returns the records of one worker: all workers read all, but each decodes only its own.

    Args:
        records: `tf.data.Dataset` of the records of all workers.
        batch_size: Records of a batch of all workers.
        rows: Numbers of this worker's rows in it, in ascending order.
    """
    import tensorflow as tf

    if len(rows) == batch_size:
        return records
    is_own = np.zeros(batch_size, bool)
    is_own[rows] = True
    kept = records.enumerate().filter(lambda number, _: tf.gather(is_own, number % batch_size))
    return kept.map(lambda _, record: record)
