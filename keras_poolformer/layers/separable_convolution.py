"""The inverted separable convolution, the token mixer of ConvFormer."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.activation import (
    ActivationSpec,
    make_activation,
    serialize_activation,
)
from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    known_channels,
    to_channels_last,
)
from keras_poolformer.layers.depthwise_convolution import DepthwiseConvolution
from keras_poolformer.layers.pointwise import (
    as_convolution,
    each_bias,
    linear_map,
    serialize_bias,
)


@keras.saving.register_keras_serializable(package="keras_poolformer")
class SeparableConvolution(keras.layers.Layer):
    """Widens the channels, activates, convolves each of them, and narrows them again.

    ```
    pwconv2(dwconv(activation(pwconv1(x))))
    ```

    The two pointwise convolutions are matrix products on a (B * H * W, C) matrix,
    as in `ChannelMLP`.

    Args:
        kernel_size: Side of the depthwise window in pixels, an odd number.
        expansion_ratio: Channels inside over those outside.
        activation: A name, a function, or a layer; `"star_relu"` learns.
        use_bias: Whether the three convolutions have biases: one answer for all, or one
            for each.
        data_format: `"channels_last"` or `"channels_first"`.
        as_convolutions: Whether the pointwise convolutions run as 1x1 convolutions, as
            in `ChannelMLP`. The weights are the same.

    Raises:
        ValueError: if `kernel_size` is even, or `expansion_ratio` not positive.

    Reference: [MetaFormer Baselines for Vision](https://arxiv.org/abs/2210.13452),
        equation 4; the block of [MobileNetV2](https://arxiv.org/abs/1801.04381).
        Initialised as the official code: normal with a standard deviation of 0.02.
    """

    def __init__(
        self,
        kernel_size: int = 7,
        expansion_ratio: float = 2.0,
        activation: ActivationSpec = "star_relu",
        use_bias: bool | Sequence[bool] = False,
        data_format: str = "channels_last",
        as_convolutions: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not expansion_ratio > 0:
            raise ValueError(
                f"`expansion_ratio` must be positive, such as 2. Received: {expansion_ratio!r}"
            )
        self.expansion_ratio = expansion_ratio
        self.use_bias = each_bias(use_bias, 3)
        self.data_format = check_data_format(data_format)
        self.as_convolutions = bool(as_convolutions)
        self.activation = make_activation(activation, self.dtype_policy)
        self.dwconv = DepthwiseConvolution(
            kernel_size, self.use_bias[1], dtype=self.dtype_policy, name="dwconv"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = known_channels(input_shape, self.data_format, type(self).__name__)
        hidden = int(channels * self.expansion_ratio)
        self.pwconv1 = linear_map(hidden, self.use_bias[0], self.dtype_policy, "pwconv1")
        self.pwconv2 = linear_map(channels, self.use_bias[2], self.dtype_policy, "pwconv2")
        self.pwconv1.build((None, channels))
        if isinstance(self.activation, keras.layers.Layer):
            self.activation.build((None, hidden))
        self.dwconv.build((None, None, None, hidden))
        self.pwconv2.build((None, hidden))
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Mixes a map of rank 4 in `data_format`."""
        x = to_channels_last(inputs, self.data_format)
        if self.as_convolutions:
            x = self.dwconv(self.activation(as_convolution(self.pwconv1, x)))
            return from_channels_last(as_convolution(self.pwconv2, x), self.data_format)
        batch, height, width, channels = ops.shape(x)
        hidden = self.pwconv1.units
        x = self.activation(self.pwconv1(ops.reshape(x, (-1, channels))))
        x = self.dwconv(ops.reshape(x, (batch, height, width, hidden)))
        x = self.pwconv2(ops.reshape(x, (-1, hidden)))
        x = ops.reshape(x, (batch, height, width, channels))
        return from_channels_last(x, self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.dwconv.kernel_size,
            "expansion_ratio": self.expansion_ratio,
            "activation": serialize_activation(self.activation),
            "use_bias": serialize_bias(self.use_bias),
            "data_format": self.data_format,
            "as_convolutions": self.as_convolutions,
        }
