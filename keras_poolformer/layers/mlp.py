"""The channel MLP: the second half of a MetaFormer block."""

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
from keras_poolformer.layers.gelu import gelu
from keras_poolformer.layers.pointwise import (
    as_convolution,
    each_bias,
    linear_map,
    serialize_bias,
)
from keras_poolformer.layers.stochastic_depth import check_rate


@keras.saving.register_keras_serializable(package="keras_poolformer")
class ChannelMLP(keras.layers.Layer):
    """Two linear maps over the channels of each position, with an activation between.

    Equal to two 1x1 convolutions. It runs as two matrix products on a
    (B * H * W, C) matrix, because XLA on a CPU compiles a product on the rank-4
    map several times slower, and because quantisation and second-order
    optimizers of Keras look for `Dense` layers.

    Args:
        ratio: Channels of the hidden layer over those of the input.
        activation: Name or function of the activation, or a layer. `"gelu"` is the
            exact form with the error function, `"star_relu"` learns two scalars.
        use_bias: Whether the linear maps have biases: one answer for both, or one for each.
        dropout_rate: Rate of the dropout after each linear map, in [0, 1).
        data_format: `"channels_last"` or `"channels_first"`.
        as_convolutions: Whether it runs as two 1x1 convolutions all the same, which
            is what the GPUs of phones know best. The weights are the same.

    Raises:
        ValueError: if `ratio` is not positive, a rate is not in [0, 1), or the
            activation is unknown.

    Reference: section 3.1 of [MetaFormer](https://arxiv.org/abs/2111.11418),
        equation 3. Initialised as the official code: normal with a standard
        deviation of 0.02.
    """

    def __init__(
        self,
        ratio: float = 4.0,
        activation: ActivationSpec = "gelu",
        use_bias: bool | Sequence[bool] = True,
        dropout_rate: float = 0.0,
        data_format: str = "channels_last",
        as_convolutions: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not ratio > 0:
            raise ValueError(f"`ratio` must be positive, such as 4. Received: {ratio!r}")
        self.ratio = ratio
        self.activation = make_activation(activation, self.dtype_policy)
        self.use_bias = each_bias(use_bias, 2)
        self.dropout_rate = check_rate(dropout_rate, "dropout_rate")
        self.data_format = check_data_format(data_format)
        self.as_convolutions = bool(as_convolutions)
        self.dropout = keras.layers.Dropout(
            self.dropout_rate, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = known_channels(input_shape, self.data_format, type(self).__name__)
        hidden = int(channels * self.ratio)
        self.fc1 = linear_map(hidden, self.use_bias[0], self.dtype_policy, "fc1")
        self.fc2 = linear_map(channels, self.use_bias[1], self.dtype_policy, "fc2")
        self.fc1.build((None, channels))
        if isinstance(self.activation, keras.layers.Layer):
            self.activation.build((None, hidden))
        self.fc2.build((None, hidden))
        self.dropout.build((None, hidden))
        self.built = True

    @property
    def is_plain(self) -> bool:
        """Whether it is two matrix products with a GELU between and nothing else."""
        return (
            self.activation is keras.activations.gelu
            and not self.dropout_rate
            and not self.as_convolutions
            and not (self.built and (self.fc1.quantization_mode or self.fc2.quantization_mode))
        )

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Maps a map of rank 4 in `data_format` to one of the same shape."""
        x = to_channels_last(inputs, self.data_format)
        shape = ops.shape(x)
        if not self.as_convolutions:
            x = ops.reshape(x, (-1, shape[3]))
        x = self._drop(self._activate(self._apply(self.fc1, x)), training)
        x = self._drop(self._apply(self.fc2, x), training)
        if not self.as_convolutions:
            x = ops.reshape(x, shape)
        return from_channels_last(x, self.data_format)

    def _apply(self, linear: keras.layers.Dense, x: Any) -> Any:
        return as_convolution(linear, x) if self.as_convolutions else linear(x)

    def _activate(self, x: Any) -> Any:
        return (gelu if self.activation is keras.activations.gelu else self.activation)(x)

    def _drop(self, x: Any, training: bool | None) -> Any:
        # The call of a layer that does nothing costs 60 microseconds on torch.
        return self.dropout(x, training=training) if self.dropout_rate else x

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "activation": serialize_activation(self.activation),
            "use_bias": serialize_bias(self.use_bias),
            "dropout_rate": self.dropout_rate,
            "data_format": self.data_format,
            "as_convolutions": self.as_convolutions,
        }
