"""The models that recipes build: pixels in [0, 255] go in, probabilities come out."""

from typing import Any

import keras

from keras_poolformer import MetaFormer
from keras_poolformer.builders import make_builder
from keras_poolformer.layers import Pooling
from keras_poolformer.metaformer import find_metaformer
from keras_poolformer.variants import MODELS
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


def published_model(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    builder: str = "PoolFormerS12",
    drop_path_rate: float | None = None,
    head_dropout_rate: float | None = None,
    token_mixer: Any = None,
    pool_size: int = 3,
    **arguments: Any,
) -> keras.Model:
    """Returns a model of the papers.

    Args:
        input_shape: Height, width and channels of the images, 3 of them. A RandFormer
            can be used on images of this size only.
        classes: Number of classes.
        builder: Its builder, such as `"PoolFormerS12"` or `"CAFormerM36"`.
        drop_path_rate: Rate of stochastic depth of the last block; by default the
            paper's for the model.
        head_dropout_rate: Rate of the dropout in the classifier; likewise.
        token_mixer: Of all stages or one a stage, by default the model's; see
            `MetaFormer`.
        pool_size: Window of the pooling wherever the mixer is `"pooling"`.
        **arguments: Further arguments of `MetaFormer`.

    Raises:
        ValueError: if there is no such builder.
    """
    if builder not in MODELS:
        raise ValueError(
            f"`model.builder` must be one of {', '.join(MODELS)}. "
            f"Received: {builder!r}{nearest(str(builder), MODELS)}"
        )
    family, size = MODELS[builder]
    variant = family.variants[size]
    if drop_path_rate is None:
        drop_path_rate = variant.drop_path_rate
    if head_dropout_rate is None:
        head_dropout_rate = variant.head_dropout_rate
    if token_mixer is None:
        token_mixer = family.arguments["token_mixer"]
    return make_builder(family, size)(
        include_preprocessing=True,
        input_shape=input_shape,
        classes=classes,
        drop_path_rate=drop_path_rate,
        head_dropout_rate=head_dropout_rate,
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
