"""What users may write for an activation, turned into something to call."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras

from keras_poolformer.layers.squared_relu import SquaredReLU
from keras_poolformer.layers.star_relu import StarReLU

ActivationSpec: TypeAlias = str | Callable[..., Any] | Mapping[str, Any] | None

ACTIVATIONS: dict[str, type[keras.layers.Layer]] = {
    "squared_relu": SquaredReLU,
    "star_relu": StarReLU,
}


def make_activation(spec: ActivationSpec, dtype: Any) -> Callable[..., Any]:
    """Returns a function, or a fresh unbuilt layer for an activation that learns.

    Args:
        spec: A name, `"star_relu"` or one of Keras's; a function; a layer or a layer
            class, such as `StarReLU`; or the configuration that Keras saves of them.
        dtype: Dtype policy of a layer.

    Raises:
        ValueError: if it is none of them.
    """
    if isinstance(spec, str) and spec in ACTIVATIONS:
        return ACTIVATIONS[spec](dtype=dtype, name="activation")
    if isinstance(spec, type) and issubclass(spec, keras.layers.Layer):
        return spec(dtype=dtype, name="activation")
    if isinstance(spec, Mapping):
        spec = keras.saving.deserialize_keras_object(dict(spec))
    if isinstance(spec, keras.layers.Layer):
        config = {**spec.get_config(), "name": "activation", "dtype": dtype}
        return type(spec).from_config(config)
    return keras.activations.get(spec)


def serialize_activation(spec: ActivationSpec) -> Any:
    """Returns the name, or the configuration, of an activation for `get_config`."""
    if isinstance(spec, str) and spec in ACTIVATIONS:
        return spec
    if isinstance(spec, type) and issubclass(spec, keras.layers.Layer):
        spec = spec(name="activation")
    if isinstance(spec, keras.layers.Layer):
        return keras.saving.serialize_keras_object(spec)
    if isinstance(spec, Mapping):
        return dict(spec)
    return keras.activations.serialize(keras.activations.get(spec))
