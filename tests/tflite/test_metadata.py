"""The metadata are read back field by field, as MediaPipe reads them."""

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import encode, number_types, packer

from tests.tflite.conftest import in_tensorflow
from tflite.convert import convert
from tflite.metadata import LABELS, append_labels, read_labels


def field(table, place):
    """The offset of a field in a table, or 0."""
    return table.Offset(4 + 2 * place)


def child(table, place):
    return flatbuffers.table.Table(table.Bytes, table.Indirect(table.Pos + field(table, place)))


def text(table, place):
    return table.String(table.Pos + field(table, place)).decode()


def element(table, place, index=0):
    start = table.Vector(field(table, place))
    return flatbuffers.table.Table(table.Bytes, table.Indirect(start + 4 * index))


def number(table, place, kind=number_types.Uint8Flags):
    return table.Get(kind, table.Pos + field(table, place))


def floats(table, place):
    start = table.Vector(field(table, place))
    return [
        table.Get(number_types.Float32Flags, start + 4 * i)
        for i in range(table.VectorLen(field(table, place)))
    ]


def metadata(path):
    model = schema.Model.GetRootAsModel(path.read_bytes(), 0)
    (entry,) = [model.Metadata(i) for i in range(model.MetadataLength())
                if model.Metadata(i).Name() == b"TFLITE_METADATA"]  # fmt: skip
    content = bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
    assert content[4:8] == b"M001"
    root = encode.Get(packer.uoffset, content, 0)
    return flatbuffers.table.Table(content, root)


@in_tensorflow
@pytest.mark.parametrize("mode", ["float32", "dynamic-int8"])
@pytest.mark.parametrize("input", ["float32", "uint8"])
def test_what_a_reader_finds(mode, input, saved, tmp_path):
    path = tmp_path / "model.tflite"
    convert(saved, path, labels=["a", "b", "c"], input=input, quantize=mode)
    root = metadata(path)
    assert text(root, 0) == "metaformer"
    graph = element(root, 3)
    image, classes = element(graph, 2), element(graph, 3)
    assert text(image, 0) == "image"
    content = child(image, 3)
    assert number(content, 0) == 2  # image properties
    properties = child(content, 1)
    assert number(properties, 0) == 1  # RGB
    size = child(properties, 1)
    assert [number(size, place, number_types.Uint32Flags) for place in (0, 1)] == [16, 16]
    file = element(classes, 6)
    assert text(file, 0) == LABELS
    assert number(file, 2) == 2  # labels of an axis
    if input == "uint8":
        assert field(image, 4) == 0
    else:
        unit = element(image, 4)
        assert number(unit, 0) == 1  # a normalisation
        # MediaPipe wants one for a float input. This model takes pixels as they are.
        assert floats(child(unit, 1), 0) == [0.0]
        assert floats(child(unit, 1), 1) == [1.0]


def test_without_labels(converted):
    root = metadata(converted)
    classes = element(element(root, 3), 3)
    assert field(classes, 6) == 0
    assert read_labels(converted) is None


def test_labels_in_a_file_of_other_bytes(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(append_labels(b"x" * 1000, ["tench", "French horn"]))
    assert path.read_bytes().startswith(b"x" * 1000)
    assert read_labels(path) == ["tench", "French horn"]
