"""The exact GELU and its derivative, in few passes under every compiler."""

import math
from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.precision import full_precision


def gelu(x: Any) -> Any:
    """Returns `x * (1 + erf(x / sqrt(2))) / 2`, in the dtype of `x`.

    TensorFlow and torch have kernels for Keras's own, JAX has `gelu_for_xla`.
    """
    return gelu_for_xla(x) if keras.config.backend() == "jax" else ops.gelu(x, approximate=False)


def gelu_for_xla(x: Any) -> Any:
    """Returns `gelu`, written out as torch computes it.

    Keras asks for the complementary error function, which takes XLA twice as long on a processor
    (1.16 and 0.57 ns a number). Half precision is computed in float32 and rounded once, as torch's
    kernel does too.
    """
    full = full_precision(x)
    return ops.cast(full * _normal_cdf(full), x.dtype)


def gelu_and_slope(x: Any) -> tuple[Any, Any]:
    """Returns `gelu` and its derivative, in float32 or better."""
    x = full_precision(x)
    cdf = _normal_cdf(x)
    density = ops.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return x * cdf, cdf + x * density


def _normal_cdf(x: Any) -> Any:
    return 0.5 + 0.5 * ops.erf(x * math.sqrt(0.5))
