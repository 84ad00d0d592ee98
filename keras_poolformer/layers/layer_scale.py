"""LayerScale: a learned factor for each channel of a residual branch."""

from typing import Any

import keras

from keras_poolformer.layers.data_format import check_data_format, known_channels, per_channel


@keras.saving.register_keras_serializable(package="keras_poolformer")
class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a learned factor that starts near zero.

    At the start a residual branch then adds next to nothing, and a deep stack
    of blocks is close to the identity, which makes it trainable.

    Args:
        init_value: Initial value of every factor. PoolFormer uses 1e-5 for S12
            and S24, 1e-6 for S36, M36 and M48.
        data_format: `"channels_last"` or `"channels_first"`; it decides which
            axis the vector of factors, of shape (C,), is laid along.

    Reference: [Going deeper with Image Transformers](
        https://arxiv.org/abs/2103.17239), section 2.1.
    """

    def __init__(
        self, init_value: float = 1e-5, data_format: str = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.init_value = float(init_value)
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.gamma = self.add_weight(
            shape=(known_channels(input_shape, self.data_format, type(self).__name__),),
            initializer=keras.initializers.Constant(self.init_value),
            name="gamma",
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Scales a map of rank 4 in `data_format`."""
        return inputs * per_channel(self.gamma, self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "init_value": self.init_value,
            "data_format": self.data_format,
        }
