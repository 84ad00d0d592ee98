"""Photographs from files, from memory or from Pillow, as RGB."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from keras_poolformer.optional import optional_import


class ImageError(ValueError):
    """An image that is missing, broken or none at all.

    Attributes:
        reason: What is wrong with it, without its name.
    """

    def __init__(self, source: Any, reason: str) -> None:
        super().__init__(
            f"`images` must be images that Pillow can read. Received: {_name(source)}; {reason}"
        )
        self.reason = reason


def read_image(source: Any, upright: bool = True) -> Any:
    """Returns a photograph as a PIL image in RGB.

    Args:
        source: Path of a file in any format that Pillow reads, the bytes of one, a
            PIL image, or uint8 pixels of shape (H, W, 3).
        upright: Whether to turn it as the camera noted in the EXIF data. The
            pipelines that published accuracies come from do not.

    Returns:
        A `PIL.Image.Image` of its own. Transparency is dropped; of an animation
        the first picture is taken; of grey levels of 16 bits the upper eight.

    Raises:
        ImageError: a `ValueError`, if it is missing, broken or no image; the message
            names it.
        ImportError: if Pillow is not installed.

    Example:
    >>> read_image("cat.jpg").size
    (500, 375)
    """
    optional_import("PIL", "to read photographs", "pretrained")
    from PIL import Image, ImageOps, UnidentifiedImageError

    if isinstance(source, np.ndarray):
        if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8 or not source.size:
            raise ValueError(
                "`images` must be uint8 pixels of shape (H, W, 3) if they are an array. "
                f"Received: {_name(source)}"
            )
        return Image.fromarray(source)
    if isinstance(source, (str, Path)):
        if not Path(source).is_file():
            is_folder = Path(source).is_dir()
            raise ImageError(source, "it is a folder" if is_folder else "the file does not exist")
    elif not isinstance(source, (bytes, Image.Image)):
        raise ValueError(
            "`images` must be a path, a PIL image, the bytes of an image file or uint8 pixels of "
            f"shape (H, W, 3). Received: {_name(source)}"
        )

    def converted(image: Any) -> Any:
        image = ImageOps.exif_transpose(image) if upright else image
        if image.mode.startswith("I;16"):  # Pillow would clip them to nearly white ones
            levels = np.asarray(image.convert("I"))
            image = Image.fromarray((levels >> 8).astype("uint8"))
        elif image.mode in ("I", "F"):
            raise ImageError(source, f"the range of its values is not known (mode {image.mode})")
        return image.convert("RGB")

    try:
        if isinstance(source, Image.Image):
            return converted(source)
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return converted(image)
    except ImageError:
        raise
    # Pillow raises errors of many kinds on broken files.
    except Exception as error:
        is_unknown = isinstance(error, UnidentifiedImageError)
        reason = "it is of no format that Pillow knows" if is_unknown else f"Pillow says: {error}"
        raise ImageError(source, reason) from error


def _name(source: Any) -> str:
    """What to call an image in a message; bytes and pixels would fill the screen."""
    if isinstance(source, np.ndarray):
        return f"an array of shape {source.shape} and type {source.dtype}"
    if isinstance(source, bytes):
        return f"{len(source)} bytes"
    return repr(str(source)) if isinstance(source, (str, Path)) else repr(source)
