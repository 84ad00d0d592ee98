"""Files that are written, run beside Keras, and only then put in their place.

Import this module only where `keras.config.backend() == "torch"`.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from keras import ops

from keras_poolformer.files import replacing
from keras_poolformer.inference.export_report import TOLERANCE, ExportReport
from keras_poolformer.inference.runtimes import (
    FileError,
    import_openvino,
    relative_difference,
    run_onnx,
    run_openvino,
)
from keras_poolformer.inference.standalone import Standalone
from keras_poolformer.optional import optional_import


def deliver(graph: Any, target: Path, source: Standalone) -> ExportReport:
    """Writes an ONNX graph as the file that the suffix asks for.

    Args:
        graph: The `onnx.ModelProto`.
        target: The .onnx or .xml file. An older one stays as it is when the new one
            fails.
        source: The model that the graph was made from.

    Raises:
        FileError: if a runtime cannot run the file, or it computes something else.
        OSError: if it cannot be written.
    """
    return (_openvino if target.suffix == ".xml" else _onnx)(graph, target, source)


def _onnx(graph: Any, target: Path, source: Standalone) -> ExportReport:
    with replacing(target) as path:
        path.write_bytes(graph.SerializeToString())
        batches, expected = _expected(source)
        difference = _compared(run_onnx(path, batches), expected)
        size = path.stat().st_size
    operations = Counter(node.op_type for node in graph.graph.node)
    return _report(target, size, source, operations, "onnxruntime", difference, expected)


def _openvino(graph: Any, target: Path, source: Standalone) -> ExportReport:
    openvino = import_openvino()
    try:
        model = openvino.Core().read_model(graph.SerializeToString())
    except RuntimeError as error:
        raise FileError(f"OpenVINO cannot read the graph: {str(error)[:800]}") from error
    weights = target.with_suffix(".bin")
    with replacing(target) as xml_path, replacing(weights) as bin_path:
        openvino.serialize(model, xml_path, bin_path)
        batches, expected = _expected(source)
        difference = _compared(run_openvino(xml_path, bin_path, batches), expected)
        size = xml_path.stat().st_size + bin_path.stat().st_size
        # The .bin takes its place first. Should the process be killed then, an older
        # .xml must not read the weights of another model.
        target.unlink(missing_ok=True)
    kinds = Counter(operation.get_type_name() for operation in model.get_ops())
    operations = {k: n for k, n in kinds.items() if k not in ("Constant", "Parameter", "Result")}
    return _report(target, size, source, operations, "openvino", difference, expected)


def _expected(source: Standalone) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns batches of images and what Keras computes for them."""
    batches = source.batches()
    with torch.no_grad():
        outputs = [source.reference(batch, training=False) for batch in batches]
    return batches, [ops.convert_to_numpy(y).astype("float32") for y in outputs]


def _compared(received: list[np.ndarray], expected: list[np.ndarray]) -> float:
    difference = relative_difference(received, expected)
    if not difference <= TOLERANCE:
        raise FileError(
            f"its outputs differ from Keras's by {difference:.1e} of them, "
            f"{TOLERANCE:.0e} is allowed"
        )
    return difference


def _report(
    target: Path,
    size: int,
    source: Standalone,
    operations: dict[str, int],
    runtime: str,
    difference: float,
    expected: list[np.ndarray],
) -> ExportReport:
    shape = source.reference.compute_output_shape(source.shape)
    version = optional_import(runtime, "to check the file", "onnx").__version__.split("-")[0]
    return ExportReport(
        file=target,
        bytes=size,
        input=f"image {source.dtype} {_text(source.shape, source.axes)}",
        pixels="0 to 255" if source.takes_pixels else "normalised",
        output=f"{source.output} float32 {_text(shape, ('batch', 'any', 'any', 'any'))}",
        operations=dict(sorted(operations.items())),
        runtime=f"{runtime} {version}",
        difference=difference,
        images=sum(len(batch) for batch in expected),
    )


def _text(shape: Sequence[int | None], axes: Sequence[str]) -> str:
    """Returns a shape with names of axes for open sizes."""
    sizes = zip(shape, axes, strict=False)
    return f"({', '.join(axis if size is None else str(size) for size, axis in sizes)})"
