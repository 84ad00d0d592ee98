"""Layer normalisation over the channels of each position."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.affine_normalization import AffineNormalization
from keras_poolformer.layers.data_format import from_channels_last, to_channels_last
from keras_poolformer.layers.precision import full_precision


def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Normalises a tensor over its last axis; `None` stands for a scale or shift left out."""
    # Two passes: E[x^2] - E[x]^2 loses every digit where the mean is large.
    centered = x - ops.mean(x, -1, keepdims=True)
    # `d * d` rather than `square(d)`: a LiteRT delegate takes the product.
    variance = ops.mean(centered * centered, -1, keepdims=True)
    y = centered * ops.rsqrt(variance + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


@keras.saving.register_keras_serializable(package="keras_poolformer")
class ChannelLayerNorm(AffineNormalization):
    """Layer normalisation as transformers use it: each position by itself.

    Mean and variance are those of the channels at one position of a sample;
    PoolFormer's own norm, `GroupNorm1`, takes them over the whole map.

    Args:
        epsilon: Added to the variance. The second generation uses 1e-6, the hybrids
            of the first paper 1e-5.
        center: Whether a shift `beta` is learned; ConvFormer and CAFormer have none.
        scale: Whether a scale `gamma` is learned.
        data_format: `"channels_last"` or `"channels_first"`.

    Reference: [Layer Normalization](https://arxiv.org/abs/1607.06450).
    """

    def __init__(
        self,
        epsilon: float = 1e-6,
        center: bool = True,
        scale: bool = True,
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, data_format, **kwargs)

    def call(self, inputs: Any) -> Any:
        """Normalises a map of rank 4 in `data_format`."""
        x = full_precision(inputs)
        x = to_channels_last(x, self.data_format)
        gamma, beta = self.affine(x.dtype)
        if keras.config.backend() == "torch":
            from keras_poolformer.layers import torch_native

            y = torch_native.layer_norm(x, gamma, beta, self.epsilon)
        else:
            y = layer_norm(x, gamma, beta, self.epsilon)
        return from_channels_last(ops.cast(y, inputs.dtype), self.data_format)
