"""A trained MetaFormer rewritten as a model with the same outputs and fewer passes."""

from typing import Any

import keras
import numpy as np

from keras_poolformer.inference import branches
from keras_poolformer.inference.centered_pixels import CenteredPixels
from keras_poolformer.inference.folding import (
    behind_affine,
    fresh,
    place,
    scale_and_shift,
    values,
)
from keras_poolformer.inference.fused_metaformer import FusedMetaFormer
from keras_poolformer.inference.normalized_mean import NormalizedMean
from keras_poolformer.layers.metaformer_block import MetaFormerBlock
from keras_poolformer.layers.mlp_head import MLPHead
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.metaformer import MetaFormer


def fuse(model: MetaFormer, *, convolutions: bool = False) -> FusedMetaFormer:
    """Returns a model for inference with the outputs of `model` and fewer passes over its maps.

    Nothing is approximated; the outputs differ by the rounding of the arithmetic,
    a few 1e-7 of them in float32. In each block mean and shift of the first norm
    cancel in the pooling, what is learned in the second norm moves into the MLP's
    first linear map, and LayerScale into the pooling's factor and the MLP's second
    linear map. The mean over the positions comes before the last norm, whose scale
    and shift move into the classifier. The deviation of the preprocessing moves into
    the stem. Dropout and stochastic depth are left out. `docs/fusion.md` derives it.

    Where a part is not what a fusion needs (a token mixer or a norm of your own, no
    norm, no LayerScale), that part keeps its layers, and everything else is fused.

    Args:
        model: A `keras_poolformer.MetaFormer`, such as the builders make. It stays as it
            is and shares no weight with the result.
        convolutions: Whether the MLPs run as 1x1 convolutions instead of as matrix
            products: for files that the GPUs of phones will run.

    Returns:
        A functional model with the input and output shapes, the dtype policy, the
        layout and the `pyramid_outputs` of `model`. It can be saved and exported.

    Raises:
        ValueError: if `model` is no `MetaFormer`, a quantised one, one with parts of
            the second generation, whose algebra differs, or one whose blocks lack their
            shortcuts or MLPs.

    Example:
    >>> model = keras_poolformer.PoolFormerS12(weights="imagenet")
    >>> fused = keras_poolformer.inference.fuse(model)
    >>> fused.save("poolformer_s12_fused.keras")
    """
    _check(model)
    layers = {layer.name: layer for layer in model.layers[1:]}
    norm = layers["norm"]
    # Divided by a deviation of 58, the stem's weights would leave the range of float16.
    stem_divides = "preprocessing" in layers and layers["stem"].compute_dtype != "float16"
    mean_is_first = type(norm) is GroupNorm1 and isinstance(
        layers.get("pool"), keras.layers.GlobalAveragePooling2D
    )
    source = model.input
    image = x = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name)
    for name, layer in layers.items():
        if isinstance(layer, MetaFormerBlock):
            x = branches.channel_mixing(layer, branches.token_mixing(layer, x), convolutions)
        elif name == "preprocessing" and stem_divides:
            mean = layer.get_config()["mean"]
            x = CenteredPixels(mean, dtype=layer.dtype_policy, name=name)(x)
        elif name == "stem" and stem_divides:
            variance = layers["preprocessing"].get_config()["variance"]
            deviation = np.sqrt(np.reshape(variance, (1, 1, -1, 1)))
            weights = [values(layer.kernel) / deviation, values(layer.bias)]
            x = place(_like(layer), x, weights)
        elif name == "norm" and mean_is_first:
            continue
        elif name == "pool" and mean_is_first:
            x = _normalized_mean(norm, layer, x, has_head="head" in layers)
        elif name == "norm":
            last = layers[f"stage{len(model.depths)}_block{model.depths[-1]}"]
            x = place(fresh(last._norm_factory, layer), x, layer.get_weights())
        elif name == "head":
            affine = scale_and_shift(norm) if mean_is_first else (np.array(1.0), np.array(0.0))
            x = place(_like(layer), x, behind_affine(layer, *affine))
        else:
            x = place(_like(layer), x, layer.get_weights())
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
        "ResScale": any(block.res_scale1 is not None for block in blocks),
        "blocks without shortcuts": any(not block.residual for block in blocks),
        "blocks without an MLP": any(block.mlp is None for block in blocks),
        "MLPs without biases": any(not block.mlp_bias for block in blocks),
        "an activation that is a layer": any(
            isinstance(block.mlp.activation, keras.layers.Layer) for block in blocks if block.mlp
        ),
        "a norm after the pooling": model.norm_after_pool,
        "an MLP as its classifier": any(isinstance(layer, MLPHead) for layer in model.layers),
        "a last norm of its own": "final_norm" in model.get_config(),
    }
    if any(parts.values()):
        raise ValueError(
            "`model` must be built as a PoolFormer is, whatever its token mixers and norms. "
            f"Received: {model!r}, which has {', '.join(p for p, found in parts.items() if found)}"
        )
    linears = [block.mlp.fc1 for block in blocks]
    if any(linear.quantization_mode is not None for linear in linears):
        raise ValueError(
            "`model` must have its own weights, not quantised ones, since the fusion multiplies "
            f"them: fuse first, then quantise. Received: {model!r} with the quantisation "
            f"{linears[0].quantization_mode!r}"
        )


def _like(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _normalized_mean(norm: GroupNorm1, pool: Any, x: Any, has_head: bool) -> Any:
    """Applies norm and mean in one; scale and shift are left out if a head does them."""
    fused = NormalizedMean(
        norm.epsilon,
        center=norm.center and not has_head,
        scale=norm.scale and not has_head,
        dtype=pool.dtype_policy,
        name=pool.name,
    )
    return place(fused, x, [] if has_head else norm.get_weights())
