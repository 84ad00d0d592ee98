"""What the norms of this library share: their arguments and their weights."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.data_format import check_data_format, known_channels


class AffineNormalization(keras.layers.Layer):
    """A norm with a learned scale and a learned shift for each channel.

    Which values share a mean and a variance is what a subclass says, in `call`.
    Statistics are float32 in half precision too.

    Args:
        epsilon: Added to the variance.
        center: Whether a shift `beta` is learned.
        scale: Whether a scale `gamma` is learned.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: if `epsilon` is not positive.
    """

    def __init__(
        self,
        epsilon: float,
        center: bool = True,
        scale: bool = True,
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive, such as 1e-5. Received: {epsilon!r}")
        self.epsilon = float(epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = known_channels(input_shape, self.data_format, type(self).__name__)
        # Not cast to a half precision: the arithmetic is float32 throughout.
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape=(channels,), initializer="ones", autocast=False, name="gamma"
            )
        if self.center:
            self.beta = self.add_weight(
                shape=(channels,), initializer="zeros", autocast=False, name="beta"
            )
        self.built = True

    def affine(self, dtype: Any) -> tuple[Any, Any]:
        """Returns scale and shift, (C,) tensors of a dtype; `None` for what is not learned."""
        gamma, beta = self.gamma, self.beta
        return (
            None if gamma is None else ops.cast(gamma, dtype),
            None if beta is None else ops.cast(beta, dtype),
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "data_format": self.data_format,
        }
