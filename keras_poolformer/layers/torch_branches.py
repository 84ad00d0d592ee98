"""The residual branches of a PoolFormer block on torch, eager, on the CPU.

See `keras_poolformer.layers.residual_branches` for what they compute. Each works on some
samples at a time, so that what stands between two operations stays in the processor's cache
and is not allocated anew: a fresh tensor of 51 MB, the hidden map of a first block for 16
images, costs 16 ms before anything is computed. One block of stage 1, 16 images, two cores,
layer by layer and here: 62 and 30 ms forward, 184 and 121 ms forward and backward.

Import this module only where `keras.config.backend() == "torch"`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from keras_poolformer.layers import cache
from keras_poolformer.layers.pooling import pool_neighbourhood
from keras_poolformer.layers.precision import full_precision
from keras_poolformer.layers.residual_branches.mlp_weights import MLPWeights
from keras_poolformer.layers.torch_native import linear

POOLED_BYTES = 16
"""Of a number of a map that is pooled: four maps of float32 stand side by side."""


class PoolingBranch(torch.autograd.Function):
    """`x + factors * scale * (pool(x') - x')`."""

    @staticmethod
    def forward(
        ctx: Any, x: Any, scale: Any, epsilon: float, pool_size: int, factors: Any
    ) -> torch.Tensor:
        x = x.contiguous()
        y = torch.empty_like(x)
        means, inverses = (full_precision(x.new_empty(len(x), 1, 1, 1)) for _ in range(2))
        for part in _parts(x, POOLED_BYTES * x.shape[3]):
            full, centered, means[part], inverses[part] = _centre(x[part], epsilon)
            d = pool_neighbourhood(centered, pool_size).sub_(centered)
            factor = _product(scale, factors, part) * inverses[part]
            _store(y, part, torch.addcmul, full, d, factor)
        ctx.save_for_backward(x, scale, factors, means, inverses)
        ctx.pool_size = pool_size
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[Any, ...]:
        _refuse_higher_orders()
        x, scale, factors, means, inverses = ctx.saved_tensors
        dx, dscale = torch.empty_like(x), torch.zeros_like(scale)
        for part in _parts(x, POOLED_BYTES * x.shape[3]):
            upstream, inverse = full_precision(dy[part]), inverses[part]
            centered = full_precision(x[part]) - means[part]
            d = pool_neighbourhood(centered, ctx.pool_size).sub_(centered)
            factor = _product(scale, factors, part)
            # Of this sum come the gradient of the scale and the slope of the norm's, of which
            # what goes through the mean is zero.
            sums = d.mul_(upstream).mean((1, 2), keepdim=True) * inverse
            slope = (sums * factor).mean(3, keepdim=True) * inverse
            kept = sums if factors is None else sums * factors[part]
            dscale += kept.sum((0, 1, 2)) * (x.shape[1] * x.shape[2])
            dd = upstream * factor
            gradient = _pool_transposed(dd, ctx.pool_size).sub_(dd)
            gradient.addcmul_(centered, slope, value=-1)
            _store(dx, part, torch.addcmul, upstream, gradient, inverse)
        return dx, dscale, None, None, None


def mlp_branch(
    x: Any, weights: MLPWeights, epsilon: float, factors: Any, recompute: bool
) -> torch.Tensor:
    """The function of that name in `residual_branches`."""
    keeps = torch.is_grad_enabled() and not recompute
    result: torch.Tensor = MLPBranch.apply(x, *weights, epsilon, factors, keeps)
    return result


class MLPBranch(torch.autograd.Function):
    """`x + factors * scale * (gelu((gamma * x' + beta) @ w1 + b1) @ w2 + b2)`.

    The kernels of the norm and of the last sum take `gamma`, `beta` and `scale` at no cost, so
    that nothing is folded into the matrices forward: at batch 1 their maps are smaller. The
    gradient folds, since it then needs `x'` alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Any,
        gamma: Any,
        beta: Any,
        w1: Any,
        b1: Any,
        w2: Any,
        b2: Any,
        scale: Any,
        epsilon: float,
        factors: Any,
        keeps: bool,
    ) -> torch.Tensor:
        x, channels, hidden = x.contiguous(), x.shape[3], w1.shape[1]
        m1, c1, m2, c2 = (None if w is None else w.to(x.dtype) for w in (w1, b1, w2, b2))
        keeps = keeps and any(ctx.needs_input_grad)
        activations: list[torch.Tensor] = []
        y = torch.empty_like(x)
        tokens, out = x.flatten(1, 2), y.flatten(1, 2)
        for part in _parts(x, hidden * x.element_size()):
            normalised = _normalise(x[part], epsilon, gamma, beta)[0].to(x.dtype)
            normalised = normalised.flatten(1, 2)
            factor = _product(scale, None if factors is None else factors[:, 0], part)
            for piece in _pieces(normalised, hidden):
                rows = normalised[:, piece].reshape(-1, channels)
                if keeps:
                    activations.append(linear(rows, m1, c1))
                    h = F.gelu(activations[-1])
                else:
                    h = linear(rows, m1, c1, gelu=True)
                before, after = tokens[part, piece], out[part, piece]
                z = linear(h, m2, c2).view(before.shape)
                if factor is None:
                    torch.add(before, z, out=after)
                else:
                    torch.addcmul(before, z, factor.to(x.dtype), out=after)
        ctx.save_for_backward(x, gamma, beta, w1, b1, w2, b2, scale, factors, *activations)
        ctx.epsilon = epsilon
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[Any, ...]:
        _refuse_higher_orders()
        x, gamma, beta, w1, b1, w2, b2, scale, factors, *activations = ctx.saved_tensors
        weights = MLPWeights(gamma, beta, w1, b1, w2, b2, scale)
        channels, hidden = w1.shape
        folded = weights.folded()
        m1, c1, m2, _ = (weight.to(x.dtype) for weight in folded)
        dw1, db1, db2 = (torch.zeros_like(folded[index]) for index in (0, 1, 3))
        dw2_transposed = torch.zeros_like(dw1)
        dx = torch.empty_like(x)
        # A layer that is frozen needs no gradients of its weights.
        is_trained = any(ctx.needs_input_grad[1:8])
        kept = iter(activations)
        for part in _parts(x, hidden * x.element_size()):
            normalised, inverse = _normalise(x[part], ctx.epsilon)
            upstream = dy[part].contiguous()
            dz = upstream if factors is None else upstream * factors[part].to(x.dtype)
            tokens, dz = normalised.to(x.dtype).flatten(1, 2), dz.flatten(1, 2)
            gradients = []
            for piece in _pieces(tokens, hidden):
                rows, drows = (t[:, piece].reshape(-1, channels) for t in (tokens, dz))
                h = next(kept) if activations else linear(rows, m1, c1)
                dh = torch.ops.aten.gelu_backward(linear(drows, m2.t()), h)
                gradients.append(linear(dh, m1.t()))
                if is_trained:
                    _accumulate(dw1, rows, dh)
                    _accumulate(dw2_transposed, drows, F.gelu(h))
                    db1 += _sum(dh)
            if is_trained:
                db2 += _sum(dz.view(-1, channels))
            # Of more than one piece there is one sample.
            gradient = torch.cat(gradients) if len(gradients) > 1 else gradients[0]
            gradient = full_precision(gradient.view(upstream.shape))
            slope = (gradient * normalised).mean((1, 2, 3), keepdim=True)
            gradient = gradient.sub_(gradient.mean((1, 2, 3), keepdim=True))
            gradient.addcmul_(normalised, slope, value=-1)
            _store(dx, part, torch.addcmul, full_precision(upstream), gradient, inverse)
        dweights = weights.unfolded(dw1, db1, dw2_transposed, db2) if is_trained else (None,) * 7
        return dx, *dweights, None, None, None


