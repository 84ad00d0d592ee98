"""The first residual branch of a PoolFormer block: norm, pooling, LayerScale, shortcut."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.pooling import pool_neighbourhood, pool_neighbourhood_transposed
from keras_poolformer.layers.precision import full_precision
from keras_poolformer.layers.residual_branches.compilers import by_parts, compiler, once_more
from keras_poolformer.layers.residual_branches.maps import (
    no_gradients,
    normalise,
    statistics_of,
    times_factors,
    value,
)


def folded_scale(norm: Any, layer_scale: Any, channels: int) -> Any:
    """Returns what is left of a `GroupNorm1` and a LayerScale in `pooling_branch`."""
    scale = full_precision(ops.ones((channels,), dtype=norm.compute_dtype))
    if norm.beta is not None:
        # It cancels. Its gradient is zero, and not missing, of which optimizers warn.
        scale = scale + 0.0 * value(norm.beta)
    for layer in (norm, layer_scale):
        if layer is not None and layer.gamma is not None:
            scale = scale * value(layer.gamma)
    return scale


def pooling_branch(
    x: Any,
    scale: Any,
    epsilon: float,
    pool_size: int,
    factors: Any = None,
    training: bool | None = False,
) -> Any:
    """Returns `x + factors * scale * (pool(x') - x')`.

    Args:
        x: (B, H, W, C) map.
        scale: (C,), the norm's scale times LayerScale, in float32 or better.
        epsilon: Added to the variance.
        pool_size: Side of the window, an odd number.
        factors: (B, 1, 1, 1) of stochastic depth in float32, or `None`. They get no gradient.
        training: Whether a gradient follows, so that parts may be compiled for this size.
    """
    if keras.config.backend() == "torch":
        from keras_poolformer.layers import torch_branches

        return torch_branches.PoolingBranch.apply(x, scale, epsilon, pool_size, factors)

    @ops.custom_gradient
    def branch(x: Any, scale: Any, *factors: Any) -> Any:
        part = compiler(x, is_wanted=training)
        statistics = statistics_of(x, epsilon)
        normalised = part(normalise)(x, *statistics)
        pooled = pool_neighbourhood(normalised, pool_size)
        y = part(_mixed)(x, normalised, pooled, scale, *factors)

        def gradient(dy: Any) -> tuple[Any, ...]:
            part = compiler(x)
            normalised = part(normalise)(once_more(x, dy), *statistics)
            pooled = pool_neighbourhood(normalised, pool_size)
            # Of this sum come the gradient of the scale and the slope of the norm's.
            sums = ops.sum(part(_mixed_gradient)(dy, normalised, pooled, *factors), (1, 2))
            # Of the norm's gradient, what goes through the mean is zero.
            positions = ops.cast(ops.shape(x)[1] * ops.shape(x)[2], sums.dtype)
            slope = ops.reshape(ops.mean(sums * scale, -1) / positions, (-1, 1, 1, 1))
            dpooled = part(_scaled)(dy, scale, *factors)
            dx = pool_neighbourhood_transposed(dpooled, pool_size)
            dx = part(_pooling_gradient)(dy, dx, dpooled, normalised, slope, statistics[2])
            return dx, ops.sum(sums, 0), *no_gradients(factors)

        return y, gradient

    def branch_of(x: Any, *factors: Any) -> Any:
        return branch(x, scale, *factors)

    # Four maps stand side by side.
    return by_parts(branch_of, x, factors, 4 * x.shape[3], "float32")


def _mixed(x: Any, normalised: Any, pooled: Any, scale: Any, *factors: Any) -> Any:
    return ops.cast(
        full_precision(x) + times_factors((pooled - normalised) * scale, factors), x.dtype
    )


def _mixed_gradient(dy: Any, normalised: Any, pooled: Any, *factors: Any) -> Any:
    return times_factors(full_precision(dy), factors) * (pooled - normalised)


def _scaled(dy: Any, scale: Any, *factors: Any) -> Any:
    return times_factors(full_precision(dy), factors) * scale


def _pooling_gradient(
    dy: Any, dx: Any, dpooled: Any, normalised: Any, slope: Any, inverse: Any
) -> Any:
    return ops.cast(full_precision(dy) + (dx - dpooled - normalised * slope) * inverse, dy.dtype)
