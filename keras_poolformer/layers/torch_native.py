"""Native torch operations on `channels_last` maps: the one place with torch code.

Keras's torch backend copies a `channels_last` tensor into NCHW memory before a
convolution or a pooling, and back after it. The permuted *view* of a contiguous
(B, H, W, C) tensor already is torch's own `torch.channels_last` memory format,
which its kernels read and write directly, so nothing has to be copied on a CPU.
Measured on a (8, 56, 56, 64) map on two CPU cores: 3x3 pooling 24 ms through Keras,
8 ms here.

Import this module only where `keras.config.backend() == "torch"`.
"""

from typing import Any

import torch
import torch.nn.functional as F


def average_pool(
    x: torch.Tensor,
    pool_size: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> torch.Tensor:
    """`torch.nn.functional.avg_pool2d` of a (B, H, W, C) tensor.

    On CUDA the map is copied to NCHW and back: torch's gradient of the pooling of
    a `channels_last` map is wrong there (torch 2.11 on an H100: a relative error of
    about 1, at every size). The copies cost little: 0.64 ms instead of 0.55 ms for
    a (128, 56, 56, 64) map in bfloat16.
    """
    view = x.permute(0, 3, 1, 2)
    if x.device.type != "cpu":
        view = view.contiguous()
    y = F.avg_pool2d(view, pool_size, strides, padding, ceil_mode, count_include_pad)
    if x.device.type != "cpu":
        y = y.contiguous(memory_format=torch.channels_last)
    return y.permute(0, 2, 3, 1)


def conv(
    x: torch.Tensor,
    kernel: Any,
    bias: Any,
    strides: tuple[int, int],
    padding: tuple[int, int],
) -> torch.Tensor:
    """`torch.nn.functional.conv2d` of a (B, H, W, C) tensor with an HWIO kernel."""
    y = F.conv2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), bias, strides, padding)
    return y.permute(0, 2, 3, 1)


def add_product(x: torch.Tensor, factor: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """`x + factor * y` in one pass."""
    return torch.addcmul(x, factor, y)


def depthwise_conv(x: torch.Tensor, kernel: Any, bias: Any) -> torch.Tensor:
    """Depthwise convolution of a (B, H, W, C) tensor with an (H, W, C, 1) kernel, size kept."""
    padding = tuple(side // 2 for side in kernel.shape[:2])
    weight = kernel.permute(2, 3, 0, 1)
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, 1, padding, groups=x.shape[3])
    return y.permute(0, 2, 3, 1)


def layer_norm(x: torch.Tensor, gamma: Any, beta: Any, epsilon: float) -> torch.Tensor:
    """Layer normalisation over the last axis, in one kernel: 6.1 ms become 1.1 ms."""
    return F.layer_norm(x, x.shape[-1:], gamma, beta, epsilon)


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The fused attention of torch, for (B, N, heads, head_dim) tensors.

    `keras.ops.dot_product_attention` calls the same, behind checks that
    `torch.compile` cannot trace.
    """
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
