"""What follows the last stage: the last norm, the mean over the positions, the classifier."""

from typing import Any

import keras

from keras_poolformer.inference.folding import (
    IDENTITY,
    Affine,
    Part,
    behind,
    copied,
    learned,
    linear,
    place,
    split_norm,
)
from keras_poolformer.inference.normalized_mean import NormalizedMean
from keras_poolformer.layers.layer_spec import LayerFactory
from keras_poolformer.layers.mlp_head import MLPHead
from keras_poolformer.layers.normalization import GroupNorm1


def last_norm(
    factory: LayerFactory, layers: dict[str, Any]
) -> tuple[dict[str, Part | None], Affine]:
    """Returns what takes the place of the last norm and the pooling, and what is left for the head.

    The mean over the positions comes first where the statistics of the norm are those of the
    whole map.

    Args:
        factory: What made the norm.
        layers: The layers of the model, by name.
    """
    norm, pool = layers["norm"], layers.get("pool")
    has_head = "head" in layers
    bare, affine = split_norm(factory, norm) if has_head else (copied(factory, norm), IDENTITY)
    is_mean_behind = isinstance(pool, keras.layers.GlobalAveragePooling2D) and not pool.keepdims
    if pool is not None and is_mean_behind and type(norm) is GroupNorm1:
        mean = NormalizedMean(
            norm.epsilon,
            center=norm.center and not has_head,
            scale=norm.scale and not has_head,
            dtype=pool.dtype_policy,
            name=pool.name,
        )
        return {"norm": None, "pool": (mean, [] if has_head else norm.get_weights())}, affine
    return {"norm": bare}, affine


def classified(head: Any, affine: Affine, x: Any) -> Any:
    """Applies a head to `scale * x + shift`, where `x` is a Keras tensor, without its dropout."""
    if type(head) is not MLPHead:
        after = behind(affine, linear(head))
        return place((type(head).from_config(head.get_config()), after.weights), x)
    first, second = behind(affine, linear(head.fc1)), behind(learned(head.norm), linear(head.fc2))
    fused = MLPHead(
        head.units,
        head.ratio,
        head.epsilon,
        affine=False,
        dtype=head.dtype_policy,
        name=head.name,
    )
    return place((fused, {"fc1": first.weights, "fc2": second.weights}), x)
