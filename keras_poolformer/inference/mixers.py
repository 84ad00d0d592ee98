"""Token mixers that take what is learned before and behind them into their own weights."""

from typing import Any

import numpy as np

from keras_poolformer.inference.folding import (
    IDENTITY,
    Affine,
    Part,
    behind,
    linear,
    times,
    values,
)
from keras_poolformer.layers.depthwise_convolution import DepthwiseConvolution
from keras_poolformer.layers.self_attention import SelfAttention
from keras_poolformer.layers.separable_convolution import SeparableConvolution
from keras_poolformer.layers.squared_relu import SquaredReLU
from keras_poolformer.layers.star_relu import StarReLU


def takes(mixer: Any, affine: Affine) -> bool:
    """Returns whether a mixer can take an affine map before it, and a scale behind it."""
    if type(mixer) is DepthwiseConvolution:
        return affine.shift is None  # a shift does not cross the zeros at the border
    return type(mixer) in (SeparableConvolution, SelfAttention)


def mixing(mixer: Any, affine: Affine, factor: np.ndarray, convolutions: bool) -> Part:
    """Returns a mixer that computes `factor * mixer(scale * x + shift)`.

    Args:
        mixer: One of those that it `takes`.
        affine: The scale and the shift.
        factor: The factor, one a channel or one for all.
        convolutions: Whether linear maps run as 1x1 convolutions.
    """
    arguments = {"dtype": mixer.dtype_policy, "name": mixer.name}
    if type(mixer) is SelfAttention:
        qkv, projection = behind(affine, linear(mixer.qkv)), times(factor, linear(mixer.proj))
        attention = SelfAttention(
            mixer.head_dim,
            qkv.bias is not None,
            projection.bias is not None,
            as_convolutions=convolutions,
            **arguments,
        )
        return attention, {"qkv": qkv.weights, "proj": projection.weights}
    if type(mixer) is DepthwiseConvolution:
        kernel = values(mixer.kernel) * np.reshape(affine.scale * factor, (-1, 1))
        bias = [] if mixer.bias is None else [values(mixer.bias) * factor]
        return DepthwiseConvolution(mixer.kernel_size, mixer.use_bias, **arguments), [kernel, *bias]
    return _separable(mixer, affine, factor, convolutions, arguments)


def _separable(
    mixer: Any, affine: Affine, factor: np.ndarray, convolutions: bool, arguments: Any
) -> Part:
    first, last = behind(affine, linear(mixer.pwconv1)), times(factor, linear(mixer.pwconv2))
    activation, own, scale = mixer.activation, [], np.array(1.0)
    if type(activation) is StarReLU and split_star_relu(activation).scale != 0:
        # The kernel takes the scale. The bias does not cross the zeros at the border.
        scale, shift = split_star_relu(activation)
        activation = SquaredReLU()
        if shift is not None:
            activation, own = StarReLU(use_scale=False), [np.reshape(shift / scale, 1)]
    elif hasattr(activation, "get_weights"):
        own = activation.get_weights()
    depthwise = [values(mixer.dwconv.kernel) * scale]
    if mixer.dwconv.bias is not None:
        depthwise.append(values(mixer.dwconv.bias))
    biases = (first.bias is not None, mixer.dwconv.use_bias, last.bias is not None)
    layer = SeparableConvolution(
        mixer.dwconv.kernel_size,
        mixer.expansion_ratio,
        activation,
        biases,
        as_convolutions=convolutions,
        **arguments,
    )
    weights = {"pwconv1": first.weights, "dwconv": depthwise, "pwconv2": last.weights}
    return layer, {**weights, "activation": own} if own else weights


def split_star_relu(activation: Any) -> Affine:
    """Returns what a `StarReLU` does to the square: a scale and a shift."""
    scale = IDENTITY.scale if activation.scale is None else values(activation.scale)[0]
    bias = values(activation.bias)[0]
    return Affine(np.asarray(scale), np.asarray(bias) if bias else None)