def _refuse_higher_orders() -> None:
    """Raises an error where torch would silently leave this gradient's own gradient out.

    Raises:
        RuntimeError: with `create_graph=True`.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "`custom_gradients` must be False for derivatives of a higher order "
            "(`create_graph=True`) through a PoolFormer block on torch. Received: True. Build the "
            "model with `custom_gradients=False`"
        )


def _parts(x: torch.Tensor, bytes_of_token: int) -> Iterator[slice]:
    """Slices of the batch, of whose maps with so many bytes a position one fits into the cache."""
    batch, height, width, _ = x.shape
    return _slices(batch, height * width * bytes_of_token)


def _pieces(tokens: torch.Tensor, hidden: int) -> Iterator[slice]:
    """Slices of the positions of (B, N, C) tokens whose hidden map fits into the cache.

    There is more than one of them only where a single sample is too large.
    """
    batch, positions, _ = tokens.shape
    return _slices(positions, batch * hidden * tokens.element_size())


def _slices(count: int, bytes_of_one: int) -> Iterator[slice]:
    """Slices of `count` samples or positions that fit into the cache."""
    size = max(1, cache.CACHED_BYTES // bytes_of_one)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _centre(x: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, ...]:
    """Returns x, x - mean, the mean and the inverse deviation, in float32 or better."""
    full = full_precision(x)
    mean = full.mean((1, 2, 3), keepdim=True)
    centered = full - mean
    variance = (centered * centered).mean((1, 2, 3), keepdim=True)
    return full, centered, mean, torch.rsqrt(variance + epsilon)


def _normalise(
    x: torch.Tensor, epsilon: float, gamma: Any = None, beta: Any = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns `gamma * x' + beta` and the inverse deviation, in float32 or better.

    The first is in bfloat16 where x is.
    """
    batch, height, width, channels = x.shape
    if x.dtype == torch.bfloat16:
        # With a factor of its own the kernel computes in float32. What is lost in E[x^2] - E[x]^2
        # is then far less than what x has lost in bfloat16.
        gamma = torch.ones(channels) if gamma is None else gamma
    else:
        # torch's kernel computes E[x^2] - E[x]^2: exact only where the mean is taken off before.
        x = full_precision(x)
        x = x - x.mean((1, 2, 3), keepdim=True)
    normalised, _, inverse = torch.native_group_norm(
        x.permute(0, 3, 1, 2), gamma, beta, batch, channels, height * width, 1, epsilon
    )
    return normalised.permute(0, 2, 3, 1), inverse.view(-1, 1, 1, 1)


