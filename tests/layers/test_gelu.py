"""The exact GELU and its derivative against the error function of the C library."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_poolformer.layers.gelu import gelu, gelu_and_slope
from tests.backends import to_numpy

X = np.concatenate([np.linspace(-12, 12, 4001), [0.0, -0.0, 1e-30, -1e-30, 60.0, -60.0]])
CDF = np.array([0.5 * (1 + math.erf(x * math.sqrt(0.5))) for x in X])
DENSITY = np.exp(-0.5 * X**2) / math.sqrt(2 * math.pi)

# XLA and torch round the result alone, TensorFlow's own operations each of theirs.
ROUNDS_ONCE = keras.config.backend() != "tensorflow"


def test_both_are_exact_to_the_rounding_of_float32():
    x = ops.convert_to_tensor(X, "float32")
    activated, slope = gelu_and_slope(x)
    for y in (gelu(x), activated):
        np.testing.assert_allclose(to_numpy(y), X * CDF, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(to_numpy(slope), CDF + X * DENSITY, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype):
    x = ops.cast(ops.convert_to_tensor(X, "float32"), dtype)
    y = gelu(x)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    exact, slope = gelu_and_slope(ops.cast(x, "float32"))
    step = 2.0**-7 if dtype == "bfloat16" else 2.0**-10
    rounded = to_numpy(ops.cast(y, "float32"))
    tolerances = (0.51 * step, 1e-6) if ROUNDS_ONCE else (2 * step, step)
    np.testing.assert_allclose(rounded, to_numpy(exact), *tolerances)
    for full, of in zip((exact, slope), gelu_and_slope(x), strict=True):
        assert keras.backend.standardize_dtype(of.dtype) == "float32"
        np.testing.assert_array_equal(to_numpy(of), to_numpy(full))
