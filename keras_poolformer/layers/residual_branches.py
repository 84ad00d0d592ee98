"""The two residual branches of a PoolFormer block as one function each, with its own gradient.

Layer by layer a block writes and reads its map, or the four times larger one inside the
MLP, more than twenty times forward and backward, and memory is what a PoolFormer waits for.
Two things make it fewer:

- The pooling leaves the padding out, so it keeps constants: mean and shift of the first
  norm cancel in `pool(x) - x`, and so do their gradients. Scale and shift of the second
  norm, and both LayerScales, are products with the small matrices of the MLP.
- The gradients need the branch's input and the MLP's hidden map before its activation, and
  nothing else: the rest is computed once more where it is used, a part of the batch at a
  time that fits into the processor's cache.

With x' = (x - mean) / deviation of a sample, `f` what stochastic depth multiplies it by:

    pooling_branch(x) = x + f * scale * (pool(x') - x')
    mlp_branch(x)     = x + f * (gelu(x' @ w1 + b1) @ w2 + b2), all folded into w1, b1, w2, b2

Nothing is approximated. `docs/fusion.md` derives the algebra; `docs/performance.md` has what
it brings.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_poolformer.layers.normalization import sample_mean, sample_statistics
from keras_poolformer.layers.pooling import pool_neighbourhood, pool_neighbourhood_transposed
from keras_poolformer.layers.precision import full_precision


def takes(x: Any) -> bool:
    """Whether the branches of this file are of use for a map under this backend.

    On torch they are written for eager CPU tensors: `torch.compile` and `torch.export` shall
    see the plain operations, of which they make their own kernels.
    """
    if keras.config.backend() != "torch":
        return True
    import torch

    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def folded_scale(norm: Any, layer_scale: Any, channels: int) -> Any:
    """Returns what is left of a `GroupNorm1` and a LayerScale in `pooling_branch`."""
    scale = full_precision(ops.ones((channels,), dtype=norm.compute_dtype))
    if norm.beta is not None:
        # It cancels. Its gradient is zero, and not missing, of which optimizers warn.
        scale = scale + 0.0 * _value(norm.beta)
    for layer in (norm, layer_scale):
        if layer is not None and layer.gamma is not None:
            scale = scale * _value(layer.gamma)
    return scale


class MLPWeights(NamedTuple):
    """What an MLP branch has of a norm, an MLP and a LayerScale.

    `gamma` and `beta` (C,) are the norm's, `w1` (C, hidden), `b1` (hidden,), `w2` (hidden, C)
    and `b2` (C,) the MLP's, `scale` (C,) is the LayerScale. `None` stands for one that is not
    there. Matrices have the dtype of the products, all else float32 or better: for one image
    in bfloat16, copies of matrices take as much time as products.
    """

    gamma: Any
    beta: Any
    w1: Any
    b1: Any
    w2: Any
    b2: Any
    scale: Any

    @classmethod
    def of(cls, norm: Any, mlp: Any, layer_scale: Any) -> "MLPWeights":
        """Returns those of a `GroupNorm1`, a `ChannelMLP` and a `LayerScale` or `None`."""
        w1, w2 = (ops.cast(linear.kernel, linear.compute_dtype) for linear in (mlp.fc1, mlp.fc2))
        scale = None if layer_scale is None else layer_scale.gamma
        gamma, beta, b1, b2, scale = (
            None if weight is None else _value(weight)
            for weight in (norm.gamma, norm.beta, mlp.fc1.bias, mlp.fc2.bias, scale)
        )
        return cls(gamma, beta, w1, b1, w2, b2, scale)

    def folded(self) -> tuple[Any, Any, Any, Any]:
        """Returns the two matrices and biases that remain of them all, in float32 or better."""
        _, beta, w1, b1, w2, b2, scale = self
        w1, w2 = full_precision(w1), full_precision(w2)
        b1, b2 = (ops.zeros_like(w[0]) if b is None else b for b, w in ((b1, w1), (b2, w2)))
        if beta is not None:
            b1 = b1 + ops.matmul(beta, w1)
        if self.gamma is not None:
            w1 = w1 * self.gamma[:, None]
        if scale is not None:
            w2, b2 = w2 * scale, b2 * scale
        return w1, b1, w2, b2

    def unfolded(self, dw1: Any, db1: Any, dw2: Any, db2: Any) -> tuple[Any, ...]:
        """Returns the gradients of them all from those of what `folded` returns."""
        gamma, beta, w1, b1, w2, b2, scale = self
        w1, w2 = full_precision(w1), full_precision(w2)
        dgamma = None if gamma is None else ops.sum(dw1 * w1, 1)
        dbeta = None if beta is None else ops.matmul(w1, db1)
        dscale = None if scale is None else ops.sum(dw2 * w2, 0)
        if dscale is not None and b2 is not None:
            dscale = dscale + db2 * b2
        if gamma is not None:
            dw1 = dw1 * gamma[:, None]
        if beta is not None:
            dw1 = dw1 + beta[:, None] * db1
        if scale is not None:
            dw2, db2 = dw2 * scale, db2 * scale
        db1, db2 = (None if b is None else db for b, db in ((b1, db1), (b2, db2)))
        dw1, dw2 = ops.cast(dw1, self.w1.dtype), ops.cast(dw2, self.w2.dtype)
        return dgamma, dbeta, dw1, db1, dw2, db2, dscale


def pooling_branch(x: Any, scale: Any, epsilon: float, pool_size: int, factors: Any = None) -> Any:
    """Returns `x + factors * scale * (pool(x') - x')`.

    Args:
        x: (B, H, W, C) map.
        scale: (C,), the norm's scale times LayerScale, in float32 or better.
        epsilon: Added to the variance.
        pool_size: Side of the window, an odd number.
        factors: (B, 1, 1, 1) of stochastic depth in float32, or `None`. They get no gradient.
    """
    if keras.config.backend() == "torch":
        from keras_poolformer.layers import torch_branches

        return torch_branches.PoolingBranch.apply(x, scale, epsilon, pool_size, factors)

    @ops.custom_gradient
    def branch(x: Any, scale: Any, *factors: Any) -> Any:
        _, d, _ = _difference(x, epsilon, pool_size)
        y = ops.cast(full_precision(x) + _kept(d * scale, factors), x.dtype)

        def gradient(dy: Any) -> tuple[Any, ...]:
            normalised, d, inverse = _difference(once_more(x, dy), epsilon, pool_size)
            kept = _kept(full_precision(dy), factors)
            dd = kept * scale
            # Of the norm's gradient, what goes through the mean is zero.
            slope = sample_mean(dd * d, (1, 2), 3)
            dx = pool_neighbourhood_transposed(dd, pool_size) - dd - normalised * slope
            dscale = ops.sum(ops.sum(kept * d, (1, 2)), 0)
            return (
                ops.cast(full_precision(dy) + dx * inverse, x.dtype),
                dscale,
                *_none(factors),
            )

        return y, gradient

    def branch_of(x: Any, *factors: Any) -> Any:
        return branch(x, scale, *factors)

    # Four maps stand side by side.
    return _by_parts(branch_of, x, factors, 4 * x.shape[3], "float32")


def mlp_branch(
    x: Any, weights: MLPWeights, epsilon: float, factors: Any = None, recompute: bool = False
) -> Any:
    """Returns `x + factors * scale * (gelu((gamma * x' + beta) @ w1 + b1) @ w2 + b2)`.

    Args:
        x: (B, H, W, C) map. Its dtype is that of the matrix products.
        weights: Of the norm, the MLP and the LayerScale.
        epsilon: Added to the variance.
        factors: (B, 1, 1, 1) of stochastic depth in float32, or `None`. They get no gradient.
        recompute: Whether the gradient computes the hidden map once more, one of the six matrix
            products of a step, instead of keeping it, two thirds of what a block keeps.
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
        normalised, _ = _normalise(x, epsilon)
        # Not folded, since scales and shifts cost nothing where the maps are written, and at
        # batch 1 most matrices are larger than the maps.
        rows = _rows(_affine(normalised, own.gamma, own.beta), x.dtype)
        kept_hidden = hidden = _linear(rows, own.w1, own.b1)
        z = _linear(ops.gelu(hidden, approximate=False), own.w2, own.b2)
        z = _kept(_affine(ops.reshape(z, ops.shape(x)), own.scale, None), factors)
        y = ops.cast(full_precision(x) + full_precision(z), x.dtype)

        def gradient(dy: Any) -> tuple[Any, ...]:
            w1, b1, w2, _ = own.folded()
            normalised, inverse = _normalise(once_more(x, dy), epsilon)
            rows = _rows(normalised, x.dtype)
            hidden = _linear(rows, w1, b1) if recompute else kept_hidden
            m1, m2 = ops.cast(w1, x.dtype), ops.cast(w2, x.dtype)
            dz = _rows(_kept(dy, factors), x.dtype)
            dhidden = ops.matmul(dz, ops.transpose(m2)) * _gelu_slope(hidden)
            dmap = full_precision(ops.reshape(ops.matmul(dhidden, ops.transpose(m1)), ops.shape(x)))
            slope = sample_mean(dmap * normalised, (1, 2), 3)
            dx = (dmap - sample_mean(dmap, (1, 2), 3) - normalised * slope) * inverse
            activated = ops.gelu(hidden, approximate=False)
            dweights = own.unfolded(
                full_precision(ops.matmul(ops.transpose(rows), dhidden)),
                ops.sum(full_precision(dhidden), 0),
                full_precision(ops.matmul(ops.transpose(activated), dz)),
                ops.sum(full_precision(dz), 0),
            )
            return (
                ops.cast(full_precision(dy) + dx, x.dtype),
                *(gradient for gradient in dweights if gradient is not None),
                *_none(factors),
            )

        return y, gradient

    def branch_of(x: Any, *factors: Any) -> Any:
        return branch(x, *given.values(), *factors)

    return _by_parts(branch_of, x, factors, weights.w1.shape[1], x.dtype)


