"""A classifier with one hidden layer."""

from typing import Any

import keras

from keras_poolformer.layers.pointwise import linear_map
from keras_poolformer.layers.squared_relu import SquaredReLU
from keras_poolformer.layers.stochastic_depth import check_rate


@keras.saving.register_keras_serializable(package="keras_poolformer")
class MLPHead(keras.layers.Layer):
    """Classifies vectors: linear, squared ReLU, layer normalisation, dropout, linear.

    The classifier of ConvFormer and CAFormer.

    Args:
        units: Number of classes.
        ratio: Channels of the hidden layer over those of the input.
        epsilon: Of the layer normalisation. 1e-5 as in the official code, which the
            published weights were trained with; timm computes with 1e-6.
        dropout_rate: Rate of the dropout before the last linear map, in [0, 1).
        affine: Whether the layer normalisation learns a scale and a shift.

    Raises:
        ValueError: if `units` is not a positive integer, `ratio` or `epsilon` not
            positive, or the rate not in [0, 1).

    Reference: [MetaFormer Baselines for Vision](https://arxiv.org/abs/2210.13452).
        Initialised as the official code: normal with a standard deviation of 0.02,
        zero bias.
    """

    def __init__(
        self,
        units: int,
        ratio: float = 4.0,
        epsilon: float = 1e-5,
        dropout_rate: float = 0.0,
        affine: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(units, int) or isinstance(units, bool) or units < 1:
            raise ValueError(f"`units` must be a positive integer. Received: {units!r}")
        if not ratio > 0:
            raise ValueError(f"`ratio` must be positive, such as 4. Received: {ratio!r}")
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive, such as 1e-5. Received: {epsilon!r}")
        self.units = units
        self.ratio = ratio
        self.epsilon = float(epsilon)
        self.dropout_rate = check_rate(dropout_rate, "dropout_rate")
        self.affine = bool(affine)
        policy = self.dtype_policy
        self.activation = SquaredReLU(dtype=policy, name="activation")
        self.norm = keras.layers.LayerNormalization(
            epsilon=epsilon, center=self.affine, scale=self.affine, dtype=policy, name="norm"
        )
        self.dropout = keras.layers.Dropout(self.dropout_rate, dtype=policy, name="dropout")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 2 or input_shape[1] is None:
            raise ValueError(
                "MLPHead takes vectors, (B, C), with a known number of channels. "
                f"Received: shape={tuple(input_shape)}"
            )
        hidden = int(input_shape[1] * self.ratio)
        self.fc1 = linear_map(hidden, True, self.dtype_policy, "fc1")
        self.fc2 = linear_map(self.units, True, self.dtype_policy, "fc2")
        self.fc1.build(input_shape)
        self.norm.build((None, hidden))
        self.fc2.build((None, hidden))
        self.built = True

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Maps (B, C) vectors to (B, units) logits."""
        x = self.norm(self.activation(self.fc1(inputs)))
        return self.fc2(self.dropout(x, training=training))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "ratio": self.ratio,
            "epsilon": self.epsilon,
            "dropout_rate": self.dropout_rate,
            "affine": self.affine,
        }
