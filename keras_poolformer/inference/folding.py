"""Weights of one layer moved into another: the arithmetic, in float64."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_poolformer.layers.layer_spec import LayerFactory
from keras_poolformer.layers.normalization import GroupNorm1


def values(variable: Any) -> np.ndarray:
    """Returns a variable as a float64 array, in which products are not rounded twice."""
    return np.asarray(keras.ops.convert_to_numpy(variable)).astype("float64")


def scale_and_shift(norm: GroupNorm1) -> tuple[np.ndarray, np.ndarray]:
    """Returns gamma and beta of a norm; scalars, 1 and 0, for what it does not learn."""
    gamma = np.array(1.0) if norm.gamma is None else values(norm.gamma)
    beta = np.array(0.0) if norm.beta is None else values(norm.beta)
    return gamma, beta


def behind_affine(
    dense: keras.layers.Dense, scale: np.ndarray, shift: np.ndarray
) -> list[np.ndarray]:
    """Returns kernel and bias that do to `x` what those of `dense` do to `scale * x + shift`."""
    kernel, bias = values(dense.kernel), values(dense.bias)
    shift = np.broadcast_to(shift, kernel.shape[:1])
    return [np.reshape(scale, (-1, 1)) * kernel, bias + shift @ kernel]


def before_scale(dense: keras.layers.Dense, scale: np.ndarray) -> list[np.ndarray]:
    """Returns kernel and bias that give `scale` times what those of `dense` give."""
    return [values(dense.kernel) * scale, values(dense.bias) * scale]


def fresh(factory: LayerFactory, layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a layer like `layer`, which `factory` made, without its weights."""
    policy = layer.dtype_policy
    # By name, where there is one: a layer without `get_config` can then be saved too.
    return factory.make(layer.name, policy.name if type(policy) is keras.DTypePolicy else policy)


def place(layer: keras.layers.Layer, x: Any, weights: Sequence[np.ndarray]) -> Any:
    """Returns the output of `layer` for the Keras tensor `x`, with its weights set."""
    y = layer(x)
    layer.set_weights(weights)
    return y
