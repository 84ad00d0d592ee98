"""Token mixers with a weight for every pair of positions, which belong to one size of image."""

import re
from collections.abc import Sequence

WHY_NOT_ANOTHER_SIZE = (
    "Random mixing and spatially fully-connected layers have a weight for every pair of positions "
    "and so belong to one size of image: give the model the `input_shape` that the weights were "
    "trained at"
)

_MATRIX = re.compile(r"stage\d+_block\d+/token_mixer/(?:mixing|kernel)")


def is_bound_to_size(path: str, shape: Sequence[int]) -> bool:
    """Returns whether a weight of a MetaFormer has a row and a column for every position.

    Args:
        path: Path of the weight, such as `stage3_block1/token_mixer/mixing`.
        shape: Its shape. A depthwise convolution has a kernel of rank 4 at such a path.
    """
    return len(shape) == 2 and _MATRIX.fullmatch(path) is not None
