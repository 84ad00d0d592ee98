"""Whether an image can be decoded, and by what."""

import io
from pathlib import Path

from keras_poolformer.image_file import ImageError, read_image
from training.decoding import JPEG_ACCURACY

Result = tuple[bool, str | None]
"""Whether TensorFlow reads the image, and what is wrong with it."""


def decode(file: str | bytes) -> Result:
    """Decodes an image, for nothing but to see whether it can be done.

    Args:
        file: Its path, or its content.
    """
    from PIL import Image

    try:
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
        if not content:
            return False, "it is empty"
        image = read_image(content, upright=False)
    except OSError as error:
        return False, f"it cannot be read: {error.strerror}"
    except ImageError as error:
        return False, error.reason
    with Image.open(io.BytesIO(content)) as header:
        kind, mode = header.format, header.mode
    is_jpeg = kind in ("JPEG", "MPO") and mode in ("L", "RGB")
    return is_jpeg and _tensorflow_reads(content, image.height, image.width), None


def _tensorflow_reads(content: bytes, height: int, width: int) -> bool:
    """Whether TensorFlow decodes a JPEG that Pillow decodes."""
    import tensorflow as tf

    try:
        decoded = tf.io.decode_jpeg(content, 3, dct_method=JPEG_ACCURACY)
    except tf.errors.InvalidArgumentError:
        return False
    return tuple(decoded.shape) == (height, width, 3)
