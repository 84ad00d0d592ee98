"""Copies of a model for a file: in float32, with another MetaFormer in the place of its own."""

from typing import Any

import keras
import numpy as np

from keras_poolformer.metaformer import MetaFormer


def rebuilt(metaformer: MetaFormer, **changes: Any) -> MetaFormer:
    """Returns a copy of a MetaFormer in float32, with its weights.

    Args:
        metaformer: The original.
        **changes: Arguments of `MetaFormer` that differ.
    """
    copy = MetaFormer.from_config({**metaformer.get_config(), "dtype": "float32", **changes})
    copy.set_weights([np.asarray(weight).astype("float32") for weight in metaformer.get_weights()])
    return copy


def around(model: Any, metaformer: MetaFormer, replacement: Any, image: Any) -> Any:
    """Returns a copy of a model in float32, with another one in the place of its MetaFormer.

    Args:
        model: A `Sequential` or functional model.
        metaformer: The MetaFormer that it holds.
        replacement: What takes and gives the same.
        image: A `keras.Input` to build the copy on.

    Raises:
        ValueError: if the model is no such model.
    """

    def copy(layer: Any) -> Any:
        if layer is metaformer:
            return replacement
        config = layer.get_config()
        if layer.compute_dtype in ("float16", "bfloat16", "float64"):
            config["dtype"] = "float32"
        return type(layer).from_config(config)

    try:
        whole = keras.models.clone_model(model, input_tensors=image, clone_function=copy)
    except ValueError as error:
        raise ValueError(
            "`model` must be a MetaFormer, or a `Sequential` or functional model that holds one. "
            f"Received: {model!r}. Keras says: {error}"
        ) from error
    for layer in model.layers:
        if layer is not metaformer and layer.weights:
            whole.get_layer(layer.name).set_weights(layer.get_weights())
    return whole
