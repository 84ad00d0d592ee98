"""What the layers ask of JAX itself: the one place with JAX code.

Import this module only where `keras.config.backend() == "jax"`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from keras_poolformer.layers import cache

LARGEST_SHIFTED = 9
"""Side of the largest window that is a sum of shifted maps: the program grows with its square."""

SHORTEST_PATCH_CHANNELS = 16
"""Of a convolution that is better a product: not the stem's, of images of three channels."""


def runs_on_cpu() -> bool:
    """Whether JAX computes on the processor, whose compiler is another than a GPU's."""
    return jax.default_backend() == "cpu"


def once_more(x: Any, dy: Any) -> Any:
    """Returns `x` as a value of which XLA knows nothing before `dy` is there."""
    return jax.lax.optimization_barrier((x, dy))[0]


def by_parts(function: Callable[..., Any], inputs: tuple[Any, ...], bytes_of_sample: int) -> Any:
    """Applies a function to as many samples at a time as the processor's cache holds.

    On other devices than one processor it takes all at once, since a loop over samples that
    several devices hold would make them wait for each other.

    Args:
        function: Of the inputs; it works on each sample by itself.
        inputs: Arrays whose first axis is the batch, of known length.
        bytes_of_sample: Of the largest array that the function makes of a sample.
    """
    batch = inputs[0].shape[0]
    if not runs_on_cpu() or jax.device_count() > 1 or not isinstance(batch, int):
        return function(*inputs)
    samples = max(1, min(batch, cache.CACHED_BYTES // bytes_of_sample))
    while batch % samples:
        samples -= 1
    if samples == batch:
        return function(*inputs)
    parts = [x.reshape(batch // samples, samples, *x.shape[1:]) for x in inputs]
    y = jax.lax.map(lambda part: function(*part), parts)
    return y.reshape(batch, *y.shape[2:])


def shifts_are_faster(x: Any, window: int) -> bool:
    """Whether a window that moves over a map is better a sum of shifted maps.

    XLA makes one pass over memory of such a sum on a CPU, and slow loops of its own windows and
    grouped convolutions.
    """
    return runs_on_cpu() and window <= LARGEST_SHIFTED and _size_is_known(x)


@jax.custom_vjp
def depthwise_conv(x: Any, kernel: Any) -> Any:
    """Convolves a (B, H, W, C) map with an odd (k, k, C, 1) kernel; the map keeps its size.

    A sum of k * k shifted maps. Of 4 images on two cores, k = 7: forward 101 ms become 5 for
    a (56, 56, 128) map, forward and backward 225 become 59; for (14, 14, 640), 33 become 1.2 and
    299 become 7.
    """
    (size, *_), (_, height, width, _) = kernel.shape, x.shape
    padded = _padded(x, size)
    total = 0.0
    for i in range(size):
        for j in range(size):
            total = total + padded[:, i : i + height, j : j + width] * kernel[i, j, :, 0]
    return total


def _depthwise_gradient(kept: tuple[Any, Any], dy: Any) -> tuple[Any, Any]:
    (x, kernel), (_, height, width, _) = kept, dy.shape
    size = kernel.shape[0]
    padded = _padded(x, size)

    def of_row(i: Any) -> Any:
        rows = jax.lax.dynamic_slice_in_dim(padded, i, height, 1)
        columns = (rows[:, :, j : j + width] for j in range(size))
        return jnp.stack([jnp.sum(column * dy, (0, 1, 2)) for column in columns])

    # A loop: all k * k sums in one program take twice to five times as long.
    dkernel = jax.lax.map(of_row, jnp.arange(size))[..., None]
    return depthwise_conv(dy, kernel[::-1, ::-1]), dkernel


depthwise_conv.defvjp(lambda x, kernel: (depthwise_conv(x, kernel), (x, kernel)),
                      _depthwise_gradient)  # fmt: skip


def _size_is_known(x: Any) -> bool:
    return all(isinstance(size, int) for size in x.shape[1:3])


def _padded(x: Any, size: int) -> Any:
    half = size // 2
    return jnp.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))


def patches_are_faster(x: Any) -> bool:
    """Whether a convolution is better a product of its kernel and a matrix of patches."""
    return runs_on_cpu() and x.shape[3] >= SHORTEST_PATCH_CHANNELS and _size_is_known(x)


def conv_of_patches(x: Any, kernel: Any, strides: tuple[int, int]) -> Any:
    """Convolves a padded (B, H, W, C) map with an HWIO kernel, without padding.

    For as many samples at a time as the cache holds: the three convolutions between the stages
    of an S12 take 42 ms for 16 images instead of 52, and forward and backward 103 instead of 110.
    """
    (rows, columns, _, filters), (_, height, width, _) = kernel.shape, x.shape
    tall, wide = (height - rows) // strides[0] + 1, (width - columns) // strides[1] + 1
    matrix = kernel.reshape(-1, filters)

    def embed(x: Any) -> Any:
        taken = [
            x[:, i : i + strides[0] * tall : strides[0], j : j + strides[1] * wide : strides[1]]
            for i in range(rows)
            for j in range(columns)
        ]
        patches = jnp.concatenate([t[:, :tall, :wide] for t in taken], -1)
        return (patches.reshape(-1, len(matrix)) @ matrix).reshape(-1, tall, wide, filters)

    return by_parts(embed, (x,), tall * wide * len(matrix) * x.dtype.itemsize)
