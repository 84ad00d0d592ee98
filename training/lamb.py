"""LAMB: Adam whose update of each weight is as large as the weight, for large batches."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_poolformer")
class Lamb(keras.optimizers.Lamb):
    """LAMB with the weight decay inside the trust ratio, as the paper defines it.

    `keras.optimizers.Lamb` shrinks the weights before and outside of the ratio, so
    that its step is not bounded by the norm of the weight. Here, with the
    bias-corrected moments m and v of the gradient,

        u = m / (sqrt(v) + epsilon) + weight_decay * w
        w = w - learning_rate * |w| / |u| * u

    Vectors (biases, norms, scales) neither decay nor are they adapted, as in timm:
    they take Adam's step.

    Args:
        learning_rate: A number or a schedule.
        weight_decay: Factor of the weights in the update.
        **kwargs: Further arguments of `keras.optimizers.Lamb`.

    Reference: algorithm 2 of [Large Batch Optimization for Deep Learning](
        https://arxiv.org/abs/1904.00962).
    """

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.decay = float(weight_decay or 0.0)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        dtype = variable.dtype
        gradient = ops.cast(gradient, dtype)
        rate = ops.cast(learning_rate, dtype)
        step = ops.cast(self.iterations + 1, dtype)
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (gradient * gradient - velocity) * (1 - self.beta_2))
        mean = momentum / (1 - ops.power(ops.cast(self.beta_1, dtype), step))
        variance = velocity / (1 - ops.power(ops.cast(self.beta_2, dtype), step))
        update = mean / (ops.sqrt(variance) + self.epsilon)
        if len(variable.shape) >= 2:
            update = update + self.decay * variable
            weight_norm, norm = (ops.sqrt(ops.sum(ops.square(x))) for x in (variable, update))
            is_positive = ops.logical_and(weight_norm > 0, norm > 0)
            safe = ops.where(is_positive, norm, ops.ones_like(norm))
            rate = rate * ops.where(is_positive, weight_norm / safe, ops.ones_like(norm))
        self.assign_sub(variable, rate * update)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight_decay": self.decay}
