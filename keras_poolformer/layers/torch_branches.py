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

from keras_poolformer.layers import cache, residual_branches
from keras_poolformer.layers.pooling import pool_neighbourhood
from keras_poolformer.layers.precision import full_precision


class PoolingBranch(torch.autograd.Function):
    """`x + factors * scale * (pool(x') - x')`."""

    @staticmethod
    def forward(
        ctx: Any, x: Any, scale: Any, epsilon: float, pool_size: int, factors: Any
    ) -> torch.Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, scale, factors)
        ctx.epsilon, ctx.pool_size = epsilon, pool_size
        y = torch.empty_like(x)
        for part in _parts(x, x.shape[3]):
            normalised, _ = _normalise(x[part], epsilon)
            d = pool_neighbourhood(normalised, pool_size).sub_(normalised)
            _store(
                y, part, torch.addcmul, full_precision(x[part]), d, _product(scale, factors, part)
            )
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[Any, ...]:
        _refuse_higher_orders()
        x, scale, factors = ctx.saved_tensors
        dx, dscale = torch.empty_like(x), torch.zeros_like(scale)
        for part in _parts(x, x.shape[3]):
            upstream = full_precision(dy[part])
            normalised, inverse = _normalise(x[part], ctx.epsilon)
            d = pool_neighbourhood(normalised, ctx.pool_size).sub_(normalised)
            dd = upstream * _product(scale, factors, part)
            kept = upstream if factors is None else upstream * factors[part]
            dscale += (kept * d).sum((0, 1, 2))
            # Of the norm's gradient, what goes through the mean is zero.
            slope = d.mul_(dd).mean((1, 2, 3), keepdim=True)
            gradient = _pool_transposed(dd, ctx.pool_size).sub_(dd)
            gradient.addcmul_(normalised, slope, value=-1)
            _store(dx, part, torch.addcmul, upstream, gradient, inverse)
        return dx, dscale, None, None, None


