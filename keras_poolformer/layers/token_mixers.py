"""Token mixers: the part of a MetaFormer block that moves information between positions.

A token mixer is any layer that maps a (B, H, W, C) map to one of the same shape.
"""

from typing import Any

import keras

from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    split_shape,
    to_channels_last,
)
from keras_poolformer.layers.depthwise_convolution import DepthwiseConvolution
from keras_poolformer.layers.pooling import pool_neighbourhood
from keras_poolformer.layers.random_mixing import RandomMixing
from keras_poolformer.layers.self_attention import SelfAttention
from keras_poolformer.layers.separable_convolution import SeparableConvolution
from keras_poolformer.layers.spatial_fully_connected import SpatialFullyConnected


@keras.saving.register_keras_serializable(package="keras_poolformer")
class Pooling(keras.layers.Layer):
    """The pooling token mixer of PoolFormer: `pool(x) - x`.

    Every position receives the average of its neighbourhood. The block around
    the mixer adds its own input back, so `x` is subtracted here (section 3.2 of
    the paper). The padding is left out of the average: equation 4 of the paper
    writes 1/K^2 everywhere, the official code divides by the pixels that exist,
    and trained weights expect the code.

    Args:
        pool_size: Side of the window in pixels, an odd number. The paper uses 3.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: if `pool_size` is even or not positive.

    Reference: [MetaFormer Is Actually What You Need for Vision](
        https://arxiv.org/abs/2111.11418), equation 4 and algorithm 1.
    """

    def __init__(
        self, pool_size: int = 3, data_format: str = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(pool_size, int) or isinstance(pool_size, bool) or pool_size < 1:
            raise ValueError(
                f"`pool_size` must be an odd positive integer, such as 3. Received: {pool_size!r}"
            )
        if pool_size % 2 == 0:
            raise ValueError(
                "`pool_size` must be odd: an even window has no middle pixel, so with equal "
                "padding on both sides the pooled map has one row and one column more than `x` "
                f"and `pool(x) - x` does not exist. Received: {pool_size}. "
                f"Use {pool_size - 1} or {pool_size + 1}"
            )
        self.pool_size = pool_size
        self.data_format = check_data_format(data_format)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Mixes a map of rank 4 in `data_format`."""
        split_shape(inputs.shape, self.data_format)
        x = to_channels_last(inputs, self.data_format)
        return from_channels_last(pool_neighbourhood(x, self.pool_size) - x, self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "data_format": self.data_format,
        }


TOKEN_MIXERS: dict[str, type[keras.layers.Layer]] = {
    "depthwise_convolution": DepthwiseConvolution,
    "identity": keras.layers.Identity,
    "pooling": Pooling,
    "random_mixing": RandomMixing,
    "self_attention": SelfAttention,
    "separable_convolution": SeparableConvolution,
    "spatial_fully_connected": SpatialFullyConnected,
}
