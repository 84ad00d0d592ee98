"""The MetaFormer block: token mixing and channel mixing, each in a residual branch."""

from typing import Any

import keras

from keras_poolformer.layers.activation import ActivationSpec, serialize_activation
from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    join_shape,
    split_shape,
    to_channels_last,
)
from keras_poolformer.layers.layer_scale import LayerScale
from keras_poolformer.layers.layer_spec import LayerFactory, LayerSpec
from keras_poolformer.layers.mlp import ChannelMLP
from keras_poolformer.layers.normalization import NORMS
from keras_poolformer.layers.res_scale import ResScale
from keras_poolformer.layers.stochastic_depth import StochasticDepth
from keras_poolformer.layers.token_mixers import TOKEN_MIXERS


@keras.saving.register_keras_serializable(package="keras_poolformer")
class MetaFormerBlock(keras.layers.Layer):
    """The block that the paper abstracts from transformers and MLP-like models.

    ```
    x = res_scale1 * x + drop_path(layer_scale1 * token_mixer(norm1(x)))
    x = res_scale2 * x + drop_path(layer_scale2 * mlp(norm2(x)))
    ```

    The first generation has LayerScale and no ResScale, the second the reverse.

    Args:
        token_mixer: What moves information between positions: `"pooling"`,
            `"identity"`, `"self_attention"` or another name of
            `keras_poolformer.layers.token_mixers.TOKEN_MIXERS`, a layer, a layer
            class, or a callable without arguments that returns a layer. The layer
            maps a (B, H, W, C) map to one of the same shape and must be serialisable.
        norm: The normalisation before each branch: `"group_norm"`, `"layer_norm"`,
            `"batch_norm"`, a layer, a class or a callable as above, or `None` for none.
        mlp_ratio: Hidden channels of the MLP over the block's channels.
        activation: Activation of the MLP, a name, a function or a layer;
            `"star_relu"` learns.
        layer_scale_init_value: Initial value of the LayerScale factors, or `None`
            for no LayerScale.
        drop_path_rate: Probability, in [0, 1), that a sample skips a branch while
            training.
        dropout_rate: Rate of the dropout inside the MLP, in [0, 1).
        res_scale_init_value: Initial value of the ResScale factors of the shortcuts,
            or `None` for no ResScale.
        mlp_bias: Whether the linear maps of the MLP have biases.
        data_format: Layout of the input and the output, `"channels_last"` or
            `"channels_first"`. Inside, the block computes in `channels_last`.

    Raises:
        ValueError: if the token mixer or the norm is unknown, a rate is not in
            [0, 1), or the token mixer changes the shape of the map.

    Reference: section 3.1 of [MetaFormer](https://arxiv.org/abs/2111.11418),
        equations 1 to 3; LayerScale and stochastic depth from section 4.1.
    """

    def __init__(
        self,
        token_mixer: LayerSpec = "pooling",
        norm: LayerSpec = "group_norm",
        mlp_ratio: float = 4.0,
        activation: ActivationSpec = "gelu",
        layer_scale_init_value: float | None = 1e-5,
        drop_path_rate: float = 0.0,
        dropout_rate: float = 0.0,
        data_format: str = "channels_last",
        res_scale_init_value: float | None = None,
        mlp_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._mixer_factory = LayerFactory(token_mixer, TOKEN_MIXERS, "token_mixer")
        self._norm_factory = LayerFactory(norm, NORMS, "norm")
        dtype = self.dtype_policy
        self.data_format = check_data_format(data_format)
        self.mlp_bias = bool(mlp_bias)
        self.layer_scale_init_value = layer_scale_init_value
        self.res_scale_init_value = res_scale_init_value

        self.norm1 = self._norm_factory.make("norm1", dtype)
        self.token_mixer = self._mixer_factory.make("token_mixer", dtype)
        self.norm2 = self._norm_factory.make("norm2", dtype)
        self.mlp = ChannelMLP(
            mlp_ratio, activation, mlp_bias, dropout_rate, dtype=dtype, name="mlp"
        )
        self.layer_scale1: keras.layers.Layer | None = None
        self.layer_scale2: keras.layers.Layer | None = None
        if layer_scale_init_value is not None:
            self.layer_scale1 = LayerScale(layer_scale_init_value, dtype=dtype, name="layer_scale1")
            self.layer_scale2 = LayerScale(layer_scale_init_value, dtype=dtype, name="layer_scale2")
        self.res_scale1: keras.layers.Layer | None = None
        self.res_scale2: keras.layers.Layer | None = None
        if res_scale_init_value is not None:
            self.res_scale1 = ResScale(res_scale_init_value, dtype=dtype, name="res_scale1")
            self.res_scale2 = ResScale(res_scale_init_value, dtype=dtype, name="res_scale2")
        self.drop_path1 = StochasticDepth(drop_path_rate, dtype=dtype, name="drop_path1")
        self.drop_path2 = StochasticDepth(drop_path_rate, dtype=dtype, name="drop_path2")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, height, width, channels = split_shape(input_shape, self.data_format)
        shape = join_shape(batch, height, width, channels, "channels_last")
        scales = (self.layer_scale1, self.layer_scale2, self.res_scale1, self.res_scale2)
        for layer in (self.norm1, self.norm2, self.mlp, *scales):
            if layer is not None:
                layer.build(shape)
        # Called, not built: a mixer of the user's may create its weights anywhere.
        mixed = self.token_mixer(keras.KerasTensor(shape, dtype=self.compute_dtype)).shape
        if tuple(mixed) != shape:
            raise ValueError(
                "`token_mixer` must keep the shape of its input, since the block adds the two. "
                f"Received: {self.token_mixer!r}, which turns {shape} into {tuple(mixed)}"
            )
        self.built = True

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Maps a map of rank 4 in `data_format` to one of the same shape."""
        x = to_channels_last(inputs, self.data_format)
        # Keras hands `training` on to layers of the user's choice, if they take it.
        y = self.token_mixer(self.norm1(x))
        y = self._branch(y, self.layer_scale1, self.drop_path1, training)
        x = self._shortcut(x, self.res_scale1) + y
        y = self.mlp(self.norm2(x), training=training)
        y = self._branch(y, self.layer_scale2, self.drop_path2, training)
        x = self._shortcut(x, self.res_scale2) + y
        return from_channels_last(x, self.data_format)

    @staticmethod
    def _shortcut(x: Any, res_scale: Any) -> Any:
        return x if res_scale is None else res_scale(x)

    @staticmethod
    def _branch(y: Any, layer_scale: Any, drop_path: StochasticDepth, training: bool | None) -> Any:
        if layer_scale is not None:
            y = layer_scale(y)
        return drop_path(y, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "token_mixer": self._mixer_factory.serialize(),
            "norm": self._norm_factory.serialize(),
            "mlp_ratio": self.mlp.ratio,
            "activation": serialize_activation(self.mlp.activation),
            "layer_scale_init_value": self.layer_scale_init_value,
            "drop_path_rate": self.drop_path1.rate,
            "dropout_rate": self.mlp.dropout_rate,
            "res_scale_init_value": self.res_scale_init_value,
            "mlp_bias": self.mlp_bias,
            "data_format": self.data_format,
        }
