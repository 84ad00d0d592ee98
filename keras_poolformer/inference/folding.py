"""Weights of one layer moved into another: the arithmetic, in float64."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np

from keras_poolformer.layers.batch_norm import BatchNorm
from keras_poolformer.layers.channel_layer_norm import ChannelLayerNorm
from keras_poolformer.layers.layer_spec import LayerFactory
from keras_poolformer.layers.normalization import GroupNorm1

Weights: TypeAlias = Sequence[np.ndarray] | Mapping[str, Sequence[np.ndarray]]
"""Those of a layer, or of each of the layers inside it, by the name of the attribute."""

Part: TypeAlias = tuple[keras.layers.Layer, Weights]
"""A layer and its weights."""


class Affine(NamedTuple):
    """The map `scale * x + shift`: numbers, or one a channel; `None` for no shift."""

    scale: np.ndarray
    shift: np.ndarray | None


class Linear(NamedTuple):
    """The map `x @ kernel + bias`; `None` for no bias."""

    kernel: np.ndarray
    bias: np.ndarray | None

    @property
    def weights(self) -> list[np.ndarray]:
        """What a `Dense` holds."""
        return [self.kernel] if self.bias is None else [self.kernel, self.bias]


IDENTITY = Affine(np.array(1.0), None)


def values(variable: Any) -> np.ndarray:
    """Returns a variable as a float64 array, in which products are not rounded twice."""
    return np.asarray(keras.ops.convert_to_numpy(variable)).astype("float64")


def linear(dense: keras.layers.Dense) -> Linear:
    """Returns what a `Dense` computes."""
    return Linear(values(dense.kernel), None if dense.bias is None else values(dense.bias))


def learned(layer: Any) -> Affine:
    """Returns gamma and beta of a norm."""
    gamma = np.array(1.0) if layer.gamma is None else values(layer.gamma)
    return Affine(gamma, None if layer.beta is None else values(layer.beta))


def split_norm(factory: LayerFactory, norm: keras.layers.Layer) -> tuple[Part | None, Affine]:
    """Splits a norm, which `factory` made, into statistics and an affine map behind them.

    Nothing has to be computed for no norm, nor for `BatchNorm`, whose statistics are constants.
    A norm that is not known stays in one piece, before the identity.
    """
    if type(norm) in (GroupNorm1, ChannelLayerNorm):
        policy = norm.dtype_policy
        bare = type(norm)(norm.epsilon, center=False, scale=False, dtype=policy, name=norm.name)
        return (bare, []), learned(norm)
    if type(norm) is BatchNorm:
        gamma, beta = learned(norm)
        scale = gamma / np.sqrt(values(norm.moving_variance) + norm.epsilon)
        return None, Affine(
            scale, (0.0 if beta is None else beta) - values(norm.moving_mean) * scale
        )
    return copied(factory, norm), IDENTITY


def scaled_norm(norm: Any, factor: np.ndarray) -> Part:
    """Returns a `GroupNorm1` or `ChannelLayerNorm` that gives `factor` times what `norm` gives."""
    gamma, beta = learned(norm)
    layer = type(norm)(
        norm.epsilon, center=beta is not None, dtype=norm.dtype_policy, name=norm.name
    )
    return layer, [gamma * factor] if beta is None else [gamma * factor, beta * factor]


def behind(affine: Affine, after: Linear) -> Linear:
    """Returns the linear map that does to `x` what `after` does to `scale * x + shift`."""
    kernel, bias = after
    scaled = np.reshape(affine.scale, (-1, 1)) * kernel
    if affine.shift is None or not affine.shift.any():
        return Linear(scaled, bias)
    shift = np.broadcast_to(affine.shift, kernel.shape[:1]) @ kernel
    return Linear(scaled, shift if bias is None else bias + shift)


def times(factor: np.ndarray, before: Linear) -> Linear:
    """Returns the linear map that gives `factor` times what `before` gives."""
    kernel, bias = before
    return Linear(kernel * factor, None if bias is None else bias * factor)


def copied(factory: LayerFactory, layer: keras.layers.Layer) -> Part | None:
    """Returns a layer like `layer`, which `factory` made; `None` for the identity."""
    if type(layer) is keras.layers.Identity:
        return None
    policy = layer.dtype_policy
    # By name, where there is one: a layer without `get_config` can then be saved too.
    name = policy.name if type(policy) is keras.DTypePolicy else policy
    return factory.make(layer.name, name), layer.get_weights()


def set_weights(part: Part) -> None:
    """Gives a layer, which is built, its weights."""
    layer, weights = part
    if isinstance(weights, Mapping):
        for inner, own in weights.items():
            getattr(layer, inner).set_weights(own)
    else:
        shapes = [weight.shape for weight in layer.weights]
        layer.set_weights([np.broadcast_to(w, s) for w, s in zip(weights, shapes, strict=True)])


def place(part: Part | None, x: Any) -> Any:
    """Returns the output of a layer for the Keras tensor `x`, with its weights set."""
    if part is None:
        return x
    y = part[0](x)
    set_weights(part)
    return y
