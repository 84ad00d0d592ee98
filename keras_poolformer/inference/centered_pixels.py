"""What is left of the normalisation of pixels when a convolution divides by the deviation."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_poolformer")
class CenteredPixels(keras.layers.Layer):
    """Subtracts a constant from each channel of (B, H, W, C) pixels.

    Args:
        mean: The constants, one a channel.
    """

    def __init__(self, mean: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean = [float(value) for value in mean]
        self.built = True

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.compute_dtype)  # the pixels may be integers
        return x - ops.convert_to_tensor(self.mean, dtype=x.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean}
