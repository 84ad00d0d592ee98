"""A learned vector for every position, added to a map."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_poolformer.layers.data_format import (
    check_data_format,
    from_channels_last,
    known_channels,
    split_shape,
    to_channels_last,
)
from keras_poolformer.layers.pooling import int_pair


def resize_bicubic(x: Any, height: Any, width: Any) -> Any:
    """Resizes a (1, H, W, C) tensor as `torch.nn.functional.interpolate` with "bicubic".

    Keras's resizing has other cubic weights on each backend, and on TensorFlow needs
    sizes that are known while a graph is made.

    Args:
        x: The tensor, of known shape.
        height: New height, an integer or a scalar tensor.
        width: New width.
    """
    _, rows, columns, channels = x.shape
    # Along each axis a product with a matrix that holds four weights in every row.
    x = ops.matmul(cubic_weights(rows, height, x.dtype), ops.reshape(x, (rows, -1)))
    x = ops.reshape(x, (-1, columns, channels))
    return ops.matmul(cubic_weights(columns, width, x.dtype), x)[None]


def cubic_weights(size: int, new_size: Any, dtype: Any) -> Any:
    """Weights of cubic convolution along an axis, (new_size, size); the border repeats."""
    new_positions = ops.cast(ops.arange(new_size), dtype)
    centers = (new_positions + 0.5) * (size / ops.cast(new_size, dtype)) - 0.5
    first = ops.floor(centers)
    weights = 0.0
    for tap in (-1, 0, 1, 2):
        distance = ops.abs(centers - first - tap)
        near = (1.25 * distance - 2.25) * distance * distance + 1.0
        far = ((-0.75 * distance + 3.75) * distance - 6.0) * distance + 3.0
        place = ops.clip(ops.cast(first, "int32") + tap, 0, size - 1)
        weight = ops.where(distance <= 1, near, far)
        weights = weights + weight[:, None] * ops.one_hot(place, size, dtype=dtype)
    return weights


@keras.saving.register_keras_serializable(package="keras_poolformer")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector to every position, which tells attention where it stands.

    The embedding belongs to one size of map. For another it can be interpolated,
    where that is asked for: the accuracy there is not that of the trained size.

    Args:
        size: Height and width of the embedding in positions, an integer or a pair.
            By default those of the map that the layer is built for.
        interpolate: Whether a map of another size gets the embedding resized with
            bicubic interpolation. Otherwise such a map is refused.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: if the size of the map is open and `size` and `interpolate` are
            not given, or a map of another size comes without `interpolate`.

    Reference: section 4.1 of [ViT](https://arxiv.org/abs/2010.11929); the hybrids with
        attention of [MetaFormer](https://arxiv.org/abs/2111.11418) have one before
        their first stage with attention. Initialised with zeros, as there.
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        interpolate: bool = False,
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = None if size is None else int_pair(size, "size", 1)
        self.interpolate = bool(interpolate)
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = known_channels(input_shape, self.data_format, type(self).__name__)
        size = self.size or split_shape(input_shape, self.data_format)[1:3]
        if None in size:
            raise ValueError(
                "PositionEmbedding has a weight for every position, so it needs a known height "
                "and width: give the model an `input_shape` without None or a "
                "`position_embedding_size`, or the layer a `size` and `interpolate=True`. "
                f"Received: shape={tuple(input_shape)} with data_format={self.data_format!r}"
            )
        self.embedding = self.add_weight(
            shape=(*size, channels), initializer="zeros", name="embedding"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Adds to a map of rank 4 in `data_format`."""
        x = to_channels_last(inputs, self.data_format)
        embedding = ops.convert_to_tensor(self.embedding)[None]
        size = tuple(embedding.shape[1:3])
        if tuple(x.shape[1:3]) != size:
            if not self.interpolate:
                raise ValueError(
                    f"PositionEmbedding was built for maps of {size[0]} x {size[1]} positions and "
                    "has a vector for each of them. `interpolate=True` resizes them to any other "
                    f"size. Received: shape={tuple(inputs.shape)}"
                )
            embedding = resize_bicubic(embedding, *ops.shape(x)[1:3])
        return from_channels_last(x + ops.cast(embedding, x.dtype), self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": None if self.size is None else list(self.size),
            "interpolate": self.interpolate,
            "data_format": self.data_format,
        }
