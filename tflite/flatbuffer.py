"""A .tflite file as objects that can be changed, and back."""

from typing import Any


def unpack(content: bytes) -> Any:
    """Returns the `ModelT` of a .tflite file that has all its weights in the flatbuffer."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def pack(model: Any) -> bytes:
    """Returns the content of the file of a `ModelT`."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
