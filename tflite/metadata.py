"""What a .tflite file says of itself: its input, its classes and their names.

The metadata of TensorFlow Lite are a flatbuffer of their own inside the model's, and
the class names a text file in a zip archive behind it. MediaPipe, LiteRT.js and
Android Studio read them.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LABELS = "labels.txt"
_NAME, _IDENTIFIER = "TFLITE_METADATA", b"M001"

# Fields and values of the metadata schema, by their places in its tables.
_RGB, _GREY = 1, 2
_IMAGE_PROPERTIES, _NORMALIZATION, _AXIS_LABELS = 2, 1, 2


def add_metadata(
    model: Any,
    name: str,
    image_shape: Sequence[int],
    normalization: tuple[float, float] | None,
    has_labels: bool,
) -> None:
    """Adds a description of its image and its classes to a model, in place.

    To be called before the file is quantised: the quantiser puts the weights
    behind the flatbuffer, where repacking would lose them.

    Args:
        model: A `ModelT` of the flatbuffer's schema.
        name: Name of the model.
        image_shape: (height, width, channels) of its images.
        normalization: (mean, deviation) that a reader applies to pixels in [0, 255]
            before it hands them to a float input; `None` for uint8 pixels.
        has_labels: Whether the names of the classes will be appended.
    """
    from ai_edge_litert import schema_py_generated as schema

    entry = schema.MetadataT()
    entry.name = _NAME
    entry.buffer = len(model.buffers)
    buffer = schema.BufferT()
    buffer.data = list(_metadata(name, image_shape, normalization, has_labels))
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]


def append_labels(model: bytes, labels: Sequence[str]) -> bytes:
    """Returns a .tflite file with the names of its classes behind it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.writestr(LABELS, "\n".join(labels) + "\n")
    # Offsets in the archive count from its own start; readers look for its end.
    return model + archive.getvalue()


def read_labels(path: Path) -> list[str] | None:
    """Returns the class names behind a .tflite file, or `None` if it has none."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.read(LABELS).decode().splitlines()
    except (zipfile.BadZipFile, KeyError):
        return None


class _Tables:
    """Writes flatbuffer tables field by field, the innermost first."""

    def __init__(self) -> None:
        import flatbuffers

        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return self.builder.CreateString(value)

    def vector(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def floats(self, values: Sequence[float]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return self.builder.EndVector()

    def table(self, fields: int, offsets: dict[int, int], numbers: Any = None) -> int:
        """Writes a table of `fields` fields: offsets of others, and small numbers, by place."""
        self.builder.StartObject(fields)
        for place, offset in offsets.items():
            self.builder.PrependUOffsetTRelativeSlot(place, offset, 0)
        for place, (prepend, value) in (numbers or {}).items():
            getattr(self.builder, prepend)(place, value, 0)
        return self.builder.EndObject()


def _metadata(
    name: str,
    image_shape: Sequence[int],
    normalization: tuple[float, float] | None,
    has_labels: bool,
) -> bytes:
    """Returns a ModelMetadata flatbuffer."""
    write = _Tables()
    height, width, channels = image_shape
    byte, number = "PrependInt8Slot", "PrependUint32Slot"
    size = write.table(2, {}, {0: (number, width), 1: (number, height)})
    color = _RGB if channels == 3 else _GREY
    properties = write.table(2, {1: size}, {0: (byte, color)})
    content = write.table(3, {1: properties}, {0: ("PrependUint8Slot", _IMAGE_PROPERTIES)})
    image = {0: write.text("image"), 1: write.text("The photograph"), 3: content}
    if normalization is not None:
        mean, deviation = (write.floats([value]) for value in normalization)
        options = write.table(2, {0: mean, 1: deviation})
        unit = write.table(2, {1: options}, {0: ("PrependUint8Slot", _NORMALIZATION)})
        image[4] = write.vector([unit])
    image_metadata = write.table(7, image)
    classes = {0: write.text("classes"), 1: write.text("One number for each class")}
    if has_labels:
        file = write.table(
            5,
            {0: write.text(LABELS), 1: write.text("Names of the classes")},
            {2: (byte, _AXIS_LABELS)},
        )
        classes[6] = write.vector([file])
    classes_metadata = write.table(7, classes)
    graph = write.table(
        10, {2: write.vector([image_metadata]), 3: write.vector([classes_metadata])}
    )
    root = write.table(8, {0: write.text(name), 3: write.vector([graph]), 7: write.text("1.0.0")})
    write.builder.Finish(root, _IDENTIFIER)
    return bytes(write.builder.Output())
