"""Stochastic depth: residual branches that are left out at random while training."""

from typing import Any

import keras
from keras import ops


def check_rate(value: float, argument: str) -> float:
    """Returns `value` as a probability below 1.

    Raises:
        ValueError: if it is not in [0, 1).
    """
    if not 0 <= value < 1:
        raise ValueError(f"`{argument}` must be at least 0 and below 1. Received: {value!r}")
    return float(value)


@keras.saving.register_keras_serializable(package="keras_poolformer")
class StochasticDepth(keras.layers.Layer):
    """Sets whole samples of a residual branch to zero while training.

    Each sample is kept with probability `1 - rate` and then multiplied by
    `1 / (1 - rate)`, so that the expected value stays the same. Does nothing in
    inference. Also known as drop-path. Works on tensors of any rank, the first
    axis being the batch.

    Args:
        rate: Probability, in [0, 1), that a sample's branch is left out.
        seed: Integer seed of the layer's own random generator, or `None` for one
            drawn from Keras's global seed.

    Raises:
        ValueError: if `rate` is not in [0, 1).

    Reference: [Deep Networks with Stochastic Depth](
        https://arxiv.org/abs/1603.09382).
    """

    def __init__(self, rate: float = 0.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = check_rate(rate, "rate")
        self.seed = seed
        if self.rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Drops samples if `training` is true."""
        factors = self.factors(inputs, training)
        return inputs if factors is None else inputs * ops.cast(factors, inputs.dtype)

    def factors(self, inputs: Any, training: bool | None) -> Any:
        """Draws what each sample is multiplied by: (B, 1, ...) in float32, `None` for all 1."""
        if not training or self.rate == 0:
            return None
        shape = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        # Dropout of ones gives 0 or 1 / (1 - rate), with the generator of each backend
        # (torch.compile traces it; an explicit torch.Generator would break the graph).
        # In float32, since a uniform bfloat16 has 256 values and none makes a rate of 0.1.
        return keras.random.dropout(
            ops.ones(shape, dtype="float32"), self.rate, seed=self.seed_generator
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
