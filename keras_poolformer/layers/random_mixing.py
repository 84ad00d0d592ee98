"""Frozen random mixing, the token mixer of RandFormer."""

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
class RandomMixing(keras.layers.Layer):
    """Mixes all positions by a random matrix that is never trained.

    Each row of the matrix is the softmax of uniform random numbers. It is a weight,
    which is saved and loaded, and ties the layer to the number of positions that it
    was built for.

    Args:
        seed: Integer seed of the matrix, or `None` for one drawn from Keras's global
            seed.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: if height or width are open, or another number of positions
            comes than the layer was built for.

    Reference: [MetaFormer Baselines for Vision](https://arxiv.org/abs/2210.13452),
        equation 3.
    """

    def __init__(
        self, seed: int | None = None, data_format: str = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        tokens = known_tokens(input_shape, self.data_format, type(self).__name__)
        self.mixing = self.add_weight(
            shape=(tokens, tokens), initializer=self._random_rows, trainable=False, name="mixing"
        )
        self.built = True

    def _random_rows(self, shape: Any, dtype: Any = None) -> Any:
        uniform = keras.initializers.RandomUniform(0.0, 1.0, seed=self.seed)
        return ops.softmax(uniform(shape, dtype), axis=-1)

    def call(self, inputs: Any) -> Any:
        """Mixes a map of rank 4 in `data_format`."""
        tokens = self.mixing.shape[0]
        check_tokens(inputs.shape, tokens, self.data_format, type(self).__name__)
        x = to_channels_last(inputs, self.data_format)
        return from_channels_last(
            mix_tokens(x, ops.convert_to_tensor(self.mixing)), self.data_format
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "data_format": self.data_format}
