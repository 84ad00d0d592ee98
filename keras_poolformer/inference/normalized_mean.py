"""The last norm and the mean over the positions in one layer."""

from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.normalization import GroupNorm1, sample_statistics
from keras_poolformer.layers.precision import full_precision


@keras.saving.register_keras_serializable(package="keras_poolformer")
class NormalizedMean(GroupNorm1):
    """The mean over the positions of `GroupNorm1`, without the normalised map.

    The mean commutes with the norm, whose factors do not depend on the position:
    what is normalised here is a vector for each sample. Takes a (B, H, W, C) map
    and the arguments of `GroupNorm1`, and returns (B, C).
    """

    def call(self, inputs: Any) -> Any:
        x = full_precision(inputs)
        centered, residue, variance = sample_statistics(x, (1, 2), 3)
        mean = ops.mean(centered, (1, 2), keepdims=True) - residue
        # Reshaped rather than indexed: a LiteRT delegate knows no slices.
        mean = ops.reshape(mean * ops.rsqrt(variance + self.epsilon), (-1, x.shape[3]))
        gamma, beta = self.affine(x.dtype)
        mean = mean if gamma is None else mean * gamma
        mean = mean if beta is None else mean + beta
        return ops.cast(mean, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], input_shape[3])
