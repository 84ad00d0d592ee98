"""A fully-connected layer over the positions, the token mixer of MLP-like models."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    to_channels_last,
)
from keras_poolformer.layers.tokens import check_tokens, known_tokens, mix_tokens


@keras.saving.register_keras_serializable(package="keras_poolformer")
class SpatialFullyConnected(keras.layers.Layer):
    """Mixes all positions by one learned matrix, the same for every channel, without bias.

    The matrix ties the layer to the number of positions that it was built for.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: if height or width are open, or another number of positions
            comes than the layer was built for.

    Reference: table 5 of [MetaFormer](https://arxiv.org/abs/2111.11418), after
        [ResMLP](https://arxiv.org/abs/2105.03404). Initialised as the official code:
        normal with a standard deviation of 0.02.
    """

    def __init__(self, data_format: str = "channels_last", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        tokens = known_tokens(input_shape, self.data_format, type(self).__name__)
        # As all kernels of linear maps: (inputs, outputs).
        self.kernel = self.add_weight(
            shape=(tokens, tokens),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="kernel",
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Mixes a map of rank 4 in `data_format`."""
        tokens = self.kernel.shape[0]
        check_tokens(inputs.shape, tokens, self.data_format, type(self).__name__)
        x = to_channels_last(inputs, self.data_format)
        return from_channels_last(mix_tokens(x, ops.transpose(self.kernel)), self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}
