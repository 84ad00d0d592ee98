import sys

import numpy as np
import pytest

from tests.tflite import graphs
from tests.tflite.conftest import in_tensorflow
from tflite.benchmark import memory
from tflite.benchmark.memory import measure, peak_memory

pytestmark = in_tensorflow

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is a lower bound")


def with_weights(path, inputs, outputs):
    """Writes a matrix product whose float32 weights are of this size.

    TensorFlow takes seconds for large constants, so they are put into a small file.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    content = graphs.write(path, lambda x: x @ graphs.weights(inputs, 8), (1, inputs)).read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (product,) = model.subgraphs[0].operators
    tensors = model.subgraphs[0].tensors
    tensors[product.inputs[1]].shape = [outputs, inputs]
    tensors[product.outputs[0]].shape = [1, outputs]
    values = np.ones(4 * inputs * outputs, "uint8")
    model.buffers[tensors[product.inputs[1]].buffer].data = values
    builder = flatbuffers.Builder(len(values) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


@linux
def test_a_constant_of_50_megabytes_shows(tmp_path):
    large = with_weights(tmp_path / "large.tflite", 1000, 12500)
    small = with_weights(tmp_path / "small.tflite", 1000, 125)
    assert large.stat().st_size > 50e6
    # The weights as they are in the file, and as the delegate packs them.
    assert 50e6 < peak_memory(large) < 200e6
    assert 0 < peak_memory(small) < 30e6


def test_a_file_that_cannot_be_run(tmp_path):
    with pytest.raises(ValueError, match="`files`.*does not exist"):
        peak_memory(tmp_path / "none.tflite")


def test_where_the_system_does_not_tell(tmp_path, monkeypatch):
    file = graphs.write(tmp_path / "small.tflite", graphs.convolution, (1, 8, 8, 4))
    monkeypatch.setattr(memory, "_status", lambda field: None)
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert measure({"file": str(file), "threads": 1}) is None


@linux
def test_the_two_sources_agree(monkeypatch):
    exact = memory._status("VmHWM")
    monkeypatch.setattr(memory, "_status", lambda field: None)  # as on macOS
    assert memory.peak_resident() == pytest.approx(exact, rel=0.05)
