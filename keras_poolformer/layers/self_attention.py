"""Multi-head self-attention over the positions of a map."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    known_channels,
    to_channels_last,
)
from keras_poolformer.layers.pointwise import as_convolution, linear_map
from keras_poolformer.layers.precision import full_precision


def attention(query: Any, key: Any, value: Any) -> Any:
    """Scaled dot-product attention of (B, N, heads, head_dim) tensors.

    torch has a fused kernel, which on two CPU cores takes a third of the time of two
    products and a softmax: 33 ms instead of 100 ms for 16 images of 196 positions
    and 10 heads. JAX has one for GPUs; its form for CPUs takes 57 ms where the two
    products take 22 ms. Keras's own for TensorFlow is the two products (25 and 21 ms).
    """
    backend = keras.config.backend()
    if backend == "torch":
        from keras_poolformer.layers import torch_native

        return torch_native.attention(query, key, value)
    if backend == "jax":
        from keras_poolformer.layers import jax_native

        if not jax_native.runs_on_cpu():
            return ops.dot_product_attention(query, key, value)
    scale = query.shape[-1] ** -0.5
    query, key, value = (ops.transpose(x, (0, 2, 1, 3)) for x in (query, key, value))
    scores = ops.matmul(query * scale, ops.transpose(key, (0, 1, 3, 2)))
    # In half precision a softmax over hundreds of positions loses a digit.
    weights = ops.cast(ops.softmax(full_precision(scores), axis=-1), value.dtype)
    return ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))


@keras.saving.register_keras_serializable(package="keras_poolformer")
class SelfAttention(keras.layers.Layer):
    """The self-attention of transformers as a token mixer.

    Every position receives a sum of all positions, weighted by how well its query
    meets their keys. No tensor has a rank above 4. The weights do not depend on the
    number of positions, so the size of the map is free.

    Args:
        head_dim: Channels of a head. There are as many heads as fit into the channels
            of the map, and at least one.
        use_bias: Whether queries, keys and values have biases.
        use_projection_bias: Whether the linear map after the heads has one, as the
            hybrids of the first paper do.
        data_format: `"channels_last"` or `"channels_first"`.
        as_convolutions: Whether the linear maps run as 1x1 convolutions, as in
            `ChannelMLP`. The weights are the same.

    Raises:
        ValueError: if `head_dim` is not a positive integer.

    Reference: [Attention Is All You Need](https://arxiv.org/abs/1706.03762), section
        3.2. Initialised as the official code: normal with a standard deviation of
        0.02.
    """

    def __init__(
        self,
        head_dim: int = 32,
        use_bias: bool = False,
        use_projection_bias: bool = False,
        data_format: str = "channels_last",
        as_convolutions: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(head_dim, int) or isinstance(head_dim, bool) or head_dim < 1:
            raise ValueError(
                f"`head_dim` must be a positive integer, such as 32. Received: {head_dim!r}"
            )
        self.head_dim = head_dim
        self.use_bias = bool(use_bias)
        self.use_projection_bias = bool(use_projection_bias)
        self.data_format = check_data_format(data_format)
        self.as_convolutions = bool(as_convolutions)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = known_channels(input_shape, self.data_format, type(self).__name__)
        self.heads = max(channels // self.head_dim, 1)
        inner = self.heads * self.head_dim
        self.qkv = linear_map(3 * inner, self.use_bias, self.dtype_policy, "qkv")
        self.proj = linear_map(channels, self.use_projection_bias, self.dtype_policy, "proj")
        self.qkv.build((None, channels))
        self.proj.build((None, inner))
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Mixes a map of rank 4 in `data_format`."""
        x = to_channels_last(inputs, self.data_format)
        shape = ops.shape(x)
        inner = self.heads * self.head_dim
        # One product for the three, then three tensors of rank 4 and not one of rank 5.
        if self.as_convolutions:
            together = as_convolution(self.qkv, x)
        else:
            together = self.qkv(ops.reshape(x, (-1, shape[3])))
        query, key, value = (
            ops.reshape(part, (shape[0], shape[1] * shape[2], self.heads, self.head_dim))
            for part in ops.split(together, 3, axis=-1)
        )
        x = attention(query, key, value)
        if self.as_convolutions:
            x = as_convolution(self.proj, ops.reshape(x, (*shape[:3], inner)))
        else:
            x = ops.reshape(self.proj(ops.reshape(x, (-1, inner))), shape)
        return from_channels_last(x, self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "use_bias": self.use_bias,
            "use_projection_bias": self.use_projection_bias,
            "data_format": self.data_format,
            "as_convolutions": self.as_convolutions,
        }
