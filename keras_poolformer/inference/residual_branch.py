"""Layers in a row, and the sum of what goes in and what comes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_poolformer.inference.pooling_branch import has_own_branches
from keras_poolformer.layers.mlp import ChannelMLP
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.layers.residual_branches import MLPWeights, mlp_branch


@keras.saving.register_keras_serializable(package="keras_poolformer")
class ResidualBranch(keras.layers.Layer):
    """A residual branch of a block in inference: `x + layers[-1](...layers[0](x))`.

    The layers are always called with `training=False`. Where the block has a ResScale,
    one factor a channel, `shortcut`, multiplies the first `x`.

    Args:
        layers: The layers, or the configurations that Keras saves of them. Together
            they keep the shape of their input.
        scales_shortcut: Whether there is a ResScale.
    """

    def __init__(self, layers: Sequence[Any], scales_shortcut: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = [
            keras.saving.deserialize_keras_object(dict(layer))
            if isinstance(layer, Mapping)
            else layer
            for layer in layers
        ]
        self.scales_shortcut = bool(scales_shortcut)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.shortcut: Any = None
        if self.scales_shortcut:
            self.shortcut = self.add_weight(
                shape=input_shape[-1:], initializer="ones", name="shortcut"
            )
        # Called, not built: a layer of the user's may create its weights anywhere.
        self._branch(keras.KerasTensor(input_shape, dtype=self.compute_dtype))
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Maps a tensor to one of the same shape."""
        if self._is_poolformer_mlp() and has_own_branches(inputs):
            norm, mlp = self.layers
            return mlp_branch(inputs, MLPWeights.of(norm, mlp, None), norm.epsilon)
        y = self._branch(inputs)
        if self.shortcut is None:
            return inputs + y
        if keras.config.backend() == "torch":
            from keras_poolformer.layers import torch_native

            return torch_native.add_product(y, ops.convert_to_tensor(self.shortcut), inputs)
        return self.shortcut * inputs + y

    def _is_poolformer_mlp(self) -> bool:
        kinds = [type(layer) for layer in self.layers]
        return (
            kinds == [GroupNorm1, ChannelMLP] and self.layers[1].is_plain and self.shortcut is None
        )

    def _branch(self, y: Any) -> Any:
        for layer in self.layers:
            y = layer(y, training=False)
        return y

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        for layer in layers:
            # Built on its own, a layer would give its weights paths without the branch.
            layer.pop("build_config", None)
        return {**super().get_config(), "layers": layers, "scales_shortcut": self.scales_shortcut}
