"""The optimizer of a recipe: AdamW or LAMB, its learning rate, and what decays."""

from typing import Any

import keras

from training.adamw import adamw_class
from training.lamb import Lamb
from training.recipe import Recipe


def learning_rate_schedule(
    recipe: Recipe, steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate of every step.

    It rises linearly from `warmup_learning_rate` to the peak, then falls as half a
    cosine to `final_learning_rate` and stays there during the cool-down; or it
    stays at the peak. Neither end is above the peak.

    Args:
        recipe: What to train by.
        steps_per_epoch: Steps of one pass over the images. With accumulation of
            gradients they are more than the updates; Keras counts them.
    """
    peak = recipe.peak_learning_rate
    warmup = int(recipe.warmup_epochs * steps_per_epoch)
    final = peak if recipe.schedule == "constant" else min(recipe.final_learning_rate, peak)
    # Keras counts `decay_steps` from the end of the warm-up.
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=min(recipe.warmup_learning_rate, peak) if warmup else peak,
        decay_steps=max(recipe.epochs * steps_per_epoch - warmup, 1),
        alpha=final / peak,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )


def vectors(model: keras.Model) -> list[keras.Variable]:
    """Returns the trainable weights of rank 1 or 0: biases, norms, scales, StarReLU's scalars."""
    return [weight for weight in model.trainable_variables if len(weight.shape) < 2]


def make_optimizer(
    recipe: Recipe,
    model: keras.Model,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
) -> keras.optimizers.Optimizer:
    """Returns the recipe's optimizer for `model`, without weight decay on vectors.

    Decay pulls a weight towards zero, which regularises matrices and kernels; a
    norm's scale or a LayerScale factor has no reason to shrink. With
    `mixed_float16` the optimizer stands inside a dynamic `LossScaleOptimizer`.

    Reference: table 6 of [MetaFormer](https://arxiv.org/abs/2111.11418).
    """
    kind = {"adamw": adamw_class(), "lamb": Lamb}[recipe.optimizer]
    optimizer = kind(
        learning_rate,
        weight_decay=recipe.weight_decay,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8 if recipe.optimizer == "adamw" else 1e-6,
        global_clipnorm=recipe.clip_norm,
        gradient_accumulation_steps=recipe.accumulation if recipe.accumulation > 1 else None,
        use_ema=recipe.ema is not None,
        # Keras averages after every step, also where the weights have not changed.
        ema_momentum=(recipe.ema or 0.99) ** (1 / recipe.accumulation),
    )
    optimizer.exclude_from_weight_decay(var_list=vectors(model))
    if recipe.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def inner_optimizer(optimizer: Any) -> Any:
    """Returns the optimizer inside one that scales the loss; any other is its own."""
    return getattr(optimizer, "inner_optimizer", optimizer)
