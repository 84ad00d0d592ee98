"""The residual stream in smaller numbers, whose squares float16 can hold."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_poolformer.inference.fused_metaformer import FusedMetaFormer
from keras_poolformer.inference.normalized_mean import NormalizedMean
from keras_poolformer.inference.pooling_branch import PoolingBranch
from keras_poolformer.inference.residual_branch import ResidualBranch
from keras_poolformer.layers.mlp import ChannelMLP
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.layers.patch_embedding import PatchEmbedding

LARGEST = 2.0
"""Above this, values of the stream are made smaller. The squares of a map of 56 x 56, the largest
of an image of 224 pixels, then add up to 12,544 at most."""


def stream_exponents(model: FusedMetaFormer, images: np.ndarray) -> tuple[int, ...]:
    """Returns for each stage by which power of two its residual stream is best divided.

    Args:
        model: What `keras_poolformer.inference.fuse` returned.
        images: Images that it takes, such as (8, 224, 224, 3).

    Returns:
        The least exponents that leave no value of the stream above 2: arguments of
        `scale_stream`. All 0 for a model whose parts `scale_stream` does not take.

    Raises:
        ValueError: if the model is not fused.
    """
    _check(model)
    if not _is_scalable(model):
        return (0,) * len(model.dims)
    largest = _largest(model, images)
    return tuple(max(0, math.ceil(math.log2(max(x, 1e-30) / LARGEST))) for x in largest)


def scale_stream(model: FusedMetaFormer, exponents: Sequence[int]) -> FusedMetaFormer:
    """Returns a model whose residual stream is divided by powers of two, with the same outputs.

    Every branch begins with a norm, which does not see by what the stream was divided. So
    it is enough to divide what is added to the stream, by weights, and the norms' epsilons.
    A power of two changes exponents alone: in float32 nothing is rounded differently. In
    float16 the squares of a trained network overflow without it: values of 256 are enough.

    Args:
        model: What `keras_poolformer.inference.fuse` returned; it stays as it is.
        exponents: One for each stage: its stream is divided by 2 ** exponent.

    Raises:
        ValueError: if the model is not fused, the exponents are not one for each stage, or
            the model has parts in which a power of two would not cancel: a token mixer or
            a norm of one's own, or no last norm.

    Example:
    >>> fused = keras_poolformer.inference.fuse(model)
    >>> exponents = keras_poolformer.inference.stream_exponents(fused, photographs)
    >>> small = keras_poolformer.inference.scale_stream(fused, exponents)

    Reference: `docs/fusion.md`.
    """
    _check(model)
    if len(exponents) != len(model.dims) or not all(isinstance(x, int) for x in exponents):
        raise ValueError(
            f"`exponents` must be {len(model.dims)} integers, one for each stage. "
            f"Received: {exponents!r}"
        )
    if not _is_scalable(model) and any(exponents):
        raise ValueError(
            "`exponents` must be 0 for a model with a token mixer or a norm of its own, or without "
            f"a last norm, where a power of two does not cancel. Received: {exponents!r}"
        )
    copy = FusedMetaFormer.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    if any(exponents):
        _divide(copy, exponents)
    return copy


def _check(model: Any) -> None:
    if not isinstance(model, FusedMetaFormer):
        raise ValueError(
            "`model` must be fused, by `keras_poolformer.inference.fuse`. Received: "
            f"{getattr(model, 'name', model)!r}"
        )


def _is_scalable(model: FusedMetaFormer) -> bool:
    """Whether a power of two cancels in every part."""
    ends = False
    for layer in _parts(model):
        if isinstance(layer, ResidualBranch):
            kinds = [type(part) for part in layer.layers]
            if kinds not in ([GroupNorm1], [GroupNorm1, ChannelMLP], [ChannelMLP]):
                return False
        elif not isinstance(layer, PatchEmbedding | PoolingBranch | GroupNorm1):
            return False
        ends = isinstance(layer, GroupNorm1)  # such as NormalizedMean, at the end
    return ends


def _parts(model: FusedMetaFormer) -> list[Any]:
    """The layers from the stem to the last norm that see the stream, in order."""
    names = [layer.name for layer in model.layers]
    behind = ("pool", "head", "predictions", "to_channels_first")
    return [
        layer
        for layer in model.layers[names.index("stem") :]
        if layer.name not in behind or isinstance(layer, NormalizedMean)
    ]


def _largest(model: FusedMetaFormer, images: np.ndarray) -> list[float]:
    """The largest magnitude in the stream of each stage."""
    stream = [layer for layer in _parts(model) if not isinstance(layer, GroupNorm1)]
    maps = keras.Model(model.input, [layer.output for layer in stream])
    largest: list[float] = []
    for layer, values in zip(stream, maps.predict_on_batch(images), strict=True):
        found = float(np.abs(np.asarray(values)).max())
        if isinstance(layer, PatchEmbedding):
            largest.append(found)
        largest[-1] = max(largest[-1], found)
    return largest


def _divide(model: FusedMetaFormer, exponents: Sequence[int]) -> None:
    stage = -1
    before = 1.0  # what the stream of the stage before was multiplied by; pixels stay as they are
    for layer in _parts(model):
        if isinstance(layer, PatchEmbedding):
            stage += 1
            factor = 2.0 ** -exponents[stage]
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * (factor / before), bias * factor])
            before = factor
        elif isinstance(layer, PoolingBranch):
            if layer.epsilon is not None:
                layer.epsilon *= factor**2
                layer.set_weights([layer.get_weights()[0] * factor])
        elif isinstance(layer, ResidualBranch):
            _divide_branch(layer, factor)
        else:  # the last norm
            layer.epsilon *= factor**2


def _divide_branch(branch: ResidualBranch, factor: float) -> None:
    first, last = branch.layers[0], branch.layers[-1]
    if isinstance(first, GroupNorm1):
        first.epsilon *= factor**2
    else:  # an MLP without a norm sees the stream itself
        first.fc1.kernel.assign(first.fc1.kernel / factor)
    if isinstance(last, ChannelMLP):
        last = last.fc2
    last.set_weights([weight * factor for weight in last.get_weights()])
