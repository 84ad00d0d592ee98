"""What both branches do with maps."""

from typing import Any

from keras import ops

from keras_poolformer.layers.normalization import centered_statistics, sample_mean
from keras_poolformer.layers.precision import full_precision


def value(weight: Any) -> Any:
    return full_precision(ops.convert_to_tensor(weight))


def statistics_of(x: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Returns the mean, what it lacks by its rounding, and the inverse deviation.

    Each is (B, 1, 1, 1) in float32 or better.
    """
    x = full_precision(x)
    mean = sample_mean(x, (1, 2), 3)
    residue, variance = centered_statistics(x - mean, (1, 2), 3)
    return mean, residue, ops.rsqrt(variance + epsilon)


def normalise(x: Any, mean: Any, residue: Any, inverse: Any) -> Any:
    """Returns x' in float32 or better."""
    return (full_precision(x) - mean - residue) * inverse


def times_factors(y: Any, factors: tuple[Any, ...]) -> Any:
    """A map times the factors of stochastic depth, if there are any."""
    return y * ops.cast(factors[0], y.dtype) if factors else y


def no_gradients(factors: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradient of the factors, which nobody asks for."""
    return tuple(ops.zeros_like(factor) for factor in factors)
