"""The shape of the images a model takes, and their normalisation."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_poolformer.layers.data_format import DataFormat, join_shape, split_shape

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's RGB values in [0, 1], by channel."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's RGB values in [0, 1], by channel."""


def check_input_shape(
    input_shape: Sequence[int | None] | None,
    default_size: int | None,
    data_format: DataFormat,
    minimum: int,
    rgb: bool,
) -> tuple[int | None, ...]:
    """Returns the shape of one image, checked.

    Args:
        input_shape: What the user gave, without the batch, or `None`.
        default_size: Height and width if the user gave nothing.
        data_format: Which axis of `input_shape` holds the channels.
        minimum: Smallest height and width, in pixels.
        rgb: Whether the model must have three channels.

    Raises:
        ValueError: if the shape cannot be that of an image for the model.
    """
    layout = "(height, width, channels)"
    if data_format == "channels_first":
        layout = "(channels, height, width)"
    if input_shape is None:
        return join_shape(None, default_size, default_size, 3, data_format)[1:]
    if not isinstance(input_shape, Sequence) or len(input_shape) != 3:
        raise ValueError(
            f"`input_shape` must be {layout}, without the batch. Received: {input_shape!r}"
        )
    shape = tuple(input_shape)
    _, height, width, channels = split_shape((None, *shape), data_format)
    received = f"Received: input_shape={shape} with data_format={data_format!r}"
    if not isinstance(channels, int) or channels < 1:
        raise ValueError(
            f"`input_shape` must be {layout} with a known number of channels. {received}"
        )
    for axis, size in (("height", height), ("width", width)):
        if size is not None and (not isinstance(size, int) or size < minimum):
            raise ValueError(
                f"`input_shape` must be {layout} with a {axis} of at least {minimum} pixels, the "
                f"stride of the last stage, or None. {received}, which has a {axis} of {size!r}"
            )
    if rgb and channels != 3:
        raise ValueError(
            f"`input_shape` must be {layout} with 3 channels, red, green and blue, for "
            f"`include_preprocessing=True` and for published weights. {received}"
        )
    return shape


def check_images(
    shape: Sequence[Any], data_format: DataFormat, minimum: int, channels: int
) -> None:
    """Checks a batch of images whose model left their size open.

    Raises:
        ValueError: if the channels are not those of the model, or the known height
            or width is under `minimum`.
    """
    _, height, width, actual = split_shape(tuple(shape), data_format)
    received = f"Received: shape={tuple(shape)} with data_format={data_format!r}"
    if isinstance(actual, int) and actual != channels:
        raise ValueError(
            f"`inputs` must be images of {channels} channels, as the model was made for. {received}"
        )
    if any(isinstance(size, int) and size < minimum for size in (height, width)):
        raise ValueError(
            f"`inputs` must be images of at least {minimum} x {minimum} pixels, the stride of the "
            f"last stage. {received}"
        )


def imagenet_normalization(name: str, dtype: Any = None) -> keras.layers.Layer:
    """Returns a layer that normalises (B, H, W, 3) RGB pixels in [0, 255]."""
    return keras.layers.Normalization(
        axis=-1,
        mean=[255 * mean for mean in IMAGENET_MEAN],
        variance=[(255 * std) ** 2 for std in IMAGENET_STD],
        dtype=dtype,
        name=name,
    )
