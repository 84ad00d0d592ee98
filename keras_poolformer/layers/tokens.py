"""Maps as lists of tokens, and layers whose weights are tied to how many there are."""

from typing import Any

from keras import ops

from keras_poolformer.layers.data_format import DataFormat, split_shape


def known_tokens(shape: tuple[int | None, ...], data_format: DataFormat, layer: str) -> int:
    """Returns height times width of a map, which must be known to create weights.

    Raises:
        ValueError: if one of them is `None`.
    """
    _, height, width, _ = split_shape(shape, data_format)
    if height is None or width is None:
        raise ValueError(
            f"{layer} has a weight for every pair of positions, so it needs a known height and "
            "width: give the model an `input_shape` without None. "
            f"Received: shape={tuple(shape)} with data_format={data_format!r}"
        )
    return height * width


def check_tokens(shape: tuple[Any, ...], tokens: int, data_format: DataFormat, layer: str) -> None:
    """Checks that a map has as many positions as a layer was built for.

    Raises:
        ValueError: if it has not; where the size is not known yet, nothing is checked.
    """
    _, height, width, _ = split_shape(tuple(shape), data_format)
    if isinstance(height, int) and isinstance(width, int) and height * width != tokens:
        raise ValueError(
            f"{layer} was built for maps of {tokens} positions and has a weight for every pair of "
            "them, so it takes no other size: build it, or its model, for this size and train it "
            f"there. Received: shape={tuple(shape)}, of {height * width} positions"
        )


def mix_tokens(x: Any, matrix: Any) -> Any:
    """Replaces every position of a (B, H, W, C) map by a weighted sum of all positions.

    Args:
        x: The map.
        matrix: (H * W, H * W) weights, a row for each position of the result.
    """
    shape = ops.shape(x)
    y = ops.matmul(matrix, ops.reshape(x, (shape[0], matrix.shape[1], shape[3])))
    return ops.reshape(y, shape)
