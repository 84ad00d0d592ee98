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
from keras_poolformer.layers.channel_layer_norm import ChannelLayerNorm
from keras_poolformer.layers.depthwise_convolution import DepthwiseConvolution
from keras_poolformer.layers.layer_scale import LayerScale
from keras_poolformer.layers.mlp import ChannelMLP
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.layers.patch_embedding import PatchEmbedding
from keras_poolformer.layers.position_embedding import PositionEmbedding
from keras_poolformer.layers.random_mixing import RandomMixing
from keras_poolformer.layers.self_attention import SelfAttention
from keras_poolformer.layers.separable_convolution import SeparableConvolution
from keras_poolformer.layers.spatial_fully_connected import SpatialFullyConnected
from keras_poolformer.layers.token_mixers import Pooling

LARGEST = 2.0
"""Above this, values of the stream are made smaller. The squares of a map of 56 x 56, the largest
of an image of 224 pixels, then add up to 12,544 at most."""


NORMS = (GroupNorm1, ChannelLayerNorm, NormalizedMean)

LAST_WEIGHTS: dict[type, str | None] = {
    ChannelMLP: "fc2",
    DepthwiseConvolution: None,
    LayerScale: None,
    RandomMixing: None,
    SelfAttention: "proj",
    SeparableConvolution: "pwconv2",
    SpatialFullyConnected: None,
}
"""Layers that end a branch, and which of their layers gives what is added to the stream; `None`
for all of their own weights."""


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
            the model has parts in which a power of two would not cancel: a norm of one's
            own, a token mixer of one's own without a LayerScale behind it or without a
            norm before it, or no last norm.

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
            "`exponents` must be 0 for a model with a norm of its own, with a token mixer of its "
            "own that has no LayerScale behind it or no norm before it, or without a last norm, "
            f"where a power of two does not cancel. Received: {exponents!r}"
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
    layers = [layer for layer, _, _ in _walk(model)]
    for layer in layers:
        if isinstance(layer, ResidualBranch):
            if layer.layers and not _cancels(layer):
                return False
        elif layer.name == "stem_norm":
            # Its scale must make the stream smaller.
            if type(layer) not in NORMS or layer.gamma is None:
                return False
        elif type(layer) not in (PatchEmbedding, PositionEmbedding, PoolingBranch, *NORMS):
            return False
    return type(layers[-1]) in NORMS


def _cancels(branch: ResidualBranch) -> bool:
    """Whether a branch sees no scale of the stream, and its last weights can scale what it adds."""
    first, last = type(branch.layers[0]), type(_last(branch))
    return first in (*NORMS, ChannelMLP) and last in (*NORMS, *LAST_WEIGHTS)


def _last(branch: ResidualBranch) -> Any:
    """Returns the last layer with weights: a pooling passes a factor on."""
    return next((x for x in reversed(branch.layers) if type(x) is not Pooling), None)


def _walk(model: FusedMetaFormer) -> list[tuple[Any, int, bool]]:
    """Returns the layers that see the stream, in order.

    Each with its stage, and whether what it gives is the stream; the others give it to a norm.
    """
    names = [layer.name for layer in model.layers]
    end = max((i for i, name in enumerate(names) if name in ("norm", "pool")), default=len(names))
    # A mean or a maximum over the positions gives a small vector for a small map.
    layers = [
        layer
        for layer in model.layers[names.index("stem") : end + 1]
        if layer.name != "pool" or isinstance(layer, NormalizedMean)
    ]
    stage, found = -1, []
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        stage += isinstance(layer, PatchEmbedding)
        is_norm = type(layer) in NORMS
        is_normalized = after is not None and after.name == "stem_norm"
        found.append((layer, stage, layer.name == "stem_norm" or not (is_norm or is_normalized)))
    return found


def _largest(model: FusedMetaFormer, images: np.ndarray) -> list[float]:
    """The largest magnitude in the stream of each stage."""
    stream = [(layer, stage) for layer, stage, gives in _walk(model) if gives]
    maps = keras.Model(model.input, [layer.output for layer, _ in stream])
    largest = [0.0] * len(model.dims)
    for (_, stage), values in zip(stream, maps.predict_on_batch(images), strict=True):
        largest[stage] = max(largest[stage], float(np.abs(np.asarray(values)).max()))
    return largest


def _divide(model: FusedMetaFormer, exponents: Sequence[int]) -> None:
    before = 1.0  # what the input of a layer was multiplied by; pixels stay as they are
    for layer, stage, gives in _walk(model):
        factor = 2.0 ** -exponents[stage]
        if isinstance(layer, PatchEmbedding):
            factor = factor if gives else 1.0
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * (factor / before), bias * factor])
        elif isinstance(layer, PoolingBranch):
            if layer.epsilon is not None:
                layer.epsilon *= factor**2
                layer.scale.assign(layer.scale * factor)
        elif isinstance(layer, ResidualBranch):
            _divide_branch(layer, factor)
        elif isinstance(layer, PositionEmbedding):
            _multiply(layer, factor)
        else:  # a norm
            layer.epsilon *= before**2
            factor = factor if gives else 1.0
            _multiply(layer, factor)
        before = factor


def _divide_branch(branch: ResidualBranch, factor: float) -> None:
    if not branch.layers:
        return
    first, last = branch.layers[0], _last(branch)
    if isinstance(first, ChannelMLP):  # without a norm it sees the stream itself
        first.fc1.kernel.assign(first.fc1.kernel / factor)
    else:
        first.epsilon *= factor**2
    inner = LAST_WEIGHTS.get(type(last))
    _multiply(last if inner is None else getattr(last, inner), factor)


def _multiply(layer: keras.layers.Layer, factor: float) -> None:
    layer.set_weights([weight * factor for weight in layer.get_weights()])
