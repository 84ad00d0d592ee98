"""Models as ONNX and OpenVINO files, which are checked before they are delivered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_poolformer.files import replacing
from keras_poolformer.inference.runtimes import (
    TOLERANCE,
    FileError,
    import_openvino,
    relative_difference,
    run_onnx,
    run_openvino,
)
from keras_poolformer.inference.standalone import OUTPUTS, Standalone, standalone
from keras_poolformer.optional import optional_import
from keras_poolformer.pretrained import load_model

SUFFIXES = (".onnx", ".xml")
"""Of the files of ONNX and of OpenVINO."""


@dataclass(frozen=True)
class ExportReport:
    """What a file takes and gives, and how it was checked.

    Attributes:
        file: The file.
        bytes: Its size; of an OpenVINO model with that of the weights beside it.
        input: Its images, such as `"image float32 (batch, 224, 224, 3)"`.
        pixels: `"0 to 255"` or `"normalised"`: what is in the images.
        output: What it gives, such as `"probabilities float32 (batch, 1000)"`.
        operations: How often each operation stands in the graph.
        runtime: What ran it for the check.
        difference: The largest relative difference from Keras's outputs of an image.
        images: How many images were compared.
    """

    file: Path
    bytes: int
    input: str
    pixels: str
    output: str
    operations: dict[str, int]
    runtime: str
    difference: float
    images: int

    def __str__(self) -> str:
        return (
            f"File             {self.file} ({self.bytes / 1e6:.2f} MB)\n"
            f"Input            {self.input}, {self.pixels}\n"
            f"Output           {self.output}\n"
            f"Graph            {sum(self.operations.values())} operations of "
            f"{len(self.operations)} kinds\n"
            f"Checked          with {self.runtime} on {self.images} images: a relative "
            f"difference of {self.difference:.1e} from Keras, {TOLERANCE:.0e} allowed"
        )


def export(
    model: Any,
    target: str | Path,
    *,
    output: str | None = None,
    batch: int | None = None,
    image_size: int | Sequence[int] | None = None,
) -> ExportReport:
    """Writes a model as an ONNX or an OpenVINO file, for inference without Keras.

    The model is fused first (`keras_poolformer.inference.fuse`) and computes in float32.
    The file is then run with ONNX Runtime or OpenVINO on images with the statistics of
    photographs, and is not delivered unless its outputs agree with Keras's. Its input
    is called `"image"` and has the layout of the model; its output is called
    `"probabilities"`, `"logits"` or `"features"`.

    Keras must run on PyTorch, whose exporter is used. The command
    `python -m keras_poolformer.inference` sees to that by itself.

    Args:
        model: A `MetaFormer`, a `Sequential` or functional model that holds one, or what
            `keras_poolformer.load_model` takes: a .keras file, a PyTorch checkpoint or
            a preset.
        target: The file to write, in a folder that exists: .onnx for ONNX, .xml for
            OpenVINO, which keeps the weights in a .bin file beside it. An older one is
            replaced when the new one has passed.
        output: `"probabilities"` or `"logits"`, by default what the model gives.
        batch: Images that the file takes at once; `None` for any number.
        image_size: Height and width, one number or two, for a model that leaves them
            open. By default the file leaves them open too.

    Returns:
        What the file takes and gives, and what was measured.

    Raises:
        ValueError: if an argument cannot be right, the model cannot be converted,
            or the file fails the check.
        RuntimeError: if Keras does not run on PyTorch.
        ImportError: if a package that is needed is not installed.
        OSError: if the file cannot be written.

    Example:
    >>> model = keras_poolformer.PoolFormerS12(weights="imagenet")
    >>> report = keras_poolformer.inference.export(model, "poolformer_s12.onnx")
    >>> report.input, report.output
    ('image float32 (batch, 224, 224, 3)', 'probabilities float32 (batch, 1000)')
    """
    target = Path(target)
    _check(target, output, batch)
    size = _size(image_size)
    _check_backend()
    is_openvino = target.suffix == ".xml"
    if is_openvino:
        import_openvino()
    from keras_poolformer.inference.onnx_graph import to_onnx

    write = _write_openvino if is_openvino else _write_onnx
    try:
        with keras.device("cpu"):  # a GPU computes with fewer digits
            if isinstance(model, str | Path):
                model = load_model(model)
            source = standalone(model, output, batch, size)
            return write(to_onnx(source), target, source)
    except FileError as error:
        raise ValueError(
            f"The file failed its check and is not delivered: {error}. "
            f"Received: {getattr(model, 'name', model)!r} for {str(target)!r}"
        ) from error


def _write_onnx(graph: Any, target: Path, source: Standalone) -> ExportReport:
    with replacing(target) as path:
        path.write_bytes(graph.SerializeToString())
        batches, expected = _expected(source)
        difference = _compared(run_onnx(path, batches), expected)
        size = path.stat().st_size
    operations = Counter(node.op_type for node in graph.graph.node)
    return _report(target, size, source, operations, "onnxruntime", difference, expected)


def _write_openvino(graph: Any, target: Path, source: Standalone) -> ExportReport:
    openvino = import_openvino()
    model = openvino.Core().read_model(graph.SerializeToString())
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
    import torch

    batches = source.batches()
    with torch.no_grad():
        outputs = [source.reference(batch, training=False) for batch in batches]
    return batches, [keras.ops.convert_to_numpy(y).astype("float32") for y in outputs]


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


def _check(target: Path, output: str | None, batch: int | None) -> None:
    is_taken = any(path.is_dir() for path in (target, target.with_suffix(".bin")))
    if target.suffix not in SUFFIXES or not target.parent.is_dir() or is_taken:
        raise ValueError(
            "`target` must be the path of a file that ends in .onnx (ONNX) or .xml (OpenVINO), in "
            f"a folder that exists. Received: {str(target)!r}"
        )
    if output is not None and output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {list(OUTPUTS)}. Received: {output!r}")
    if batch is not None and (not isinstance(batch, int) or batch < 1):
        raise ValueError(
            f"`batch` must be a positive number of images, or None for any. Received: {batch!r}"
        )


def _size(image_size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    sides = [image_size] * 2 if isinstance(image_size, int) else list(image_size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            "`image_size` must be a positive integer or two, height and width. "
            f"Received: {image_size!r}"
        )
    return sides[0], sides[1]


def _check_backend() -> None:
    if keras.config.backend() != "torch":
        raise RuntimeError(
            "ONNX and OpenVINO files are written by PyTorch's exporter: set KERAS_BACKEND=torch "
            "before Keras is imported, and load the model there; a .keras file saved under any "
            "backend does. Or run `python -m keras_poolformer.inference model.keras -o "
            "model.onnx`, which starts PyTorch by itself. Received: Keras on "
            f"{keras.config.backend()!r}"
        )
