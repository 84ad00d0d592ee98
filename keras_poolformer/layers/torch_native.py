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
    """`torch.nn.functional.conv2d` of a (B, H, W, C) tensor with an HWIO kernel.

    Where the kernel is larger than what it is applied to, moving it to where torch wants it
    takes most of the time. Then patches are moved: for one (14, 14, 320) map and 512 filters
    of 3x3, 4.3 ms become 0.8 ms.
    """
    height, width, channels, filters = kernel.shape
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        rows, columns = (
            (x.shape[1 + i] + 2 * padding[i] - kernel.shape[i]) // strides[i] + 1 for i in (0, 1)
        )
        if 0 < len(x) * rows * columns < filters:
            padded = F.pad(x, (0, 0, padding[1], padding[1], padding[0], padding[0]))
            patches = padded.unfold(1, height, strides[0]).unfold(2, width, strides[1])
            patches = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, height * width * channels)
            y = linear(patches, kernel.reshape(-1, filters), bias)
            return y.view(len(x), rows, columns, filters)
    # As a matrix it is transposed in a third of the time: 2.9 and 1.0 ms for (3, 3, 320, 512).
    weight = kernel.reshape(-1, filters).t().contiguous()
    weight = weight.view(filters, height, width, channels).permute(0, 3, 1, 2)
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, strides, padding)
    return y.permute(0, 2, 3, 1)


def linear(rows: torch.Tensor, matrix: Any, bias: Any = None, gelu: bool = False) -> torch.Tensor:
    """`rows @ matrix + bias`, and of that the exact GELU.

    torch itself multiplies float32 matrices with MKL, copies the bias into the result before
    and applies the GELU after. oneDNN, which `torch.compile` uses here, does all of it in one
    pass, without gradients. An MLP of 784 tokens of 512 channels: 18.6 and 16.9 ms, of 49 of
    them 2.1 and 1.3 ms.
    """
    if not torch.is_grad_enabled() and _has_onednn(rows):
        activation, algorithm = ("gelu", "none") if gelu else ("none", "")
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, matrix.t(), bias, activation, [], algorithm
        )
        return y
    y = torch.mm(rows, matrix) if bias is None else torch.addmm(bias, rows, matrix)
    return F.gelu(y) if gelu else y


def _has_onednn(x: torch.Tensor) -> bool:
    """Whether this build of torch has oneDNN, and oneDNN this tensor's dtype on this processor."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if x.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return x.dtype == torch.float32


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
