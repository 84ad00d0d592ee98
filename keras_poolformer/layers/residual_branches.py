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
    mlp_branch(x)     = x + f * (gelu(x' @ w1 + b1) @ w2 + b2)

Nothing is approximated. `docs/fusion.md` derives the algebra; `docs/performance.md` has what
it brings.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.normalization import sample_mean, sample_statistics
from keras_poolformer.layers.pooling import average_pool, average_pool_transposed

CACHED_BYTES = 8 * 2**20
"""Of the hidden map that is worked on at a time. On an EPYC of 1 MiB a core in L2 and 32 MiB in
L3, 4 and 16 MiB were equal or slower, 2 MiB and the whole map much slower."""


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
    scale = ops.ones((channels,), dtype=keras.backend.result_type(norm.compute_dtype, "float32"))
    if norm.beta is not None:
        # It cancels. Its gradient is zero, and not missing, of which optimizers warn.
        scale = scale + 0.0 * _full(ops.convert_to_tensor(norm.beta))
    for layer in (norm, layer_scale):
        if layer is not None and layer.gamma is not None:
            scale = scale * _full(ops.convert_to_tensor(layer.gamma))
    return scale


def folded_mlp(norm: Any, mlp: Any, layer_scale: Any) -> tuple[Any, Any, Any, Any]:
    """Returns `w1, b1, w2, b2` of `mlp_branch` for a `GroupNorm1`, an MLP and a LayerScale."""
    w1, w2 = (_full(ops.convert_to_tensor(dense.kernel)) for dense in (mlp.fc1, mlp.fc2))
    b1, b2 = (
        ops.zeros_like(w[0]) if dense.bias is None else _full(ops.convert_to_tensor(dense.bias))
        for dense, w in ((mlp.fc1, w1), (mlp.fc2, w2))
    )
    if norm.beta is not None:
        b1 = b1 + ops.matmul(_full(ops.convert_to_tensor(norm.beta)), w1)
    if norm.gamma is not None:
        w1 = w1 * _full(ops.convert_to_tensor(norm.gamma))[:, None]
    if layer_scale is not None:
        scale = _full(ops.convert_to_tensor(layer_scale.gamma))
        w2, b2 = w2 * scale, b2 * scale
    return w1, b1, w2, b2


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
        y = ops.cast(_full(x) + _kept(d * scale, factors), x.dtype)

        def gradient(dy: Any) -> tuple[Any, ...]:
            normalised, d, inverse = _difference(once_more(x, dy), epsilon, pool_size)
            kept = _kept(_full(dy), factors)
            dd = kept * scale
            # Of the norm's gradient, what goes through the mean is zero.
            slope = sample_mean(dd * d, (1, 2), 3)
            dx = average_pool_transposed(dd, pool_size) - dd - normalised * slope
            dscale = ops.sum(ops.sum(kept * d, (1, 2)), 0)
            return (ops.cast(_full(dy) + dx * inverse, x.dtype), dscale, *_none(factors))

        return y, gradient

    return branch(x, scale, *(() if factors is None else (factors,)))


def mlp_branch(
    x: Any,
    w1: Any,
    b1: Any,
    w2: Any,
    b2: Any,
    epsilon: float,
    factors: Any = None,
    recompute: bool = False,
) -> Any:
    """Returns `x + factors * (gelu(x' @ w1 + b1) @ w2 + b2)`.

    Args:
        x: (B, H, W, C) map. Its dtype is that of the matrix products.
        w1: (C, hidden), with the norm's scale in it, in float32 or better.
        b1: (hidden,), with the norm's shift in it.
        w2: (hidden, C), with LayerScale in it.
        b2: (C,), with LayerScale in it.
        epsilon: Added to the variance.
        factors: (B, 1, 1, 1) of stochastic depth in float32, or `None`. They get no gradient.
        recompute: Whether the gradient computes the hidden map once more, one of the six matrix
            products of a step, instead of keeping it, two thirds of what a block keeps.
    """
    if keras.config.backend() == "torch":
        from keras_poolformer.layers import torch_branches

        return torch_branches.MLPBranch.apply(x, w1, b1, w2, b2, epsilon, factors, recompute)

    @ops.custom_gradient
    def branch(x: Any, w1: Any, b1: Any, w2: Any, b2: Any, *factors: Any) -> Any:
        m1, m2 = ops.cast(w1, x.dtype), ops.cast(w2, x.dtype)

        def first_map(rows: Any) -> Any:
            return ops.matmul(rows, m1) + ops.cast(b1, x.dtype)

        normalised, _ = _normalise(x, epsilon)
        kept_hidden = hidden = first_map(_rows(normalised, x.dtype))
        z = ops.matmul(ops.gelu(hidden, approximate=False), m2) + ops.cast(b2, x.dtype)
        y = x + _kept(ops.reshape(z, ops.shape(x)), factors)

        def gradient(dy: Any) -> tuple[Any, ...]:
            normalised, inverse = _normalise(once_more(x, dy), epsilon)
            rows = _rows(normalised, x.dtype)
            hidden = first_map(rows) if recompute else kept_hidden
            dz = _rows(_kept(dy, factors), x.dtype)
            dhidden = ops.matmul(dz, ops.transpose(m2)) * _gelu_slope(hidden)
            dmap = _full(ops.reshape(ops.matmul(dhidden, ops.transpose(m1)), ops.shape(x)))
            slope = sample_mean(dmap * normalised, (1, 2), 3)
            dx = (dmap - sample_mean(dmap, (1, 2), 3) - normalised * slope) * inverse
            activated = ops.gelu(hidden, approximate=False)
            return (
                ops.cast(_full(dy) + dx, x.dtype),
                ops.cast(ops.matmul(ops.transpose(rows), dhidden), w1.dtype),
                ops.sum(_full(dhidden), 0),
                ops.cast(ops.matmul(ops.transpose(activated), dz), w2.dtype),
                ops.sum(_full(dz), 0),
                *_none(factors),
            )

        return y, gradient

    inputs = (x,) if factors is None else (x, factors)
    return by_parts(lambda x, *factors: branch(x, w1, b1, w2, b2, *factors), inputs, w1.shape[1])


def once_more(x: Any, dy: Any) -> Any:
    """Returns `x` as a tensor of which nothing is known before `dy` is there.

    Otherwise compilers see that the gradient computes what the forward pass did, and keep that
    in memory from there to here.
    """
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        return jax.lax.optimization_barrier((x, dy))[0]
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.control_dependencies([dy]):
            return tf.identity(x)
    return x


def _difference(x: Any, epsilon: float, pool_size: int) -> tuple[Any, Any, Any]:
    """Returns x', pool(x') - x' and the inverse deviation, in float32 or better."""
    normalised, inverse = _normalise(x, epsilon)
    half = pool_size // 2
    size, padding = (pool_size, pool_size), (half, half)
    pooled = average_pool(normalised, size, (1, 1), padding, False, False)
    return normalised, pooled - normalised, inverse


def _normalise(x: Any, epsilon: float) -> tuple[Any, Any]:
    """Returns x' and the inverse deviation, in float32 or better."""
    centered, residue, variance = sample_statistics(_full(x), (1, 2), 3)
    inverse = ops.rsqrt(variance + epsilon)
    return (centered - residue) * inverse, inverse


def _full(x: Any) -> Any:
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def _rows(x: Any, dtype: Any) -> Any:
    """A map as a matrix: XLA compiles products of rank 4 into something six times slower."""
    return ops.cast(ops.reshape(x, (-1, x.shape[3])), dtype)


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


def by_parts(function: Callable[..., Any], inputs: tuple[Any, ...], hidden: int) -> Any:
    """Applies a function to as many samples at a time as fit into a processor's cache.

    On JAX, whose compiler makes one pass of a few. TensorFlow's loops cost what they bring
    (a stage-1 block of 16 images: 50 ms in a loop, 34 ms without; JAX 32 and 49 ms).

    Args:
        function: Of the inputs; it works on each sample by itself.
        inputs: Tensors whose first axis is the batch, the first one a (B, H, W, C) map.
        hidden: Channels of the largest map that the function makes.
    """
    batch, height, width, _ = inputs[0].shape
    if keras.config.backend() != "jax" or None in (batch, height, width):
        return function(*inputs)
    import jax

    # A loop over samples that several devices hold would make them wait for each other.
    if jax.default_backend() != "cpu" or jax.device_count() > 1 or not isinstance(batch, int):
        return function(*inputs)
    bytes_of_sample = height * width * hidden * inputs[0].dtype.itemsize
    samples = max(1, min(batch, CACHED_BYTES // bytes_of_sample))
    while batch % samples:
        samples -= 1
    if samples == batch:
        return function(*inputs)
    parts = [x.reshape(batch // samples, samples, *x.shape[1:]) for x in inputs]
    return jax.lax.map(lambda part: function(*part), parts).reshape(inputs[0].shape)
