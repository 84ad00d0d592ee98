"""The two residual branches of a block, each with as few passes as its layers allow."""

from typing import Any

import keras
import numpy as np

from keras_poolformer.inference.folding import (
    IDENTITY,
    Part,
    behind,
    copied,
    linear,
    place,
    scaled_norm,
    set_weights,
    split_norm,
    times,
    values,
)
from keras_poolformer.inference.mixers import mixing, split_star_relu, takes
from keras_poolformer.inference.pooling_branch import PoolingBranch
from keras_poolformer.inference.residual_branch import ResidualBranch
from keras_poolformer.layers.batch_norm import BatchNorm
from keras_poolformer.layers.channel_layer_norm import ChannelLayerNorm
from keras_poolformer.layers.layer_scale import LayerScale
from keras_poolformer.layers.metaformer_block import MetaFormerBlock
from keras_poolformer.layers.mlp import ChannelMLP
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.layers.random_mixing import RandomMixing
from keras_poolformer.layers.spatial_fully_connected import SpatialFullyConnected
from keras_poolformer.layers.squared_relu import SquaredReLU
from keras_poolformer.layers.star_relu import StarReLU
from keras_poolformer.layers.token_mixers import Pooling

# What mixes positions, each channel alike: a factor for a channel may come before or behind.
ALIKE = (keras.layers.Identity, Pooling, RandomMixing, SpatialFullyConnected)


def token_mixing(block: MetaFormerBlock, x: Any, convolutions: bool = False) -> Any:
    """Applies the first branch to a Keras tensor.

    It is `res_scale1 * x + layer_scale1 * token_mixer(norm1(x))`.
    """
    norm, mixer = block.norm1, block.token_mixer
    name = f"{block.name}_token_mixing"
    bare, affine = split_norm(block._norm_factory, norm)
    if type(mixer) is Pooling and type(norm) in (GroupNorm1, BatchNorm, keras.layers.Identity):
        scale = affine.scale  # the mean and the shift cancel
        if block.layer_scale1 is not None:
            scale = scale * values(block.layer_scale1.gamma)
        shortcut = _shortcut(block.res_scale1)
        branch = PoolingBranch(
            mixer.pool_size,
            norm.epsilon if type(norm) is GroupNorm1 else None,
            scales_shortcut=shortcut is not None,
            dtype=block.dtype_policy,
            name=name,
        )
        return place((branch, [scale] if shortcut is None else [scale, shortcut]), x)
    factor, layer_scale = _layer_scale(block.layer_scale1)
    if takes(mixer, affine):
        parts = [bare, mixing(mixer, affine, factor, convolutions)]
    elif type(mixer) in ALIKE and type(norm) in (GroupNorm1, ChannelLayerNorm):
        parts = [scaled_norm(norm, factor), copied(block._mixer_factory, mixer)]
    elif takes(mixer, affine._replace(shift=None)):  # a norm with a shift that cannot move
        parts = [copied(block._norm_factory, norm), mixing(mixer, IDENTITY, factor, convolutions)]
    else:
        layer_scale = _copied(block.layer_scale1)
        parts = [copied(block._norm_factory, norm), copied(block._mixer_factory, mixer)]
    return _residual(block, name, x, [*parts, layer_scale], block.res_scale1)


def channel_mixing(block: MetaFormerBlock, x: Any, convolutions: bool = False) -> Any:
    """Applies the second branch to a Keras tensor.

    It is `res_scale2 * x + layer_scale2 * mlp(norm2(x))`.
    """
    norm, affine = split_norm(block._norm_factory, block.norm2)
    factor, layer_scale = _layer_scale(block.layer_scale2)
    first, second = behind(affine, linear(block.mlp.fc1)), linear(block.mlp.fc2)
    activation: Any = block.mlp.activation
    weights: dict[str, Any] = {}
    if type(activation) is StarReLU:
        second = behind(split_star_relu(activation), second)
        activation = SquaredReLU()
    elif isinstance(activation, keras.layers.Layer):
        weights["activation"] = activation.get_weights()
    second = times(factor, second)
    mlp = ChannelMLP(
        block.mlp.ratio,
        activation,
        (first.bias is not None, second.bias is not None),
        as_convolutions=convolutions,
        dtype=block.mlp.dtype_policy,
        name="mlp",
    )
    weights |= {"fc1": first.weights, "fc2": second.weights}
    parts = [norm, (mlp, weights), layer_scale]
    return _residual(block, f"{block.name}_mlp", x, parts, block.res_scale2)


def _layer_scale(layer: LayerScale | None) -> tuple[np.ndarray, Part | None]:
    """Returns the factor that another layer takes, and what is left of the LayerScale."""
    # The numbers of float16 end at 6e-8, where products of a small LayerScale and weights are.
    if layer is None or layer.compute_dtype == "float16":
        return np.array(1.0), _copied(layer)
    return values(layer.gamma), None


def _copied(layer: LayerScale | None) -> Part | None:
    if layer is None:
        return None
    return LayerScale(dtype=layer.dtype_policy, name=layer.name), layer.get_weights()


def _shortcut(layer: LayerScale | None) -> np.ndarray | None:
    """Returns the factors of a ResScale, and `None` where all are still 1."""
    factors = None if layer is None else values(layer.gamma)
    return None if factors is None or (factors == 1).all() else factors


def _residual(
    block: MetaFormerBlock, name: str, x: Any, parts: list[Part | None], res_scale: Any
) -> Any:
    """Applies a branch of layers with their weights; `None` stands for the identity."""
    present = [part for part in parts if part is not None]
    shortcut = _shortcut(res_scale)
    branch = ResidualBranch(
        [layer for layer, _ in present],
        scales_shortcut=shortcut is not None,
        dtype=block.dtype_policy,
        name=name,
    )
    y = branch(x)
    for part in present:
        set_weights(part)
    if shortcut is not None:
        branch.shortcut.assign(shortcut)
    return y
