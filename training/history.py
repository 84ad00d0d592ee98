"""What was measured in each epoch: a table, and curves for TensorBoard."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_poolformer.files import replacing

FILE = "history.csv"


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """Returns the number of the epoch, from 1, with the best validation accuracy.

    Of equals it is the first.
    """
    accuracies = [epoch["val_accuracy"] for epoch in history]
    return accuracies.index(max(accuracies)) + 1


def save_history(history: Sequence[dict[str, float]], folder: Path) -> None:
    """Writes the table `history.csv`, a row an epoch."""
    with replacing(folder / FILE) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["epoch", *history[0]])
        writer.writeheader()
        for number, epoch in enumerate(history, 1):
            writer.writerow({"epoch": number, **epoch})


def load_history(folder: Path) -> list[dict[str, float]]:
    """Returns the rows of a run's `history.csv`.

    Raises:
        ValueError: if there is none, or it is no such table.
    """
    file = folder / FILE
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = [
                {key: float(value) for key, value in row.items() if key != "epoch"}
                for row in csv.DictReader(stream)
            ]
        if not rows or not {"loss", "val_accuracy"} <= rows[0].keys():
            raise ValueError("it has no columns 'loss' and 'val_accuracy'")
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"`run` must be the folder of a training, with a {FILE}. Received: {str(folder)!r}; "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error
    return rows


class TensorBoard:
    """Curves for TensorBoard in the run's folder `tensorboard`.

    A run that goes on writes a file of its own beside the earlier ones; TensorBoard
    shows them as one curve.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        with tf.device("CPU"):
            self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def write(self, number: int, epoch: dict[str, float]) -> None:
        """Adds the values of an epoch, whose number counts from 1."""
        import tensorflow as tf

        with tf.device("CPU"), self._writer.as_default(step=number):
            for name, value in epoch.items():
                if math.isfinite(value):
                    plain = name.removeprefix("val_")
                    tf.summary.scalar(f"{plain}/validation" if plain != name else name, value)
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()


def epoch_values(
    logs: dict[str, Any], learning_rate: float, seconds: float, images_per_second: float
) -> dict[str, float]:
    """Returns a row of the history: the metrics of training, of validation, and the rest."""
    training = {key: float(value) for key, value in logs.items() if not key.startswith("val_")}
    validation = {key: float(value) for key, value in logs.items() if key.startswith("val_")}
    return {
        **training,
        **validation,
        "learning_rate": learning_rate,
        "seconds": round(seconds, 3),
        "images_per_second": round(images_per_second, 2),
    }
