"""Depthwise convolution, the token mixer of the MobileNets and of ConvNeXt."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    known_channels,
    to_channels_last,
)
from keras_poolformer.layers.precision import full_precision


@keras.saving.register_keras_serializable(package="keras_poolformer")
class DepthwiseConvolution(keras.layers.Layer):
    """Convolves each channel with a kernel of its own; the map keeps its size.

    Args:
        kernel_size: Side of the window in pixels, an odd number. The paper's
            comparison uses 3, ConvFormer 7.
        use_bias: Whether a bias for each channel is added.
        data_format: `"channels_last"` or `"channels_first"`.

    On a CPU, JAX has no forward-mode derivatives (`jax.jvp`) of it.

    Raises:
        ValueError: if `kernel_size` is even or not positive.

    Reference: table 5 of [MetaFormer](https://arxiv.org/abs/2111.11418). Initialised
        as the official code: normal with a standard deviation of 0.02, zero bias.
    """

    def __init__(
        self,
        kernel_size: int = 3,
        use_bias: bool = True,
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = check_odd(kernel_size, "kernel_size")
        self.use_bias = bool(use_bias)
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = known_channels(input_shape, self.data_format, type(self).__name__)
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, channels, 1),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Convolves a map of rank 4 in `data_format`."""
        x = to_channels_last(inputs, self.data_format)
        if keras.config.backend() == "torch":
            from keras_poolformer.layers import torch_native

            bias = None if self.bias is None else ops.convert_to_tensor(self.bias)
            y = torch_native.depthwise_conv(x, ops.convert_to_tensor(self.kernel), bias)
        else:
            y = self._convolve(x)
            y = y if self.bias is None else y + self.bias
        return from_channels_last(y, self.data_format)

    def _convolve(self, x: Any) -> Any:
        if keras.config.backend() == "jax":
            from keras_poolformer.layers import jax_native

            if jax_native.shifts_are_faster(x, self.kernel_size):
                kernel = full_precision(ops.convert_to_tensor(self.kernel))
                return ops.cast(jax_native.depthwise_conv(full_precision(x), kernel), x.dtype)
        # An odd window and a step of one: "same" pads equally on both sides.
        return ops.depthwise_conv(x, self.kernel, 1, "same", data_format="channels_last")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
            "data_format": self.data_format,
        }


def check_odd(value: int, argument: str) -> int:
    """Returns `value` if it is an odd positive integer.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or value % 2 == 0:
        raise ValueError(
            f"`{argument}` must be an odd positive integer, such as 7: an even window has no "
            f"middle pixel. Received: {value!r}"
        )
    return value
