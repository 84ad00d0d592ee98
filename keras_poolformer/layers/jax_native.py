"""What the layers ask of JAX itself: the one place with JAX code.

Import this module only where `keras.config.backend() == "jax"`.
"""

from collections.abc import Callable
from typing import Any

import jax


def runs_on_cpu() -> bool:
    """Whether JAX computes on the processor, whose compiler is another than a GPU's."""
    return jax.default_backend() == "cpu"


def once_more(x: Any, dy: Any) -> Any:
    """Returns `x` as a value of which XLA knows nothing before `dy` is there."""
    return jax.lax.optimization_barrier((x, dy))[0]


def by_parts(
    function: Callable[..., Any], inputs: tuple[Any, ...], bytes_of_sample: int, limit: int
) -> Any:
    """Applies a function to as many samples at a time as have at most `limit` bytes.

    Args:
        function: Of the inputs; it works on each sample by itself.
        inputs: Arrays whose first axis is the batch, of known length.
        bytes_of_sample: Of the largest array that the function makes of a sample.
        limit: Bytes; all samples at once on other devices than one processor, since a loop
            over samples that several devices hold would make them wait for each other.
    """
    batch = inputs[0].shape[0]
    if not runs_on_cpu() or jax.device_count() > 1 or not isinstance(batch, int):
        return function(*inputs)
    samples = max(1, min(batch, limit // bytes_of_sample))
    while batch % samples:
        samples -= 1
    if samples == batch:
        return function(*inputs)
    parts = [x.reshape(batch // samples, samples, *x.shape[1:]) for x in inputs]
    return jax.lax.map(lambda part: function(*part), parts).reshape(inputs[0].shape)
