"""The MetaFormer block: token mixing and channel mixing, each in a residual branch."""

from typing import Any

import keras

from keras_poolformer.layers import residual_branches
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
from keras_poolformer.layers.normalization import NORMS, GroupNorm1
from keras_poolformer.layers.res_scale import ResScale
from keras_poolformer.layers.stochastic_depth import StochasticDepth, check_rate
from keras_poolformer.layers.token_mixers import TOKEN_MIXERS, Pooling


@keras.saving.register_keras_serializable(package="keras_poolformer")
class MetaFormerBlock(keras.layers.Layer):
    """The block that the paper abstracts from transformers and MLP-like models.

    ```
    x = res_scale1 * x + drop_path(layer_scale1 * token_mixer(norm1(x)))
    x = res_scale2 * x + drop_path(layer_scale2 * mlp(norm2(x)))
    ```

    The first generation has LayerScale and no ResScale, the second the reverse. Both
    the shortcuts and the second branch can be left out, to see what they are worth.

    Args:
        token_mixer: What moves information between positions: `"pooling"`,
            `"identity"`, `"self_attention"` or another name of
            `keras_poolformer.layers.token_mixers.TOKEN_MIXERS`, a layer, a layer
            class, or a callable without arguments that returns a layer. The layer
            maps a (B, H, W, C) map to one of the same shape and must be serialisable.
        norm: The normalisation before each branch: `"group_norm"`, `"layer_norm"`,
            `"batch_norm"`, a layer, a class or a callable as above, or `None` for none.
        mlp_ratio: Hidden channels of the MLP over the block's channels, or `None` for a
            block without its second branch, which then mixes no channels.
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
        residual: Whether the shortcuts are there. Without them each branch replaces its
            input instead of adding to it.
        custom_gradients: Whether the branches of a PoolFormer (pooling, group norm, GELU) run
            as one function each, faster and with less memory. The outputs are the same.
            `False` runs them layer by layer: for derivatives of a higher order on torch,
            forward-mode derivatives on JAX, and hooks on the layers inside.
        recompute: Whether training computes the hidden map of the MLP once more in the
            backward pass instead of keeping it: less than half the memory of activations.
            Only for the branches of `custom_gradients`.
        data_format: Layout of the input and the output, `"channels_last"` or
            `"channels_first"`. Inside, the block computes in `channels_last`.

    Raises:
        ValueError: if the token mixer or the norm is unknown, a rate is not in
            [0, 1), the token mixer changes the shape of the map, or shortcuts are to be
            scaled that are not there.

    Reference: section 3.1 of [MetaFormer](https://arxiv.org/abs/2111.11418),
        equations 1 to 3; LayerScale and stochastic depth from section 4.1.
    """

    def __init__(
        self,
        token_mixer: LayerSpec = "pooling",
        norm: LayerSpec = "group_norm",
        mlp_ratio: float | None = 4.0,
        activation: ActivationSpec = "gelu",
        layer_scale_init_value: float | None = 1e-5,
        drop_path_rate: float = 0.0,
        dropout_rate: float = 0.0,
        data_format: str = "channels_last",
        res_scale_init_value: float | None = None,
        mlp_bias: bool = True,
        residual: bool = True,
        custom_gradients: bool = True,
        recompute: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.custom_gradients = bool(custom_gradients)
        self.recompute = bool(recompute)
        self._mixer_factory = LayerFactory(token_mixer, TOKEN_MIXERS, "token_mixer")
        self._norm_factory = LayerFactory(norm, NORMS, "norm")
        dtype = self.dtype_policy
        self.data_format = check_data_format(data_format)
        self.layer_scale_init_value = layer_scale_init_value
        self.res_scale_init_value = res_scale_init_value
        self.mlp_ratio = mlp_ratio
        self.mlp_bias = bool(mlp_bias)
        self.dropout_rate = check_rate(dropout_rate, "dropout_rate")
        self.residual = bool(residual)
        if res_scale_init_value is not None and not residual:
            raise ValueError(
                "`res_scale_init_value` must be None with `residual=False`, since it scales "
                f"shortcuts. Received: {res_scale_init_value!r}"
            )
        self._activation = serialize_activation(activation)

        self.norm1 = self._norm_factory.make("norm1", dtype)
        self.token_mixer = self._mixer_factory.make("token_mixer", dtype)
        self.layer_scale1 = self._layer_scale("layer_scale1")
        self.res_scale1 = self._res_scale("res_scale1")
        self.drop_path1 = StochasticDepth(drop_path_rate, dtype=dtype, name="drop_path1")
        self.norm2: Any = None
        self.mlp: Any = None
        self.layer_scale2 = self.res_scale2 = None
        if mlp_ratio is not None:
            self.norm2 = self._norm_factory.make("norm2", dtype)
            self.mlp = ChannelMLP(
                mlp_ratio, activation, mlp_bias, dropout_rate, dtype=dtype, name="mlp"
            )
            self.layer_scale2 = self._layer_scale("layer_scale2")
            self.res_scale2 = self._res_scale("res_scale2")
        self._check_recompute()
        self.drop_path2 = StochasticDepth(drop_path_rate, dtype=dtype, name="drop_path2")

    def _layer_scale(self, name: str) -> LayerScale | None:
        if self.layer_scale_init_value is None:
            return None
        return LayerScale(self.layer_scale_init_value, dtype=self.dtype_policy, name=name)

    def _res_scale(self, name: str) -> ResScale | None:
        if self.res_scale_init_value is None:
            return None
        return ResScale(self.res_scale_init_value, dtype=self.dtype_policy, name=name)

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
        x = self._mix_tokens(x, training)
        x = self._mix_channels(x, training)
        return from_channels_last(x, self.data_format)

    def _mix_tokens(self, x: Any, training: bool | None) -> Any:
        if self._has_own_branches(x) and type(self.token_mixer) is Pooling:
            scale = residual_branches.folded_scale(self.norm1, self.layer_scale1, x.shape[3])
            size, factors = self.token_mixer.pool_size, self.drop_path1.factors(x, training)
            return residual_branches.pooling_branch(
                x, scale, self.norm1.epsilon, size, factors, training
            )
        # Keras hands `training` on to layers of the user's choice, if they take it.
        y = self.token_mixer(self.norm1(x))
        y = self._branch(y, self.layer_scale1, self.drop_path1, training)
        return self._add(x, self.res_scale1, y)

    def _mix_channels(self, x: Any, training: bool | None) -> Any:
        if self.mlp is None:
            return x
        if self._has_own_branches(x) and self.mlp.is_plain:
            weights = residual_branches.MLPWeights.of(self.norm2, self.mlp, self.layer_scale2)
            factors = self.drop_path2.factors(x, training)
            return residual_branches.mlp_branch(
                x, weights, self.norm2.epsilon, factors, self.recompute, training
            )
        y = self.mlp(self.norm2(x), training=training)
        y = self._branch(y, self.layer_scale2, self.drop_path2, training)
        return self._add(x, self.res_scale2, y)

    def _check_recompute(self) -> None:
        if self.recompute and not (
            self.custom_gradients
            and self.residual
            and type(self.norm2) is GroupNorm1
            and self.res_scale_init_value is None
            and self.mlp.is_plain
        ):
            raise ValueError(
                "`recompute` must be False for blocks other than PoolFormer's: it needs "
                "`custom_gradients=True`, `norm='group_norm'`, `activation='gelu'`, shortcuts "
                "without ResScale and an MLP without dropout. Received: recompute=True with "
                f"norm={self.norm2!r}, activation={self._activation!r}, "
                f"dropout_rate={self.dropout_rate}, mlp_ratio={self.mlp_ratio}, "
                f"custom_gradients={self.custom_gradients}"
            )

    def _has_own_branches(self, x: Any) -> bool:
        """Whether both branches can run as functions with gradients of their own."""
        return (
            self.custom_gradients
            and self.residual
            and type(self.norm1) is GroupNorm1
            and self.res_scale_init_value is None
            # Products of a small LayerScale and weights end where float16 does.
            and self.compute_dtype != "float16"
            and residual_branches.takes(x)
        )

    def _add(self, x: Any, res_scale: Any, y: Any) -> Any:
        if not self.residual:
            return y
        return (x if res_scale is None else res_scale(x)) + y

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
            "mlp_ratio": self.mlp_ratio,
            "activation": self._activation,
            "layer_scale_init_value": self.layer_scale_init_value,
            "drop_path_rate": self.drop_path1.rate,
            "dropout_rate": self.dropout_rate,
            "res_scale_init_value": self.res_scale_init_value,
            "mlp_bias": self.mlp_bias,
            "residual": self.residual,
            "custom_gradients": self.custom_gradients,
            "recompute": self.recompute,
            "data_format": self.data_format,
        }
