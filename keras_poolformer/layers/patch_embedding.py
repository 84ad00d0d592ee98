"""Patch embedding: the strided convolution of the stem and between stages."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    join_shape,
    known_channels,
    split_shape,
    to_channels_last,
)
from keras_poolformer.layers.pooling import int_pair


@keras.saving.register_keras_serializable(package="keras_poolformer")
class PatchEmbedding(keras.layers.Layer):
    """A convolution that turns overlapping patches into tokens.

    The padding is explicit and symmetric. Keras's `padding="same"` pads an even
    map by one row less at the top, which gives the same shape and other numbers.

    Args:
        filters: Channels of the output.
        patch_size: Height and width of a patch in pixels, an integer or a pair.
        strides: Distance of the patches in pixels, an integer or a pair.
        padding: Rows and columns of zeros on each side, an integer or a pair.
        init_std: Standard deviation of a normal initialisation of the kernel, with a
            bias of zero, as in the second generation (0.02). `None` for PyTorch's.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: if a size or `init_std` is not positive, or the map is smaller than
            one patch.

    Reference: table 1 of [MetaFormer](https://arxiv.org/abs/2111.11418): 7x7,
        stride 4, padding 2 for the stem; 3x3, stride 2, padding 1 between stages.
        By default initialised as PyTorch's convolution, which the official code of
        PoolFormer leaves as it is: kernel and bias uniform within 1 / sqrt(fan_in).
    """

    def __init__(
        self,
        filters: int,
        patch_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: int | Sequence[int] = 0,
        data_format: str = "channels_last",
        init_std: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(filters, int) or filters < 1:
            raise ValueError(f"`filters` must be a positive integer. Received: {filters!r}")
        self.filters = filters
        self.patch_size = int_pair(patch_size, "patch_size", 1)
        self.strides = int_pair(strides, "strides", 1)
        self.padding = int_pair(padding, "padding", 0)
        self.data_format = check_data_format(data_format)
        if init_std is not None and not init_std > 0:
            raise ValueError(
                f"`init_std` must be positive, such as 0.02, or None. Received: {init_std!r}"
            )
        self.init_std = init_std

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = known_channels(input_shape, self.data_format, type(self).__name__)
        axis = 3 if self.data_format == "channels_last" else 1
        self.input_spec = keras.InputSpec(ndim=4, axes={axis: channels})
        fan_in = channels * self.patch_size[0] * self.patch_size[1]
        bound = fan_in**-0.5
        kernel: Any = keras.initializers.RandomUniform(-bound, bound)
        bias: Any = keras.initializers.RandomUniform(-bound, bound)
        if self.init_std is not None:
            kernel, bias = keras.initializers.RandomNormal(stddev=self.init_std), "zeros"
        shape = (*self.patch_size, channels, self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=kernel, name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer=bias, name="bias")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Embeds a map of rank 4 in `data_format`."""
        self.compute_output_shape(inputs.shape)  # a map too small is refused here
        x = to_channels_last(inputs, self.data_format)
        if keras.config.backend() == "torch":
            from keras_poolformer.layers import torch_native

            kernel, bias = ops.convert_to_tensor(self.kernel), ops.convert_to_tensor(self.bias)
            x = torch_native.conv(x, kernel, bias, self.strides, self.padding)
        else:
            if any(self.padding):
                x = ops.pad(x, [(0, 0), *((p, p) for p in self.padding), (0, 0)])
            x = self._convolve(x) + self.bias
        return from_channels_last(x, self.data_format)

    def _convolve(self, x: Any) -> Any:
        if keras.config.backend() == "jax":
            from keras_poolformer.layers import jax_native

            if jax_native.patches_are_faster(x):
                kernel = ops.cast(ops.convert_to_tensor(self.kernel), x.dtype)
                return jax_native.conv_of_patches(x, kernel, self.strides)
        return ops.conv(x, self.kernel, self.strides, "valid", data_format="channels_last")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, _ = split_shape(input_shape, self.data_format)
        embedded: list[int | None] = []
        for axis, size in enumerate((height, width)):
            if size is None:
                embedded.append(None)
                continue
            span = size + 2 * self.padding[axis] - self.patch_size[axis]
            if span < 0:
                raise ValueError(
                    f"A patch of {self.patch_size[axis]} pixels does not fit into {size} pixels "
                    f"with a padding of {self.padding[axis]} on each side. "
                    f"Received: input_shape={tuple(input_shape)}"
                )
            embedded.append(span // self.strides[axis] + 1)
        return join_shape(batch, embedded[0], embedded[1], self.filters, self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "patch_size": list(self.patch_size),
            "strides": list(self.strides),
            "padding": list(self.padding),
            "data_format": self.data_format,
            "init_std": self.init_std,
        }
