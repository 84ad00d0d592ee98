"""The values of Keras variables, on every backend and wherever engines have put them."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np


def to_numpy(variable: keras.Variable) -> np.ndarray:
    """Returns the value of a variable, which may share its memory."""
    # As a tensor first: numpy cannot read a variable that TensorFlow mirrors between processes.
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(variable)))


def assign(variables: Iterable[keras.Variable], values: Iterable[Any]) -> None:
    """Gives each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
