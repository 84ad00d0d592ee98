"""ResScale: a learned factor for each channel of a shortcut."""

from typing import Any

import keras

from keras_poolformer.layers.layer_scale import LayerScale


@keras.saving.register_keras_serializable(package="keras_poolformer")
class ResScale(LayerScale):
    """Multiplies each channel of the shortcut by a learned factor that starts at one.

    The arithmetic is LayerScale's, which scales the branch instead. The second
    generation scales the shortcuts of its last two stages and no branch.

    Args:
        init_value: Initial value of every factor.
        data_format: `"channels_last"` or `"channels_first"`; it decides which
            axis the vector of factors, of shape (C,), is laid along.

    Reference: [NormFormer](https://arxiv.org/abs/2110.09456), section 3.2; used as in
        [MetaFormer Baselines for Vision](https://arxiv.org/abs/2210.13452), section 2.
    """

    def __init__(
        self, init_value: float = 1.0, data_format: str = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(init_value, data_format, **kwargs)