def _product(scale: Any, factors: Any, part: slice) -> torch.Tensor:
    """A factor for each channel times one for each sample; one of the two may be `None`."""
    if factors is None:
        return scale
    factors = factors[part]
    return factors if scale is None else scale * factors


def _pool_transposed(x: torch.Tensor, size: int) -> torch.Tensor:
    view, half = x.permute(0, 3, 1, 2), size // 2
    y = torch.ops.aten.avg_pool2d_backward(
        view, view, [size, size], [1, 1], [half, half], False, False, None
    )
    return y.permute(0, 2, 3, 1)


def _accumulate(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Adds `left.T @ right`, in full precision whatever that of the two is."""
    if left.dtype == total.dtype:
        total.addmm_(left.t(), right)
    else:
        total += left.t() @ right


def _sum(rows: torch.Tensor) -> torch.Tensor:
    """The sum of all rows, in float32 or better but for bfloat16.

    That is summed by a product: torch's sum in another dtype copies the rows into it before,
    4 ms for (3136, 1280) where the product takes 0.2.
    """
    if rows.dtype == torch.bfloat16:
        return (rows.new_ones(1, len(rows)) @ rows)[0]
    return rows.sum(0, dtype=torch.promote_types(rows.dtype, torch.float32))


def _store(
    target: torch.Tensor, part: slice, function: Callable[..., torch.Tensor], *inputs: torch.Tensor
) -> None:
    """Puts what a function gives into a part of a tensor, in one pass where the dtypes agree."""
    if target.dtype == inputs[0].dtype:
        function(*inputs, out=target[part])
    else:
        target[part] = function(*inputs)
