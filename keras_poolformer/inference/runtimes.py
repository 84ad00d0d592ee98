"""Runs exported files, to compare them with the model that they were made from."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from keras_poolformer.optional import optional_import


class FileError(ValueError):
    """A file that was just written cannot be run, or computes something else."""


def import_openvino() -> Any:
    """Imports OpenVINO without its reports: at import, it would tell its makers by the network.

    Without the package `openvino_telemetry`, which comes with it, it does not.

    Raises:
        ImportError: if it is not installed.
    """
    reporter = "openvino_telemetry"
    is_first = reporter not in sys.modules
    if is_first:
        sys.modules[reporter] = None  # type: ignore[assignment]  # cannot be imported
    try:
        return optional_import("openvino", "for OpenVINO files", "openvino")
    finally:
        if is_first:
            del sys.modules[reporter]


def run_onnx(path: Path, batches: list[np.ndarray]) -> list[np.ndarray]:
    """Returns the outputs of an ONNX file in ONNX Runtime on the CPU."""
    runtime = optional_import("onnxruntime", "to check ONNX files", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return [session.run(None, {"image": batch})[0] for batch in batches]
    except Exception as error:  # ONNX Runtime's own classes derive from nothing closer
        raise FileError(f"ONNX Runtime cannot run the file: {str(error)[:800]}") from error


def run_openvino(xml: Path, weights: Path, batches: list[np.ndarray]) -> list[np.ndarray]:
    """Returns the outputs of an OpenVINO model on the CPU."""
    core = import_openvino().Core()
    # Without the hint, newer processors compute in bfloat16.
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    try:
        model = core.compile_model(core.read_model(xml, weights), "CPU", settings)
        return [model(batch)[0] for batch in batches]
    except RuntimeError as error:
        raise FileError(f"OpenVINO cannot run the file: {str(error)[:800]}") from error


def relative_difference(received: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns the largest ||received - expected|| / ||expected|| of an image.

    Raises:
        FileError: if the shapes differ.
    """
    largest = 0.0
    for ours, theirs in zip(received, expected, strict=True):
        if ours.shape != theirs.shape:
            raise FileError(f"the file gives {ours.shape} where Keras gives {theirs.shape}")
        rows = theirs.reshape(len(theirs), -1).astype("float64")
        difference = np.linalg.norm(ours.reshape(rows.shape) - rows, axis=1)
        errors = difference / np.maximum(np.linalg.norm(rows, axis=1), 1e-30)
        # `max` of Python would pass over what is not a number.
        largest = float(np.max([largest, *errors]))
    return largest
