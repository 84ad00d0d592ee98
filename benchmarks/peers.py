"""What the peers' libraries need to work beside newer versions of others."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def import_torchvision() -> Any:
    """Imports torchvision, also beside a build of PyTorch that it was not compiled for.

    timm imports it, for its transforms of Pillow's images. torchvision registers two
    operators of its compiled code, which no PoolFormer calls, and fails without them.

    Returns:
        What defines the operators if they were missing; they end with it.
    """
    from torch import library as torch_library

    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch_library.Library("torchvision", "DEF")
        for operator in _OPERATORS:
            library.define(operator)
        importlib.import_module("torchvision")
        return library
    return None


@contextmanager
def posterising_to_black() -> Iterator[None]:
    """Lets timm keep 0 bits of an image, which Pillow refuses since its version 13.

    At a mean magnitude of 9 this happens to 1 of 660 images.
    """
    from timm.data import auto_augment

    original = auto_augment.NAME_TO_OP["PosterizeIncreasing"]
    auto_augment.NAME_TO_OP["PosterizeIncreasing"] = _posterize
    try:
        yield
    finally:
        auto_augment.NAME_TO_OP["PosterizeIncreasing"] = original


def _posterize(image: Any, bits: int, **arguments: Any) -> Any:
    from timm.data import auto_augment

    if bits == 0:
        return image.point(lambda value: 0)
    return auto_augment.posterize(image, bits, **arguments)