def mlp_branch(
    x: Any, weights: residual_branches.MLPWeights, epsilon: float, factors: Any, recompute: bool
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
        activations = None
        if keeps and any(ctx.needs_input_grad):
            activations = x.new_empty((*x.shape[:3], hidden))
        y = torch.empty_like(x)
        for part in _parts(x, hidden):
            normalised = _normalise(x[part], epsilon, gamma, beta)[0].to(x.dtype)
            rows, out = normalised.reshape(-1, channels), y[part].view(-1, channels)
            saved = None if activations is None else activations[part].view(-1, hidden)
            for chunk in _slices(len(rows), hidden * x.element_size()):
                h = _linear(rows[chunk], m1, c1, None if saved is None else saved[chunk])
                h = torch.ops.aten.gelu_(h) if saved is None else F.gelu(h)
                _linear(h, m2, c2, out[chunk])
            if scale is None and factors is None:
                y[part] += x[part]
            else:
                factor = _product(scale, factors, part).to(x.dtype)
                torch.addcmul(x[part], y[part], factor, out=y[part])
        ctx.save_for_backward(x, activations, gamma, beta, w1, b1, w2, b2, scale, factors)
        ctx.epsilon = epsilon
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[Any, ...]:
        _refuse_higher_orders()
        x, activations, gamma, beta, w1, b1, w2, b2, scale, factors = ctx.saved_tensors
        weights = residual_branches.MLPWeights(gamma, beta, w1, b1, w2, b2, scale)
        channels, hidden = w1.shape
        m1, c1, m2, _ = (weight.to(x.dtype) for weight in weights.folded())
        dx = torch.empty_like(x)
        dw1, dw2 = torch.empty_like(w1), torch.empty_like(w2)
        db1, db2 = w1.new_zeros(hidden), w1.new_zeros(channels)
        # A layer that is frozen needs no gradients of its weights.
        is_trained = any(ctx.needs_input_grad[1:8])
        for part in _parts(x, hidden):
            normalised, inverse = _normalise(x[part], ctx.epsilon)
            rows = normalised.to(x.dtype).reshape(-1, channels)
            upstream = dy[part].contiguous()
            dz = upstream if factors is None else upstream * factors[part].to(x.dtype)
            dz = dz.view(-1, channels)
            saved = None if activations is None else activations[part].view(-1, hidden)
            drows = x.new_empty(rows.shape)
            for chunk in _slices(len(rows), hidden * x.element_size()):
                h = torch.addmm(c1, rows[chunk], m1) if saved is None else saved[chunk]
                dh = torch.ops.aten.gelu_backward(dz[chunk] @ m2.t(), h)
                torch.mm(dh, m1.t(), out=drows[chunk])
                if is_trained:
                    is_first = part.start == chunk.start == 0
                    _accumulate(dw1, rows[chunk], dh, is_first)
                    _accumulate(dw2, F.gelu(h), dz[chunk], is_first)
                    db1 += dh.sum(0, dtype=db1.dtype)
            if is_trained:
                db2 += dz.sum(0, dtype=db2.dtype)
            gradient = drows.view(upstream.shape).to(normalised.dtype)
            slope = (gradient * normalised).mean((1, 2, 3), keepdim=True)
            gradient = gradient.sub_(gradient.mean((1, 2, 3), keepdim=True))
            gradient.addcmul_(normalised, slope, value=-1)
            _store(dx, part, torch.addcmul, full_precision(upstream), gradient, inverse)
        dweights = weights.unfolded(dw1, db1, dw2, db2) if is_trained else (None,) * 7
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


def _parts(x: torch.Tensor, channels: int) -> Iterator[slice]:
    """Slices of the batch, of whose maps with so many channels one fits into the cache."""
    batch, height, width, _ = x.shape
    return _slices(batch, height * width * channels * x.element_size())


def _slices(count: int, bytes_of_one: int) -> Iterator[slice]:
    """Slices of `count` samples or rows that fit into the cache."""
    size = max(1, cache.CACHED_BYTES // bytes_of_one)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _normalise(
    x: torch.Tensor, epsilon: float, gamma: Any = None, beta: Any = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns `gamma * x' + beta` and the inverse deviation, in float32 or better."""
    full = full_precision(x)
    # torch's kernel computes E[x^2] - E[x]^2: exact only where the mean is taken off before.
    centered = full - full.mean((1, 2, 3), keepdim=True)
    batch, height, width, channels = x.shape
    normalised, _, inverse = torch.native_group_norm(
        centered.permute(0, 3, 1, 2), gamma, beta, batch, channels, height * width, 1, epsilon
    )
    return normalised.permute(0, 2, 3, 1), inverse.view(-1, 1, 1, 1)


def _product(scale: Any, factors: Any, part: slice) -> torch.Tensor:
    """A factor for each channel times one for each sample; one of the two may be `None`."""
    if factors is None:
        return scale
    return factors[part] if scale is None else scale * factors[part]


def _linear(rows: torch.Tensor, matrix: torch.Tensor, bias: Any, out: Any) -> torch.Tensor:
    """`rows @ matrix + bias`, into `out` if there is one."""
    if bias is None:
        return torch.mm(rows, matrix, out=out)
    return torch.addmm(bias, rows, matrix, out=out)


def _pool_transposed(x: torch.Tensor, size: int) -> torch.Tensor:
    view, half = x.permute(0, 3, 1, 2), size // 2
    y = torch.ops.aten.avg_pool2d_backward(
        view, view, [size, size], [1, 1], [half, half], False, False, None
    )
    return y.permute(0, 2, 3, 1)


def _accumulate(
    total: torch.Tensor, left: torch.Tensor, right: torch.Tensor, is_first: bool
) -> None:
    """Adds `left.T @ right`, in full precision whatever that of the two is."""
    if left.dtype == total.dtype:
        total.addmm_(left.t(), right, beta=0 if is_first else 1)
    elif is_first:
        total.copy_(left.t() @ right)
    else:
        total += left.t() @ right


def _store(
    target: torch.Tensor, part: slice, function: Callable[..., torch.Tensor], *inputs: torch.Tensor
) -> None:
    """Puts what a function gives into a part of a tensor, in one pass where the dtypes agree."""
    if target.dtype == inputs[0].dtype:
        function(*inputs, out=target[part])
    else:
        target[part] = function(*inputs)
