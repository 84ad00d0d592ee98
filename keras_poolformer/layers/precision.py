"""The precision that statistics and sums of many numbers need."""

from typing import Any

import keras
from keras import ops


def full_precision(x: Any) -> Any:
    """Returns a tensor in float32, or as it is where it has more."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
