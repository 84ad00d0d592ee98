"""Normalisation over a whole sample with an affine map per channel."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.affine_normalization import AffineNormalization
from keras_poolformer.layers.batch_norm import BatchNorm
from keras_poolformer.layers.channel_layer_norm import ChannelLayerNorm
from keras_poolformer.layers.data_format import per_channel
from keras_poolformer.layers.precision import full_precision


def sample_mean(x: Any, spatial_axes: tuple[int, int], channel_axis: int) -> Any:
    """Mean over height, width and channels, as (B, 1, 1, 1).

    The mean of a channel's pixels comes first, then the mean of channels. The
    partial sums stay small: squares summed over H, W and C at once pass 65504,
    the largest float16, in every block of PoolFormer-S12.
    """
    return ops.mean(ops.mean(x, spatial_axes, keepdims=True), channel_axis, keepdims=True)


def sample_statistics(x: Any, spatial_axes: tuple[int, int], channel_axis: int) -> Any:
    """Returns a map less its mean, the mean of what is left, and the variance.

    The last two are (B, 1, 1, 1). The normalised map is
    `(centered - residue) * rsqrt(variance + epsilon)`.
    """
    centered = x - sample_mean(x, spatial_axes, channel_axis)
    return centered, *centered_statistics(centered, spatial_axes, channel_axis)


def centered_statistics(
    centered: Any, spatial_axes: tuple[int, int], channel_axis: int
) -> tuple[Any, Any]:
    """Returns the mean of what is left of a map less its mean, and the variance."""
    # The rounded mean is off by up to half a unit in its last place, which is
    # 4e-6 for a mean of 100. The mean of what is left repairs it, and reads
    # the same values as the variance does. `d * d` rather than `square(d)`:
    # a LiteRT delegate takes the product in every precision.
    residue = sample_mean(centered, spatial_axes, channel_axis)
    squares = sample_mean(centered * centered, spatial_axes, channel_axis)
    return residue, squares - residue * residue


@keras.saving.register_keras_serializable(package="keras_poolformer")
class GroupNorm1(AffineNormalization):
    """Group normalisation with one group, the norm of PoolFormer.

    Mean and variance are those of a sample's whole map, over height, width and
    channels together; scale and shift are learned per channel. (LayerNorm as
    ViT and ConvNeXt use it takes its statistics over the channels of one
    position.) The paper calls it modified layer normalisation.

    Differs from `keras.layers.GroupNormalization(groups=1)` in three ways: its
    statistics stay accurate where the mean is large against the deviation
    (relative error about 1e-7 where mean/std is 100; the torch backend of Keras
    is at 1e-3 there), no tensor has a rank above 4, and epsilon is PyTorch's.

    Args:
        epsilon: Added to the variance.
        center: Whether a shift `beta` is learned.
        scale: Whether a scale `gamma` is learned.
        data_format: `"channels_last"` or `"channels_first"`.

    Reference: [Group Normalization](https://arxiv.org/abs/1803.08494), equation 1
        with G = 1; section 4.1 of [MetaFormer](https://arxiv.org/abs/2111.11418).
    """

    def __init__(
        self,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, data_format, **kwargs)

    def call(self, inputs: Any) -> Any:
        """Normalises a map of rank 4 in `data_format`."""
        axes = ((1, 2), 3) if self.data_format == "channels_last" else ((2, 3), 1)
        x = full_precision(inputs)
        centered, residue, variance = sample_statistics(x, *axes)
        factor = ops.rsqrt(variance + self.epsilon)
        gamma, beta = self.affine(x.dtype)
        if gamma is not None:
            factor = factor * per_channel(gamma, self.data_format)
        shift = -residue * factor
        if beta is not None:
            shift = shift + per_channel(beta, self.data_format)
        return ops.cast(centered * factor + shift, inputs.dtype)


NORMS: dict[str, type[keras.layers.Layer]] = {
    "batch_norm": BatchNorm,
    "group_norm": GroupNorm1,
    "layer_norm": ChannelLayerNorm,
}
