"""Linear maps over the channels of each position."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def linear_map(units: int, use_bias: bool, dtype: Any, name: str) -> keras.layers.Dense:
    """Returns an unbuilt `Dense` that starts as those of the official code.

    Its kernel is normal with a standard deviation of 0.02. (The code calls
    `trunc_normal_(std=.02)`, whose bounds are the absolute values -2 and 2, a hundred
    deviations away; Keras's `TruncatedNormal` cuts at two deviations and ends at 0.0176.)
    """
    return keras.layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
        dtype=dtype,
        name=name,
    )


def as_convolution(linear: keras.layers.Dense, x: Any) -> Any:
    """Applies a `Dense` to a (B, H, W, C) map as a 1x1 convolution."""
    y = ops.conv(x, ops.cast(linear.kernel, x.dtype)[None, None], 1, "valid", "channels_last")
    return y if linear.bias is None else y + ops.cast(linear.bias, x.dtype)


def each_bias(use_bias: bool | Sequence[bool], count: int) -> tuple[bool, ...]:
    """Returns for each of some linear maps whether it has a bias.

    Args:
        use_bias: One answer for all, or one for each.
        count: How many they are.

    Raises:
        ValueError: if there are more or fewer answers.
    """
    if not isinstance(use_bias, list | tuple):
        return (bool(use_bias),) * count
    if len(use_bias) != count:
        raise ValueError(
            f"`use_bias` must be a boolean, or {count}, one for each linear map. "
            f"Received: {use_bias!r}"
        )
    return tuple(bool(use) for use in use_bias)


def serialize_bias(use_bias: Sequence[bool]) -> bool | list[bool]:
    """Returns the shorter of what users may write, for `get_config`."""
    return use_bias[0] if len(set(use_bias)) == 1 else list(use_bias)
