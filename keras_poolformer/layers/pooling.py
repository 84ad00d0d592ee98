"""Average pooling with the full semantics of `torch.nn.AvgPool2d`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    join_shape,
    split_shape,
    to_channels_last,
)
from keras_poolformer.layers.precision import full_precision


def int_pair(value: int | Sequence[int], argument: str, minimum: int) -> tuple[int, int]:
    """Returns (height, width) for one integer or a pair of integers.

    Raises:
        ValueError: if `value` is neither, or an entry is under `minimum`.
    """
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(
        not isinstance(entry, int) or isinstance(entry, bool) or entry < minimum for entry in pair
    ):
        raise ValueError(
            f"`{argument}` must be an integer of at least {minimum}, or two of them for height "
            f"and width. Received: {value!r}"
        )
    return pair


def pooled_size(size: Any, pool: int, stride: int, padding: int, ceil_mode: bool) -> Any:
    """Number of windows along an axis of `size` pixels (an integer or a scalar tensor)."""
    span = size + 2 * padding - pool
    if not ceil_mode:
        return span // stride + 1
    windows = (span + stride - 1) // stride + 1
    # A window may hang over the right edge, but it must not start beyond the
    # image and its left padding: there it would average nothing.
    starts_outside = (windows - 1) * stride >= size + padding
    if isinstance(starts_outside, (bool, np.bool_)):
        return windows - int(starts_outside)
    return windows - ops.cast(starts_outside, windows.dtype)


def window_counts(
    size: Any, pool: int, stride: int, padding: int, ceil_mode: bool, count_include_pad: bool
) -> Any:
    """The divisor of every window along one axis.

    A window's divisor in two dimensions is the product of its two counts, since
    its extent is a rectangle. What a window in `ceil_mode` has beyond the padded
    image is never counted.
    """
    xp: Any = np if isinstance(size, int) else ops
    starts = xp.arange(pooled_size(size, pool, stride, padding, ceil_mode)) * stride - padding
    ends = xp.minimum(starts + pool, size + padding)
    if not count_include_pad:
        starts, ends = xp.maximum(starts, 0), xp.minimum(ends, size)
    return ends - starts


def average_pool(
    x: Any,
    pool_size: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Any:
    """Average pooling of a (B, H, W, C) tensor; see `AveragePool2D`."""
    if keras.config.backend() == "torch":
        from keras_poolformer.layers import torch_native

        return torch_native.average_pool(
            x, pool_size, strides, padding, ceil_mode, count_include_pad
        )

    dtype = x.dtype
    if keras.config.backend() == "jax":
        # XLA sums a window in the dtype of its input: nine additions in bfloat16
        # lose a digit that `pool(x) - x` then amplifies.
        x = full_precision(x)

    is_same = (
        strides == (1, 1)
        and all(k % 2 == 1 and p == k // 2 for k, p in zip(pool_size, padding, strict=True))
        and not count_include_pad
    )
    if is_same and _pools_by_shifts(x, pool_size):
        return ops.cast(_same_by_shifts(x, pool_size), dtype)
    if is_same:
        # Keras's "same" pads like this and excludes it: one operation, also in LiteRT.
        return ops.cast(ops.average_pool(x, pool_size, 1, "same"), dtype)

    # Pool the zero-padded map, where every divisor is the full window, then put
    # the right divisors in. In ceil mode, stride - 1 more rows hold every window
    # that may hang over; what is too many is cut off.
    extra = [stride - 1 if ceil_mode else 0 for stride in strides]
    pads = [(0, 0), *((p, p + e) for p, e in zip(padding, extra, strict=True)), (0, 0)]
    sums = ops.average_pool(ops.pad(x, pads), pool_size, strides, "valid")
    axes = list(
        zip(ops.shape(x)[1:3], pool_size, strides, padding, strict=True)
    )  # (size, pool, stride, padding) of each axis
    rows, columns = (pooled_size(*axis, ceil_mode) for axis in axes)
    row_counts, column_counts = (
        ops.cast(window_counts(*axis, ceil_mode, count_include_pad), sums.dtype) for axis in axes
    )
    full = pool_size[0] * pool_size[1]
    correction = full / (
        ops.reshape(row_counts, (1, -1, 1, 1)) * ops.reshape(column_counts, (1, 1, -1, 1))
    )
    return ops.cast(sums[:, :rows, :columns, :] * correction, dtype)


def _pools_by_shifts(x: Any, pool_size: tuple[int, int]) -> bool:
    """Whether shifted sums are the faster pooling."""
    if keras.config.backend() != "jax":
        return False
    from keras_poolformer.layers import jax_native

    return jax_native.shifts_are_faster(x, max(pool_size))


def _same_by_shifts(x: Any, pool_size: tuple[int, int]) -> Any:
    """Average pooling that keeps the size, as sums of shifted maps, rows first, then columns.

    XLA makes one pass over memory of each, and none of its windows on CPUs: 1.5 ms instead of
    5.5 ms for a (16, 56, 56, 64) map and a window of 3 on two cores.
    """
    for axis, window in ((1, pool_size[0]), (2, pool_size[1])):
        half, size = window // 2, x.shape[axis]
        pads = [(0, 0)] * 4
        pads[axis] = (half, half)
        padded = ops.pad(x, pads)
        counts = window_counts(size, window, 1, half, False, False)
        index: list[slice] = [slice(None)] * 4
        total: Any = 0
        for start in range(window):
            index[axis] = slice(start, start + size)
            total = total + padded[tuple(index)]
        shape = [1] * 4
        shape[axis] = size
        x = total / ops.cast(ops.reshape(counts, shape), x.dtype)
    return x


def pool_neighbourhood(x: Any, pool_size: int) -> Any:
    """The average of each pixel's neighbourhood: it keeps the size and leaves the padding out.

    Args:
        x: (B, H, W, C) map.
        pool_size: Side of the window, an odd number.
    """
    half = pool_size // 2
    return average_pool(x, (pool_size, pool_size), (1, 1), (half, half), False, False)


def pool_neighbourhood_transposed(x: Any, pool_size: int) -> Any:
    """The gradient of `pool_neighbourhood`.

    Every pixel gives each neighbour an equal part of its value.

    Args:
        x: (B, H, W, C) map.
        pool_size: Side of the window, an odd number.
    """
    rows, columns = (
        ops.cast(window_counts(size, pool_size, 1, pool_size // 2, False, False), x.dtype)
        for size in ops.shape(x)[1:3]
    )
    counts = ops.reshape(rows, (1, -1, 1, 1)) * ops.reshape(columns, (1, 1, -1, 1))
    return pool_neighbourhood(x / counts, pool_size) * counts


@keras.saving.register_keras_serializable(package="keras_poolformer")
class AveragePool2D(keras.layers.Layer):
    """Average pooling that pads, rounds and divides exactly as `torch.nn.AvgPool2d`.

    `keras.layers.AveragePooling2D` knows "valid" and "same" only. PoolFormer
    pools with symmetric padding that is *not counted*
    (`count_include_pad=False`): a 3x3 window in a corner holds 4 pixels and
    divides by 4, on an edge by 6, inside by 9. The average of a constant map is
    then that constant everywhere, which the paper's token mixer `pool(x) - x`
    relies on.

    For a row `1 2 3 4 5`, with a window of 3, a stride of 2 and a padding of 1:

    ```
    padded              0 1 2 3 4 5 0
    windows            [0 1 2]
                            [2 3 4]
                                [4 5 0]
    count_include_pad=True     3/3   9/3   9/3   ->  1.0  3.0  3.0
    count_include_pad=False    3/2   9/3   9/2   ->  1.5  3.0  4.5
    ```

    `ceil_mode` decides about the last window where the windows do not fill the
    map. For `1 2 3 4`, a window of 3, a stride of 2 and no padding, the first
    window covers `1 2 3` and the next would cover `3 4` and one place beyond the
    edge. `ceil_mode=False` drops it; `ceil_mode=True` keeps it and divides by
    the 2 pixels that exist, whatever `count_include_pad` says, because that
    place is not padding. `docs/pooling.md` has the pictures.

    Args:
        pool_size: Height and width of the window in pixels, one integer for both
            or a pair.
        strides: Step of the window in pixels, an integer or a pair. `None` is
            `pool_size`.
        padding: Rows and columns of zeros on each side, an integer or a pair, at
            most half the window.
        ceil_mode: Whether the number of windows is rounded up instead of down.
        count_include_pad: Whether the zeros of the padding count in the divisor.
        data_format: `"channels_last"` for (B, H, W, C) maps or `"channels_first"`
            for (B, C, H, W).

    Raises:
        ValueError: if a size is not positive, the padding exceeds half the window,
            or the map is too small for a single window.

    Example:
    >>> pool = AveragePool2D(3, strides=1, padding=1, count_include_pad=False)
    >>> pool(keras.ops.ones((1, 4, 4, 1)))[0, :, 0, 0]   # the border stays 1
    [1., 1., 1., 1.]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = int_pair(pool_size, "pool_size", 1)
        self.strides = self.pool_size if strides is None else int_pair(strides, "strides", 1)
        self.padding = int_pair(padding, "padding", 0)
        if any(p > k // 2 for p, k in zip(self.padding, self.pool_size, strict=True)):
            raise ValueError(
                "`padding` must be at most half of `pool_size`, else a window holds padding only. "
                f"Received: padding={padding!r}, pool_size={pool_size!r}"
            )
        self.ceil_mode = bool(ceil_mode)
        self.count_include_pad = bool(count_include_pad)
        self.data_format = check_data_format(data_format)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Pools a map of rank 4 in `data_format`."""
        self.compute_output_shape(inputs.shape)  # a map too small is refused here
        x = to_channels_last(inputs, self.data_format)
        x = average_pool(
            x, self.pool_size, self.strides, self.padding, self.ceil_mode, self.count_include_pad
        )
        return from_channels_last(x, self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = split_shape(input_shape, self.data_format)
        pooled: list[int | None] = []
        for axis, size in enumerate((height, width)):
            if size is None:
                pooled.append(None)
                continue
            pool, stride, padding = self.pool_size[axis], self.strides[axis], self.padding[axis]
            windows = pooled_size(size, pool, stride, padding, self.ceil_mode)
            if windows < 1:
                raise ValueError(
                    f"A window of {pool} pixels does not fit into {size} pixels with a padding of "
                    f"{padding} on each side. Received: input_shape={tuple(input_shape)} with "
                    f"data_format={self.data_format!r}"
                )
            pooled.append(windows)
        return join_shape(batch, pooled[0], pooled[1], channels, self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": list(self.padding),
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
            "data_format": self.data_format,
        }
