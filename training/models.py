"""The models that recipes build: pixels in [0, 255] go in, probabilities come out."""

from typing import Any

import keras

import keras_poolformer
from keras_poolformer import MetaFormer
from keras_poolformer.layers import Pooling
from keras_poolformer.metaformer import find_metaformer
from keras_poolformer.variants import VARIANTS
from training.settings import nearest


def metaformer(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    token_mixer: Any = "pooling",
    pool_size: int = 3,
    **arguments: Any,
) -> keras.Model:
    """Returns a MetaFormer.

    Args:
        input_shape: Height, width and channels of the images, 3 of them.
        classes: Number of classes.
        token_mixer: Of all stages or one a stage; see `MetaFormer`.
        pool_size: Window of the pooling wherever the mixer is `"pooling"`.
        **arguments: Further arguments of `MetaFormer`.
    """
    return MetaFormer(
        token_mixer=_with_pool_size(token_mixer, pool_size),
        include_preprocessing=True,
        input_shape=input_shape,
        classes=classes,
        data_format="channels_last",
        **arguments,
    )


def poolformer(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    variant: str = "S12",
    drop_path_rate: float | None = None,
    token_mixer: Any = "pooling",
    pool_size: int = 3,
    **arguments: Any,
) -> keras.Model:
    """Returns a PoolFormer of the paper.

    Args:
        input_shape: Height, width and channels of the images, 3 of them.
        classes: Number of classes.
        variant: `"S12"`, `"S24"`, `"S36"`, `"M36"` or `"M48"`.
        drop_path_rate: Rate of stochastic depth of the last block; by default the
            paper's for the variant.
        token_mixer: Of all stages or one a stage; see `MetaFormer`.
        pool_size: Window of the pooling wherever the mixer is `"pooling"`.
        **arguments: Further arguments of `MetaFormer`.

    Raises:
        ValueError: if there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(
            f"`model.variant` must be one of {', '.join(VARIANTS)}. "
            f"Received: {variant!r}{nearest(str(variant), VARIANTS)}"
        )
    rate = VARIANTS[variant].drop_path_rate if drop_path_rate is None else drop_path_rate
    build = getattr(keras_poolformer, f"PoolFormer{variant}")
    return build(
        include_preprocessing=True,
        input_shape=input_shape,
        classes=classes,
        drop_path_rate=rate,
        token_mixer=_with_pool_size(token_mixer, pool_size),
        data_format="channels_last",
        **arguments,
    )


def _with_pool_size(token_mixer: Any, pool_size: int) -> Any:
    if isinstance(token_mixer, (list, tuple)):
        return [_with_pool_size(mixer, pool_size) for mixer in token_mixer]
    if token_mixer == "pooling" and pool_size != 3:
        return Pooling(pool_size)
    return token_mixer


def freeze_stages(model: keras.Model, stages: int) -> None:
    """Keeps the weights of the stem and of the first stages as they are.

    Args:
        model: A MetaFormer, or a model that holds one.
        stages: How many stages; a stage goes with the convolution before it. 0
            freezes nothing, not even the stem.

    Raises:
        ValueError: if the model has fewer stages.
    """
    if stages == 0:
        return
    metaformer = find_metaformer(model)
    if stages > len(metaformer.depths):
        raise ValueError(
            f"`freeze` must be at most the {len(metaformer.depths)} stages of the model. "
            f"Received: {stages}"
        )
    frozen = ("stem", *(f"stage{stage + 1}_" for stage in range(stages)))
    for layer in metaformer.layers:
        if layer.name.startswith(frozen):
            layer.trainable = False
