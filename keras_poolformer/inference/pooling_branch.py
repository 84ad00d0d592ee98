"""Norm, pooling, LayerScale and sum of a block in one layer."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.data_format import known_channels
from keras_poolformer.layers.normalization import sample_statistics
from keras_poolformer.layers.pooling import int_pair, pool_neighbourhood
from keras_poolformer.layers.precision import full_precision
from keras_poolformer.layers.residual_branches import pooling_branch, takes


def has_own_branches(x: Any) -> bool:
    """Whether the branches that training has are the faster ones for a map in inference too.

    TensorFlow's graph is the same either way, and as it is here it is what LiteRT's delegate
    was measured with. In float16 the scaled stream needs the steps as they are here.
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    return keras.config.backend() != "tensorflow" and dtype != "float16" and takes(x)


@keras.saving.register_keras_serializable(package="keras_poolformer")
class PoolingBranch(keras.layers.Layer):
    """The token mixing of a PoolFormer block: `x + layer_scale(pool(norm(x)) - norm(x))`.

    The pooling leaves the padding out, so it keeps constants, and mean and shift
    of the norm cancel in the difference. What remains of norm and LayerScale is
    one factor a sample and one a channel:

    ```
    x + scale * rsqrt(variance(x) + epsilon) * (pool(x) - x)
    ```

    Where the block has a ResScale, one factor a channel, `shortcut`, multiplies the
    first `x`.

    Args:
        pool_size: Side of the window in pixels, an odd number.
        epsilon: Added to the variance of the sample. `None` stands for a block
            without norm, where the variance is not used.
        scales_shortcut: Whether there is a ResScale.
    """

    def __init__(
        self,
        pool_size: int = 3,
        epsilon: float | None = 1e-5,
        scales_shortcut: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        int_pair(pool_size, "pool_size", 1)
        if pool_size % 2 == 0:
            raise ValueError(f"`pool_size` must be odd. Received: {pool_size}")
        self.pool_size = pool_size
        self.epsilon = epsilon
        self.scales_shortcut = bool(scales_shortcut)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.scale = self._factors(input_shape, "scale")
        self.shortcut = self._factors(input_shape, "shortcut") if self.scales_shortcut else None
        self.built = True

    def _factors(self, input_shape: tuple[int | None, ...], name: str) -> Any:
        # A product of two weights: in a half precision it could underflow.
        return self.add_weight(
            shape=(known_channels(input_shape, "channels_last", type(self).__name__),),
            initializer="ones",
            dtype=keras.backend.result_type(self.variable_dtype, "float32"),
            autocast=False,
            name=name,
        )

    def call(self, inputs: Any) -> Any:
        """Maps a (B, H, W, C) map to one of the same shape."""
        if self.epsilon is not None and self.shortcut is None and has_own_branches(inputs):
            scale = ops.convert_to_tensor(self.scale)
            return pooling_branch(inputs, scale, self.epsilon, self.pool_size)
        x = full_precision(inputs)
        d, scale = x, ops.convert_to_tensor(self.scale)
        if self.epsilon is not None:
            # Pooled without its mean, which a small deviation would drown in. It is
            # there already, for the variance.
            d, _, variance = sample_statistics(x, (1, 2), 3)
            scale = scale * ops.rsqrt(variance + self.epsilon)
        d = pool_neighbourhood(d, self.pool_size) - d
        if self.shortcut is not None:
            x = x * ops.convert_to_tensor(self.shortcut)
        if keras.config.backend() == "torch":
            from keras_poolformer.layers import torch_native

            x = torch_native.add_product(x, scale, d)
        else:
            x = x + scale * d
        return ops.cast(x, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "epsilon": self.epsilon,
            "scales_shortcut": self.scales_shortcut,
        }
