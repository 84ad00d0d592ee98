"""The second residual branch of a PoolFormer block: norm, MLP, LayerScale, shortcut."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.gelu import gelu, gelu_and_slope, gelu_for_xla
from keras_poolformer.layers.normalization import sample_mean
from keras_poolformer.layers.precision import full_precision
from keras_poolformer.layers.residual_branches.compilers import (
    by_parts,
    compiler,
    once_more,
    uncompiled,
)
from keras_poolformer.layers.residual_branches.maps import (
    no_gradients,
    normalise,
    statistics_of,
    times_factors,
)
from keras_poolformer.layers.residual_branches.mlp_weights import MLPWeights


def mlp_branch(
    x: Any,
    weights: MLPWeights,
    epsilon: float,
    factors: Any = None,
    recompute: bool = False,
    training: bool | None = False,
) -> Any:
    """Returns `x + factors * scale * (gelu((gamma * x' + beta) @ w1 + b1) @ w2 + b2)`.

    Args:
        x: (B, H, W, C) map. Its dtype is that of the matrix products.
        weights: Of the norm, the MLP and the LayerScale.
        epsilon: Added to the variance.
        factors: (B, 1, 1, 1) of stochastic depth in float32, or `None`. They get no gradient.
        recompute: Whether the gradient computes the hidden map once more, one of the six matrix
            products of a step, instead of keeping it, two thirds of what a block keeps.
        training: Whether a gradient follows, so that parts may be compiled for this size.
    """
    if keras.config.backend() == "torch":
        from keras_poolformer.layers import torch_branches

        return torch_branches.mlp_branch(x, weights, epsilon, factors, recompute)
    given = {name: weight for name, weight in weights._asdict().items() if weight is not None}

    @ops.custom_gradient
    def branch(x: Any, *inputs: Any) -> Any:
        own, factors = (
            weights._replace(**dict(zip(given, inputs, strict=False))),
            inputs[len(given) :],
        )
        part = compiler(x, is_wanted=training)
        statistics = statistics_of(x, epsilon)
        # Not folded, since scales and shifts cost nothing where the maps are written, and at
        # batch 1 most matrices are larger than the maps.
        rows = part(_normalised_rows)(x, *statistics, own.gamma, own.beta)
        kept_hidden = hidden = _linear(rows, own.w1, own.b1)
        activate = gelu if part is uncompiled else part(gelu_for_xla)
        z = _linear(activate(hidden), own.w2, own.b2)
        y = part(_residual)(x, z, own.scale, *factors)

        def gradient(dy: Any) -> tuple[Any, ...]:
            part = compiler(x)
            w1, b1, w2, _ = own.folded()
            again = once_more(x, dy)
            rows = part(_normalised_rows)(again, *statistics, None, None)
            hidden = _linear(rows, w1, b1) if recompute else kept_hidden
            m1, m2 = ops.cast(w1, x.dtype), ops.cast(w2, x.dtype)
            dz = _rows(times_factors(dy, factors), x.dtype)
            dactivated = ops.matmul(dz, ops.transpose(m2))
            activated, dhidden = part(_gelu_gradient)(hidden, dactivated)
            drows = ops.matmul(dhidden, ops.transpose(m1))
            drows = ops.reshape(drows, ops.shape(x))
            products = part(_product_with_normalised)(drows, again, *statistics)
            means = (sample_mean(full_precision(of), (1, 2), 3) for of in (drows, products))
            dx = part(_norm_gradient)(dy, drows, *means, again, *statistics)
            dweights = own.unfolded(
                full_precision(ops.matmul(ops.transpose(rows), dhidden)),
                _column_sums(dhidden),
                full_precision(ops.matmul(ops.transpose(dz), activated)),
                _column_sums(dz),
            )
            return (
                dx,
                *(gradient for gradient in dweights if gradient is not None),
                *no_gradients(factors),
            )

        return y, gradient

    def branch_of(x: Any, *factors: Any) -> Any:
        return branch(x, *given.values(), *factors)

    return by_parts(branch_of, x, factors, weights.w1.shape[1], x.dtype)


def _normalised_rows(x: Any, mean: Any, residue: Any, inverse: Any, gamma: Any, beta: Any) -> Any:
    return _rows(_affine(normalise(x, mean, residue, inverse), gamma, beta), x.dtype)


def _residual(x: Any, z: Any, scale: Any, *factors: Any) -> Any:
    z = times_factors(_affine(ops.reshape(z, ops.shape(x)), scale, None), factors)
    return ops.cast(full_precision(x) + full_precision(z), x.dtype)


def _gelu_gradient(hidden: Any, dactivated: Any) -> tuple[Any, Any]:
    """Returns the activated map, which the gradient of the second matrix needs, and `dhidden`."""
    activated, slope = gelu_and_slope(hidden)
    return ops.cast(activated, hidden.dtype), ops.cast(
        full_precision(dactivated) * slope, hidden.dtype
    )


def _product_with_normalised(drows: Any, x: Any, *statistics: Any) -> Any:
    return full_precision(drows) * normalise(x, *statistics)


def _norm_gradient(dy: Any, drows: Any, mean: Any, slope: Any, x: Any, *statistics: Any) -> Any:
    """The gradient of the shortcut and the norm, of that of the normalised map."""
    dx = full_precision(drows) - mean - normalise(x, *statistics) * slope
    return ops.cast(full_precision(dy) + dx * statistics[2], dy.dtype)


def _column_sums(rows: Any) -> Any:
    """The sum of all rows, in float32 or better."""
    if keras.config.backend() == "tensorflow" and rows.dtype == "float32":
        # A third of the time of its own sum: 2.5 ms instead of 8 for (50176, 256).
        return ops.reshape(ops.matmul(ops.ones((1, ops.shape(rows)[0])), rows), (-1,))
    return ops.sum(full_precision(rows), 0)


def _rows(x: Any, dtype: Any) -> Any:
    """A map as a matrix: XLA compiles products of rank 4 into something six times slower."""
    return ops.cast(ops.reshape(x, (-1, x.shape[3])), dtype)


def _affine(x: Any, scale: Any, shift: Any) -> Any:
    """A map times a factor for each channel plus a shift for each; both may be `None`."""
    x = x if scale is None else x * ops.cast(scale, x.dtype)
    return x if shift is None else x + ops.cast(shift, x.dtype)


def _linear(rows: Any, matrix: Any, bias: Any) -> Any:
    """`rows @ matrix + bias` in the dtype of the rows."""
    matrix, bias = (w if w is None else ops.cast(w, rows.dtype) for w in (matrix, bias))
    if keras.config.backend() == "tensorflow":
        from keras_poolformer.layers import tensorflow_native

        return tensorflow_native.linear(rows, matrix, bias)
    y = ops.matmul(rows, matrix)
    return y if bias is None else y + bias
