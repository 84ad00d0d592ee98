"""What users may write for a token mixer or a norm, turned into layers.

A name, a layer class, a callable that makes a layer, a layer, or the
configuration that Keras saves of one: each becomes a template, an unbuilt layer
from which every block takes a fresh copy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

LayerSpec = (
    str | type[keras.layers.Layer] | keras.layers.Layer | Callable[[], Any] | Mapping[str, Any]
)


def layer_template(
    spec: LayerSpec | None, known: Mapping[str, type[keras.layers.Layer]], argument: str
) -> keras.layers.Layer:
    """Returns the layer that `spec` describes; `None` describes the identity.

    Args:
        spec: What the user wrote for `argument`.
        known: The layers that have names.
        argument: The argument's name, for the error.

    Raises:
        ValueError: if `spec` describes no layer, or one of the other layout.
    """
    layer: Any = None
    if spec is None:
        layer = keras.layers.Identity()
    elif isinstance(spec, str):
        if spec in known:
            layer = known[spec]()
    elif isinstance(spec, keras.layers.Layer):
        layer = spec
    elif isinstance(spec, Mapping):
        layer = keras.saving.deserialize_keras_object(dict(spec))
    elif callable(spec):
        layer = spec()
    if not isinstance(layer, keras.layers.Layer):
        made = "" if isinstance(spec, str) or layer is None else f", which gave {layer!r}"
        raise ValueError(
            f"`{argument}` must be one of {sorted(known)}, or a layer, a layer class or a "
            f"callable without arguments that returns a layer. Received: {spec!r}{made}"
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ValueError(
            f"`{argument}` must be a layer for channels_last maps: a MetaFormer computes in "
            "(B, H, W, C) inside, whatever the layout of its input. "
            f"Received: {spec!r} with data_format={layer.data_format!r}"
        )
    return layer


def serialize_specs(
    specs: LayerSpec | None | Sequence[LayerSpec | None], templates: Sequence[keras.layers.Layer]
) -> Any:
    """Returns what `get_config` should hold of an argument that describes layers.

    Names and `None` stay as they are; everything else becomes the configuration
    of its template. One spec for all stages stays one.
    """
    several = isinstance(specs, (list, tuple))
    configs = [
        spec
        if spec is None or isinstance(spec, str)
        else keras.saving.serialize_keras_object(template)
        for spec, template in zip(specs if several else [specs], templates, strict=False)
    ]
    return configs if several else configs[0]


def fresh_layer(
    template: keras.layers.Layer, name: str, dtype: keras.dtype_policies.DTypePolicy
) -> keras.layers.Layer:
    """Returns an unbuilt copy of `template` with a name and a dtype policy of its own."""
    config = {**template.get_config(), "name": name, "dtype": dtype}
    return type(template).from_config(config)
