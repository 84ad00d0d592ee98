"""How outputs are compared, and how runtimes are started."""

import sys

import numpy as np
import pytest

from keras_poolformer.inference.export_report import TOLERANCE
from keras_poolformer.inference.runtimes import (
    FileError,
    import_openvino,
    relative_difference,
    run_onnx,
    run_openvino,
)


def test_the_worst_image_counts():
    expected = [np.array([[3.0, 4.0], [30.0, 40.0]]), np.array([[0.0, 1.0]])]
    received = [np.array([[3.0, 4.0], [30.0, 40.5]]), np.array([[0.0, 1.001]])]
    assert relative_difference(received, expected) == pytest.approx(0.01)


def test_an_output_of_zeros_is_compared():
    zeros = np.zeros((1, 2))
    assert relative_difference([zeros], [zeros]) == 0
    assert relative_difference([zeros + 1e-6], [zeros]) > TOLERANCE


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_never_passes(value):
    received = np.array([[1.0, value], [1.0, 1.0]])
    assert not relative_difference([received], [np.ones((2, 2))]) <= TOLERANCE


def test_other_shapes_are_named():
    with pytest.raises(FileError, match=r"gives \(2, 5\) where Keras gives \(2, 4\)"):
        relative_difference([np.ones((2, 5))], [np.ones((2, 4))])


def test_openvino_does_not_report_its_import():
    import_openvino()
    assert "openvino" in sys.modules
    assert "openvino_telemetry" not in sys.modules


def test_files_that_cannot_be_run(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(FileError, match=r"ONNX Runtime cannot run the file: .*Protobuf"):
        run_onnx(path, [])
    xml, weights = tmp_path / "model.xml", tmp_path / "model.bin"
    xml.write_text("<net/>")
    weights.write_bytes(b"")
    with pytest.raises(FileError, match="OpenVINO cannot run the file"):
        run_openvino(xml, weights, [])
