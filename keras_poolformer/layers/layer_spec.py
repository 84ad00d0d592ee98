"""What users may write for a token mixer or a norm, turned into layers.

A name, a layer class, a callable that makes a layer, a layer, or the
configuration that Keras saves of one: each becomes a `LayerFactory`, from which
every block takes a fresh layer.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras

LayerSpec: TypeAlias = str | type | Callable[[], Any] | Mapping[str, Any] | None


class LayerFactory:
    """Makes layers as a user described one.

    Args:
        spec: What the user wrote for `argument`; `None` stands for the identity.
        known: The layers that have names.
        argument: The argument's name, for errors.

    Raises:
        ValueError: if `spec` describes no layer, or one of the other layout.
    """

    def __init__(
        self, spec: LayerSpec, known: Mapping[str, type[keras.layers.Layer]], argument: str
    ) -> None:
        layer: Any = None
        if spec is None:
            layer = keras.layers.Identity()
        elif isinstance(spec, str):
            layer = known[spec]() if spec in known else None
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
        self.spec = spec
        self.template = layer

    def make(self, name: str, dtype: Any) -> keras.layers.Layer:
        """Returns an unbuilt layer with a name and a dtype policy of its own."""
        if self.spec is None or isinstance(self.spec, (str, type)):
            return type(self.template)(name=name, dtype=dtype)
        config = {**self.template.get_config(), "name": name, "dtype": dtype}
        return type(self.template).from_config(config)

    def serialize(self) -> Any:
        """Returns the name, or the configuration of the layer, for `get_config`."""
        if self.spec is None or isinstance(self.spec, str):
            return self.spec
        return keras.saving.serialize_keras_object(self.template)