def _by_parts(branch: Callable[..., Any], x: Any, factors: Any, channels: int, dtype: Any) -> Any:
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
        import tensorflow as tf

        with tf.control_dependencies([dy]):
            return tf.identity(x)
    return x


def _value(weight: Any) -> Any:
    return full_precision(ops.convert_to_tensor(weight))


def _difference(x: Any, epsilon: float, pool_size: int) -> tuple[Any, Any, Any]:
    """Returns x', pool(x') - x' and the inverse deviation, in float32 or better."""
    normalised, inverse = _normalise(x, epsilon)
    return normalised, pool_neighbourhood(normalised, pool_size) - normalised, inverse


def _normalise(x: Any, epsilon: float) -> tuple[Any, Any]:
    """Returns x' and the inverse deviation, in float32 or better."""
    centered, residue, variance = sample_statistics(full_precision(x), (1, 2), 3)
    inverse = ops.rsqrt(variance + epsilon)
    return (centered - residue) * inverse, inverse


def _rows(x: Any, dtype: Any) -> Any:
    """A map as a matrix: XLA compiles products of rank 4 into something six times slower."""
    return ops.cast(ops.reshape(x, (-1, x.shape[3])), dtype)


def _affine(x: Any, scale: Any, shift: Any) -> Any:
    """A map times a factor for each channel plus a shift for each; both may be `None`."""
    x = x if scale is None else x * ops.cast(scale, x.dtype)
    return x if shift is None else x + ops.cast(shift, x.dtype)


def _linear(rows: Any, matrix: Any, bias: Any) -> Any:
    """`rows @ matrix + bias` in the dtype of the rows."""
    y = ops.matmul(rows, ops.cast(matrix, rows.dtype))
    return y if bias is None else y + ops.cast(bias, rows.dtype)


def _kept(y: Any, factors: tuple[Any, ...]) -> Any:
    """A map times the factors of stochastic depth, if there are any."""
    return y * ops.cast(factors[0], y.dtype) if factors else y


def _none(factors: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradient of the factors, which nobody asks for."""
    return tuple(ops.zeros_like(factor) for factor in factors)


def _gelu_slope(x: Any) -> Any:
    """The derivative of the exact GELU."""
    density = ops.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return 0.5 * (1 + ops.erf(x * math.sqrt(0.5))) + x * density
