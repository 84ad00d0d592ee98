"""Watches over the steps of an epoch: saves, stops on signals and on numbers that are none."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

AGREE_EVERY = 16
"""Steps after which several processes agree on whether to save or to stop."""


class Stopped(Exception):  # noqa: N818  (it is no error: someone asked for it)
    """The training was asked to stop, and has saved its state.

    Attributes:
        signal: The signal that asked for it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


class StopSignal:
    """Remembers a SIGTERM or SIGINT, so that the step in progress can end.

    A second one ends the process at once.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    @contextmanager
    def caught(self) -> Iterator["StopSignal"]:
        """Catches the signals in this context, where that is possible: in the main thread."""
        earlier = {}
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                earlier[number] = signal.signal(number, self._receive)
        except ValueError:  # not in the main thread
            pass
        try:
            yield self
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: Any) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number


class Guard(keras.callbacks.Callback):
    """Saves the state of the training now and then, and stops it when it must.

    Args:
        save: Saves the state, given the number of steps of the epoch that are done.
        minutes: Time between two calls of `save`.
        stop: Whether someone wants the training to stop.
        steps: Steps of a whole epoch. After the last one nothing is saved: there is
            the validation to do, and a checkpoint at the end of it.
        first_step: Steps of the epoch that an earlier process has done.
        restore_metrics: Puts the sums of those steps in their places.
        start_random: Sets the random state, right before the first step: on torch,
            the iterator of the batches draws from it when it is made.
        agree: Returns whether a condition holds in one of the processes that train
            together; `None` for a process alone. Since it waits for all of them,
            they talk every `AGREE_EVERY` steps only.
    """

    def __init__(
        self,
        save: Callable[[int], None],
        minutes: float,
        stop: StopSignal,
        steps: int,
        first_step: int = 0,
        restore_metrics: Callable[[], None] | None = None,
        start_random: Callable[[], None] | None = None,
        agree: Callable[[bool], bool] | None = None,
    ) -> None:
        super().__init__()
        self._save = save
        self._seconds = 60 * minutes
        self._stop = stop
        self._steps = steps
        self._first_step = first_step
        self._restore_metrics = restore_metrics
        self._start_random = start_random
        self._agree = agree
        self._saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._restore_metrics is not None:
            self._restore_metrics()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch == 0 and self._start_random is not None:
            self._start_random()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        done = self._first_step + batch + 1
        loss = float(np.mean((logs or {})["loss"]))
        if not math.isfinite(loss):
            raise FloatingPointError(f"The loss became {loss} at step {done}")
        if done == self._steps:
            return
        if self._agree is None:
            must_stop = self._stop.received is not None
            is_due = time.monotonic() - self._saved >= self._seconds
        elif (batch + 1) % AGREE_EVERY:
            return
        else:
            must_stop = self._agree(self._stop.received is not None)
            is_due = self._agree(time.monotonic() - self._saved >= self._seconds)
        if must_stop or is_due:
            self._save_state(done)
            self._saved = time.monotonic()
        if must_stop:
            raise Stopped(self._stop.received or signal.SIGTERM)

    def _save_state(self, done: int) -> None:
        if keras.config.backend() == "jax":
            self.model.jax_state_sync()  # the variables are elsewhere during an epoch
        self._save(done)
