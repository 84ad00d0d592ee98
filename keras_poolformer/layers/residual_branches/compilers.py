"""What the branches ask of compilers and devices."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np

Function: TypeAlias = Callable[..., Any]


def takes(x: Any) -> bool:
    """Whether the branches of this package are of use for a map under this backend.

    On torch they are written for eager CPU tensors: `torch.compile` and `torch.export` shall
    see the plain operations, of which they make their own kernels.
    """
    if keras.config.backend() != "torch":
        return True
    import torch

    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def compiler(x: Any, is_wanted: bool | None = True) -> Callable[[Function], Function]:
    """Returns what turns functions of tensors into those to call.

    On TensorFlow, where a step is not compiled as a whole, XLA makes one pass over memory of
    what is many operations. It does so for each size anew, and only gradients and what they
    follow are compiled: inference takes images of every size.

    Args:
        x: A map like those that the functions take.
        is_wanted: Whether they may be compiled.
    """
    if keras.config.backend() != "tensorflow" or not is_wanted or None in x.shape[1:]:
        return uncompiled
    from keras_poolformer.layers import tensorflow_native

    return tensorflow_native.in_one_pass if tensorflow_native.compiles_parts() else uncompiled


def uncompiled(function: Function) -> Function:
    return function


def by_parts(branch: Callable[..., Any], x: Any, factors: Any, channels: int, dtype: Any) -> Any:
    """Applies a branch on JAX to as much of a batch at a time as the processor's cache holds.

    TensorFlow's loops cost what they bring: a stage-1 block of 16 images takes 50 ms in a loop
    over parts of the batch and 34 ms without. JAX takes 32 ms where the whole takes 58.

    Args:
        branch: Of a map and, if there are any, factors of stochastic depth.
        x: (B, H, W, C) map.
        factors: (B, 1, 1, 1), or `None`.
        channels: Of the largest map that the branch makes.
        dtype: Of that map.
    """
    inputs = (x,) if factors is None else (x, factors)
    _, height, width, _ = x.shape
    if keras.config.backend() != "jax" or None in (height, width):
        return branch(*inputs)
    from keras_poolformer.layers import jax_native

    bytes_of_sample = height * width * channels * np.dtype(dtype).itemsize
    return jax_native.by_parts(branch, inputs, bytes_of_sample)


def once_more(x: Any, dy: Any) -> Any:
    """Returns `x` as a tensor of which nothing is known before `dy` is there.

    Otherwise compilers see that the gradient computes what the forward pass did, and keep that
    in memory from there to here.
    """
    backend = keras.config.backend()
    if backend == "jax":
        from keras_poolformer.layers import jax_native

        return jax_native.once_more(x, dy)
    if backend == "tensorflow":
        from keras_poolformer.layers import tensorflow_native

        return tensorflow_native.once_more(x, dy)
    return x
