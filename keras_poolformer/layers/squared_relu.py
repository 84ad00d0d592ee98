"""SquaredReLU: the square of what ReLU lets through."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_poolformer")
class SquaredReLU(keras.layers.Layer):
    """Computes `relu(x) ** 2`, on tensors of any rank, in any layout.

    Reference: [Primer](https://arxiv.org/abs/2109.08668), section 4.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Activates a tensor of any shape."""
        x = ops.relu(inputs)
        return x * x

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        # Keras writes the configuration of a layer that has no such method from its
        # arguments, and refuses a dtype policy among them.
        return super().get_config()
