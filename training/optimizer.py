"""AdamW with the schedule and the exclusions of the PoolFormer paper."""

import keras


def warmup_cosine(
    peak: float, steps: int, warmup_steps: int, floor: float = 0.01
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a learning rate that rises linearly and then falls as half a cosine.

    Args:
        peak: The highest learning rate.
        steps: Steps of the whole training.
        warmup_steps: Of these, the first ones, in which the rate rises from near 0.
        floor: The last learning rate, over `peak`.

    Raises:
        ValueError: if no step is left after the warm-up.
    """
    if not 0 <= warmup_steps < steps:
        raise ValueError(
            f"`warmup_steps` must be at least 0 and below the {steps} steps of the training. "
            f"Received: {warmup_steps}"
        )
    # Keras counts `decay_steps` from the end of the warm-up.
    if warmup_steps == 0:
        return keras.optimizers.schedules.CosineDecay(peak, steps, alpha=floor)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / 1000,
        decay_steps=steps - warmup_steps,
        alpha=floor,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


def vectors(model: keras.Model) -> list[keras.Variable]:
    """Returns the trainable weights of rank 1 or 0: biases, norms and LayerScale."""
    return [weight for weight in model.trainable_variables if len(weight.shape) < 2]


def adamw(
    model: keras.Model,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    weight_decay: float,
) -> keras.optimizers.AdamW:
    """Returns AdamW for `model`, without weight decay on vectors.

    Decay pulls a weight towards zero, which regularises matrices and kernels; a
    norm's scale or a LayerScale factor has no reason to shrink.

    Reference: table 6 of [MetaFormer](https://arxiv.org/abs/2111.11418).
    """
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_list=vectors(model))
    return optimizer
