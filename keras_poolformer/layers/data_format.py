"""Where the channels stand: checks of `data_format` and moves between layouts.

The maps inside this library are `channels_last`: matrix products then run over
contiguous channels on every backend, and no bias can meet the wrong axis. A
layer that is given `channels_first` transposes at its border. On torch that is
a view, under XLA it is folded into the neighbouring operation.
"""

from typing import Any, Literal, cast

from keras import ops

DataFormat = Literal["channels_last", "channels_first"]


def check_data_format(value: str) -> DataFormat:
    """Returns `value` if it names a layout.

    Raises:
        ValueError: if it does not.
    """
    if value not in ("channels_last", "channels_first"):
        raise ValueError(
            f"`data_format` must be 'channels_last' or 'channels_first'. Received: {value!r}"
        )
    return cast(DataFormat, value)


def to_channels_last(x: Any, data_format: DataFormat) -> Any:
    """Turns a (B, C, H, W) map into (B, H, W, C); returns a (B, H, W, C) map as it is."""
    return x if data_format == "channels_last" else ops.transpose(x, (0, 2, 3, 1))


def from_channels_last(x: Any, data_format: DataFormat) -> Any:
    """The inverse of `to_channels_last`."""
    return x if data_format == "channels_last" else ops.transpose(x, (0, 3, 1, 2))


def split_shape(
    shape: tuple[int | None, ...], data_format: DataFormat
) -> tuple[int | None, int | None, int | None, int | None]:
    """Returns (batch, height, width, channels) of the shape of a map.

    Raises:
        ValueError: if the shape has not four entries.
    """
    if len(shape) != 4:
        layout = "(B, H, W, C)" if data_format == "channels_last" else "(B, C, H, W)"
        raise ValueError(
            f"Expected a feature map of rank 4, {layout}. Received: shape={tuple(shape)}"
        )
    if data_format == "channels_last":
        batch, height, width, channels = shape
    else:
        batch, channels, height, width = shape
    return batch, height, width, channels


def join_shape(
    batch: int | None,
    height: int | None,
    width: int | None,
    channels: int | None,
    data_format: DataFormat,
) -> tuple[int | None, int | None, int | None, int | None]:
    """The inverse of `split_shape`."""
    if data_format == "channels_last":
        return (batch, height, width, channels)
    return (batch, channels, height, width)


def known_channels(shape: tuple[int | None, ...], data_format: DataFormat, layer: str) -> int:
    """Returns the channel count of a map, which must be known to create weights.

    Raises:
        ValueError: if the channel count is `None`.
    """
    channels = split_shape(shape, data_format)[3]
    if channels is None:
        raise ValueError(
            f"{layer} needs a known number of channels to create its weights. "
            f"Received: shape={tuple(shape)} with data_format={data_format!r}"
        )
    return channels


def per_channel(vector: Any, data_format: DataFormat) -> Any:
    """Reshapes a (C,) vector so that it meets the channels of a rank-4 map.

    Broadcasting aligns trailing axes, so a bare (C,) vector is right against
    (B, H, W, C) and wrong against (B, C, H, W), silently so where W == C.
    """
    return ops.reshape(vector, (1, 1, 1, -1) if data_format == "channels_last" else (1, -1, 1, 1))
