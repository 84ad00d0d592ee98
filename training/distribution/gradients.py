"""Gradients of all devices for a TensorFlow optimizer that looks at their size."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from training.optimizer import inner_optimizer

LIMITS = ("clipnorm", "global_clipnorm", "clipvalue")


def looks_at_gradients(optimizer: Any) -> bool:
    """Returns whether an optimizer clips gradients or leaves out steps where they overflow."""
    return hasattr(optimizer, "inner_optimizer") or any(
        getattr(optimizer, limit) is not None for limit in LIMITS
    )


def share_gradients(optimizer: Any, replicas: int) -> None:
    """Makes an optimizer see the gradient of the global batch, as that of one device is.

    Keras (3.15) clips, and looks for overflow, before it adds up what the devices
    found: each would be clipped by itself, and an overflow on another than the first
    device would go unnoticed. Here they are averaged beforehand. What Keras then adds up
    is `replicas` times the same, clipped to the `replicas`-th part of the limit.

    Changes the optimizer; called once for each.

    Args:
        optimizer: A Keras optimizer, or a `LossScaleOptimizer` around one.
        replicas: Devices of all processes.
    """
    inner = inner_optimizer(optimizer)
    for limit in LIMITS:
        value = getattr(inner, limit)
        if value is not None:
            setattr(inner, limit, value / replicas)
    apply = optimizer.apply

    def apply_mean(gradients: Sequence[Any], trainable_variables: Any = None) -> Any:
        present = [gradient for gradient in gradients if gradient is not None]
        context = tf.distribute.get_replica_context()
        means = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, present))
        return apply([g if g is None else next(means) for g in gradients], trainable_variables)

    optimizer.apply = apply_mean
