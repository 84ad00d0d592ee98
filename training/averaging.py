"""The moving average of the weights, which is validated and saved in their place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from training.optimizer import inner_optimizer
from training.variables import assign, to_numpy


def averages(optimizer: keras.optimizers.Optimizer) -> bool:
    """Returns whether an optimizer keeps an average of the weights."""
    return bool(inner_optimizer(optimizer).use_ema)


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the averages in the place of the weights meanwhile, if there are any."""
    if not averages(model.optimizer):
        yield
        return
    weights = model.trainable_variables
    raw = [np.array(to_numpy(weight)) for weight in weights]
    model.optimizer.finalize_variable_values(weights)
    # On JAX a weight and its average are one buffer now, which the next step would give away.
    assign(weights, [np.array(to_numpy(weight)) for weight in weights])
    try:
        yield
    finally:
        assign(weights, raw)


class AveragedWeights(keras.callbacks.Callback):
    """Validates the averages, and keeps the weights from one `fit` to the next.

    `fit` ends with the averages in the place of the weights, for good. Here it is
    called once an epoch, so it must not see that there are averages at its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swap: Any = None

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._swap = averaged_weights(self.model)
        self._swap.__enter__()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._swap.__exit__(None, None, None)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        inner_optimizer(self.model.optimizer).use_ema = False

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        inner_optimizer(self.model.optimizer).use_ema = True
