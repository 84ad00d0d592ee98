"""Keras's progress bar, for a training of several calls of `fit`, with images a second."""

import time
from typing import Any

import keras


class ProgressBar(keras.callbacks.ProgbarLogger):
    """Shows the epoch among all epochs, and the speed.

    Args:
        epochs: Epochs of the whole training.
        steps: Steps of a whole epoch.
        first_step: Steps of this epoch that were done before.
        batch_size: Images of a step.
    """

    def __init__(self, epochs: int, steps: int, first_step: int, batch_size: int) -> None:
        super().__init__()
        self._all_epochs, self._steps = epochs, steps
        self._first_step, self._batch_size = first_step, batch_size
        self._start = (0.0, 0)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params({**params, "epochs": self._all_epochs, "steps": self._steps})

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._start = (time.perf_counter(), 0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now, (start, seen) = time.perf_counter(), self._start
        if seen == 0:  # the first step compiles: the clock starts after it
            self._start = (now, batch + 1)
            speed = {}
        else:
            speed = {"images/s": (batch + 1 - seen) * self._batch_size / max(now - start, 1e-9)}
        super().on_train_batch_end(self._first_step + batch, {**(logs or {}), **speed})
