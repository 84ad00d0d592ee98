"""The two residual branches of a block, each with as few passes as its layers allow."""

from typing import Any, TypeAlias

import keras
import numpy as np

from keras_poolformer.inference.folding import (
    before_scale,
    behind_affine,
    fresh,
    place,
    scale_and_shift,
    values,
)
from keras_poolformer.inference.pooling_branch import PoolingBranch
from keras_poolformer.inference.residual_branch import ResidualBranch
from keras_poolformer.layers.layer_scale import LayerScale
from keras_poolformer.layers.layer_spec import LayerFactory
from keras_poolformer.layers.metaformer_block import MetaFormerBlock
from keras_poolformer.layers.mlp import ChannelMLP
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.layers.token_mixers import Pooling

Part: TypeAlias = tuple[keras.layers.Layer, list[np.ndarray]]
"""A layer and its weights."""


def token_mixing(block: MetaFormerBlock, x: Any) -> Any:
    """Applies the first branch to a Keras tensor: `x + layer_scale1 * token_mixer(norm1(x))`."""
    norm, mixer = block.norm1, block.token_mixer
    scale = _layer_scale(block.layer_scale1)
    name = f"{block.name}_token_mixing"
    if type(mixer) is Pooling and type(norm) in (GroupNorm1, keras.layers.Identity):
        epsilon = None
        if type(norm) is GroupNorm1:
            epsilon = norm.epsilon
            scale = scale * scale_and_shift(norm)[0]  # the mean and the shift cancel
        branch = PoolingBranch(mixer.pool_size, epsilon, dtype=block.dtype_policy, name=name)
        return place(branch, x, [np.broadcast_to(scale, x.shape[-1:])])
    if type(mixer) is keras.layers.Identity and type(norm) is GroupNorm1:
        scaled = GroupNorm1(norm.epsilon, dtype=norm.dtype_policy, name="norm1")
        weights = [np.broadcast_to(scale * part, x.shape[-1:]) for part in scale_and_shift(norm)]
        return _residual(block, name, x, [(scaled, weights)])
    norm, mixer = _copy(block._norm_factory, norm), _copy(block._mixer_factory, mixer)
    return _residual(block, name, x, [norm, mixer, _copied_layer_scale(block.layer_scale1)])


def channel_mixing(block: MetaFormerBlock, x: Any, convolutions: bool = False) -> Any:
    """Applies the second branch to a Keras tensor: `x + layer_scale2 * mlp(norm2(x))`."""
    norm = _copy(block._norm_factory, block.norm2)
    gamma, beta = np.array(1.0), np.array(0.0)
    if type(block.norm2) is GroupNorm1:
        gamma, beta = scale_and_shift(block.norm2)
        epsilon, dtype = block.norm2.epsilon, block.norm2.dtype_policy
        norm = (GroupNorm1(epsilon, center=False, scale=False, dtype=dtype, name="norm2"), [])
    layer_scale = None
    scale = _layer_scale(block.layer_scale2)
    if block.compute_dtype == "float16":
        # Its numbers end at 6e-8, where products of a small LayerScale and weights are.
        layer_scale, scale = _copied_layer_scale(block.layer_scale2), np.array(1.0)
    linears = ChannelMLP(
        block.mlp.ratio,
        block.mlp.activation,
        as_convolutions=convolutions,
        dtype=block.mlp.dtype_policy,
        name="mlp",
    )
    weights = behind_affine(block.mlp.fc1, gamma, beta) + before_scale(block.mlp.fc2, scale)
    return _residual(block, f"{block.name}_mlp", x, [norm, (linears, weights), layer_scale])


def _layer_scale(layer: LayerScale | None) -> np.ndarray:
    return np.array(1.0) if layer is None else values(layer.gamma)


def _copied_layer_scale(layer: LayerScale | None) -> Part | None:
    if layer is None:
        return None
    return LayerScale(dtype=layer.dtype_policy, name=layer.name), layer.get_weights()


def _copy(factory: LayerFactory, layer: keras.layers.Layer) -> Part | None:
    if type(layer) is keras.layers.Identity:
        return None
    return fresh(factory, layer), layer.get_weights()


def _residual(block: MetaFormerBlock, name: str, x: Any, parts: list[Part | None]) -> Any:
    """Applies a branch of layers with their weights; `None` stands for the identity."""
    present = [part for part in parts if part is not None]
    branch = ResidualBranch([layer for layer, _ in present], dtype=block.dtype_policy, name=name)
    y = branch(x)
    for layer, weights in present:
        layer.set_weights(weights)
    return y
