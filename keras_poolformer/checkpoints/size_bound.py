"""Weights that belong to the positions of one size of image, met at another size."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_poolformer.checkpoints.frame import EMBEDDING
from keras_poolformer.checkpoints.tensors import Checkpoint
from keras_poolformer.layers.position_embedding import resize_bicubic

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


def hints(weights: Iterable[Any]) -> str:
    """Returns what to think of where a file that Keras saved does not fit, for each such weight.

    Args:
        weights: Of the model. Without any that belongs to a size of image, nothing is returned.
    """
    weights, found = list(weights), []
    if any(is_bound_to_size(weight.path, weight.shape) for weight in weights):
        found.append(f"{WHY_NOT_ANOTHER_SIZE}. ")
    if any(EMBEDDING.fullmatch(weight.path) for weight in weights):
        found.append(
            "A position embedding has a vector for each position: give the model the "
            "`input_shape` that it was trained with, or its height and width as "
            "`position_embedding_size`, from which it is interpolated. "
        )
    return "".join(found)


def can_be_resized(path: str, shape: tuple[int, ...], checkpoint: Checkpoint, key: str) -> bool:
    """Returns whether a tensor is a position embedding that fits but for its size.

    Args:
        path: Path of the weight in the model.
        shape: The shape that PyTorch would give it, (1, C, H, W) for an embedding.
        checkpoint: The file.
        key: Key of the tensor.
    """
    tensor = checkpoint.tensors.get(key)
    if tensor is None or not EMBEDDING.fullmatch(path) or tensor.shape == shape:
        return False
    return len(tensor.shape) == 4 and tensor.shape[:2] == shape[:2] and 0 not in tensor.shape


def resized(embedding: np.ndarray, shape: tuple[int, ...]) -> Any:
    """Returns a position embedding (H, W, C) for a map of another height and width."""
    x = keras.ops.convert_to_tensor(embedding.astype("float32"))
    return resize_bicubic(x[None], *shape[:2])[0]


def why_of_another_size(
    path: str, shape: tuple[int, ...], checkpoint: Checkpoint, key: str
) -> str | None:
    """Returns why a tensor does not fit and what to do, if that is due to the size of the images.

    Takes the arguments of `can_be_resized`.
    """
    name = checkpoint.stored_name(key)
    if can_be_resized(path, shape, checkpoint, key):
        rows, columns = checkpoint.tensors[key].shape[2:]
        return (
            f"{name} has a vector for each of {rows} x {columns} positions and the model has "
            f"{shape[2]} x {shape[3]}, so it belongs to images of another size. Give the model the "
            "`input_shape` that it was trained with, or interpolate it: in the model, made with "
            f"position_embedding_size=({rows}, {columns}), or once and for all, with "
            "load_checkpoint(model, path, interpolate_position_embedding=True)"
        )
    tensor = checkpoint.tensors.get(key)
    if tensor is None or not is_bound_to_size(path, shape) or tensor.shape == shape:
        return None
    if len(tensor.shape) != 2 or tensor.shape[0] != tensor.shape[1]:
        return None
    return (
        f"{name} has a weight for every pair of {tensor.shape[0]} positions and the model has "
        f"{shape[0]} positions, so it belongs to images of another size and cannot be resized. "
        "Give the model the `input_shape` that it was trained with"
    )
