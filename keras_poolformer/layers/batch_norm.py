"""Batch normalisation with PyTorch's defaults, for a place where a norm is asked for."""

from typing import Any

import keras

from keras_poolformer.layers.data_format import check_data_format, known_channels


@keras.saving.register_keras_serializable(package="keras_poolformer")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation of a map, channel by channel.

    `keras.layers.BatchNormalization` with the epsilon and the momentum of
    `torch.nn.BatchNorm2d`, which the paper's comparison of norms used, and with the
    layout instead of an axis. In training mean and variance are those of the batch;
    in inference the moving averages.

    Args:
        momentum: Share of the moving averages that stays at each step. (PyTorch
            names the other share, 0.1.)
        epsilon: Added to the variance.
        center: Whether a shift `beta` is learned.
        scale: Whether a scale `gamma` is learned.
        data_format: `"channels_last"` or `"channels_first"`.

    Reference: [Batch Normalization](https://arxiv.org/abs/1502.03167); table 5 of
        [MetaFormer](https://arxiv.org/abs/2111.11418).
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive, such as 1e-5. Received: {epsilon!r}")
        super().__init__(
            axis=3 if check_data_format(data_format) == "channels_last" else 1,
            momentum=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            **kwargs,
        )
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        known_channels(input_shape, self.data_format, type(self).__name__)
        super().build(input_shape)

    def get_config(self) -> dict[str, Any]:
        # What Keras's layer has beyond, the initialisers and an axis, stays as it is here.
        config = keras.layers.Layer.get_config(self)
        return {
            **config,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "data_format": self.data_format,
        }
