"""StarReLU: a squared ReLU with a learned scale and a learned bias."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_poolformer")
class StarReLU(keras.layers.Layer):
    """Computes `scale * relu(x) ** 2 + bias` with two learned scalars.

    The activation of the second generation: a square is cheaper than GELU's error
    function, and the scalars let the network undo the shift of the distribution
    that a square brings. Works on tensors of any rank, in any layout.

    Args:
        scale_init_value: Initial value of the scale.
        bias_init_value: Initial value of the bias.
        use_scale: Whether there is a scale.

    Reference: [MetaFormer Baselines for Vision](https://arxiv.org/abs/2210.13452),
        equation 5. (For inputs of a standard normal distribution 0.8944 and -0.4472
        keep mean and variance; the authors start at 1 and 0 and let them learn.)
    """

    def __init__(
        self,
        scale_init_value: float = 1.0,
        bias_init_value: float = 0.0,
        use_scale: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scale_init_value = float(scale_init_value)
        self.bias_init_value = float(bias_init_value)
        self.use_scale = bool(use_scale)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        # Of shape (1,), as PyTorch has them: no decay reaches a vector.
        constant = keras.initializers.Constant
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight(
                shape=(1,), initializer=constant(self.scale_init_value), name="scale"
            )
        self.bias = self.add_weight(
            shape=(1,), initializer=constant(self.bias_init_value), name="bias"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Activates a tensor of any shape."""
        x = ops.relu(inputs)
        x = x * x
        return (x if self.scale is None else self.scale * x) + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale_init_value": self.scale_init_value,
            "bias_init_value": self.bias_init_value,
            "use_scale": self.use_scale,
        }
