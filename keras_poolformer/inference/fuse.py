"""A trained MetaFormer rewritten as a model with the same outputs and fewer passes."""

from typing import Any

import keras
import numpy as np

from keras_poolformer.inference import branches
from keras_poolformer.inference.centered_pixels import CenteredPixels
from keras_poolformer.inference.folding import (
    IDENTITY,
    Affine,
    copied,
    place,
    split_norm,
    values,
)
from keras_poolformer.inference.fused_metaformer import FusedMetaFormer
from keras_poolformer.inference.head import classified, last_norm
from keras_poolformer.layers.metaformer_block import MetaFormerBlock
from keras_poolformer.layers.patch_embedding import PatchEmbedding
from keras_poolformer.metaformer import MetaFormer


def fuse(model: MetaFormer, *, convolutions: bool = False) -> FusedMetaFormer:
    """Returns a model for inference with the outputs of `model` and fewer passes over its maps.

    Nothing is approximated; the outputs differ by the rounding of the arithmetic,
    a few 1e-7 of them in float32. In each block mean and shift of the first norm
    cancel in a pooling; before the linear map of another token mixer and before the
    MLP, what is learned in a norm moves into the weights behind it. LayerScale moves
    into the last linear map of its branch, scale and bias of StarReLU into the next
    one; ResScale stays as a factor of the shortcut, unless it is 1. The mean over the
    positions comes before the last norm, whose scale and shift move into the
    classifier. The deviation of the preprocessing moves into the stem. Dropout and
    stochastic depth are left out. `docs/fusion.md` derives it.

    Where a part is not what a fusion needs (a token mixer, a norm or an activation of
    your own), that part keeps its layers, and everything else is fused.

    Args:
        model: A `keras_poolformer.MetaFormer`, such as the builders make. It stays as it
            is and shares no weight with the result.
        convolutions: Whether linear maps of the blocks run as 1x1 convolutions instead
            of as matrix products: for files that the GPUs of phones will run.

    Returns:
        A functional model with the input and output shapes, the dtype policy, the
        layout and the `pyramid_outputs` of `model`. It can be saved and exported.

    Raises:
        ValueError: if `model` is no `MetaFormer`, a quantised one, or one whose blocks lack
            their shortcuts or MLPs.

    Example:
    >>> model = keras_poolformer.PoolFormerS12(weights="imagenet")
    >>> fused = keras_poolformer.inference.fuse(model)
    >>> fused.save("poolformer_s12_fused.keras")
    """
    _check(model)
    layers = {layer.name: layer for layer in model.layers[1:]}
    # Divided by a deviation of 58, the stem's weights would leave the range of float16.
    stem_divides = "preprocessing" in layers and layers["stem"].compute_dtype != "float16"
    end, before_head = last_norm(model.norm_factory("final_norm"), layers)
    source = model.input
    image = x = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name)
    before_convolution = IDENTITY
    for name, layer in layers.items():
        if isinstance(layer, MetaFormerBlock):
            x = branches.token_mixing(layer, x, convolutions)
            x = branches.channel_mixing(layer, x, convolutions)
        elif name == "preprocessing" and stem_divides:
            mean, variance = (layer.get_config()[key] for key in ("mean", "variance"))
            x = CenteredPixels(mean, dtype=layer.dtype_policy, name=name)(x)
            before_convolution = Affine(1 / np.sqrt(np.ravel(variance)), None)
        elif name.endswith("_downsample_norm"):
            part, before_convolution = split_norm(model.norm_factory("downsample_norm"), layer)
            if before_convolution.shift is not None:  # it does not cross the zeros at the border
                part = copied(model.norm_factory("downsample_norm"), layer)
                before_convolution = IDENTITY
            x = place(part, x)
        elif isinstance(layer, PatchEmbedding):
            kernel = values(layer.kernel) * np.reshape(before_convolution.scale, (-1, 1))
            x = place((_like(layer), [kernel, values(layer.bias)]), x)
            before_convolution = IDENTITY
        elif name == "stem_norm":
            x = place(copied(model.norm_factory(name), layer), x)
        elif name in end:
            x = place(end[name], x)
        elif name == "head":
            x = classified(layer, before_head, x)
        elif name != "head_dropout":
            x = place((_like(layer), layer.get_weights()), x)
    return FusedMetaFormer(inputs=image, outputs=x, name=f"{model.name}_fused")


def _check(model: Any) -> None:
    if not isinstance(model, MetaFormer):
        held = [layer for layer in getattr(model, "layers", []) if isinstance(layer, MetaFormer)]
        hint = ""
        if isinstance(model, FusedMetaFormer):
            hint = ", which is fused already"
        elif held:
            hint = f", which holds one: fuse `model.get_layer({held[0].name!r})`"
        raise ValueError(
            "`model` must be a `keras_poolformer.MetaFormer`, such as `PoolFormerS12()` returns. "
            f"Received: {model!r}{hint}"
        )
    blocks = [layer for layer in model.layers if isinstance(layer, MetaFormerBlock)]
    parts = {
        "blocks without shortcuts": any(not block.residual for block in blocks),
        "blocks without an MLP": any(block.mlp is None for block in blocks),
    }
    if any(parts.values()):
        raise ValueError(
            "`model` must have blocks of two residual branches. Received: "
            f"{model!r}, which has {', '.join(part for part, found in parts.items() if found)}"
        )
    modes = {getattr(layer, "quantization_mode", None) for layer in model._flatten_layers()}
    if modes != {None}:
        raise ValueError(
            "`model` must have its own weights, not quantised ones, since the fusion multiplies "
            f"them: fuse first, then quantise. Received: {model!r} with the quantisation "
            f"{', '.join(sorted(repr(mode) for mode in modes - {None}))}"
        )


def _like(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())
