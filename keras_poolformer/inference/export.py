"""Models as ONNX and OpenVINO files, which are checked before they are delivered."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_poolformer.inference.export_report import ExportReport
from keras_poolformer.inference.runtimes import FileError, import_openvino
from keras_poolformer.inference.standalone import OUTPUTS, standalone
from keras_poolformer.pretrained import load_model

SUFFIXES = (".onnx", ".xml")
"""Of the files of ONNX and of OpenVINO."""


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
    if target.suffix == ".xml":
        import_openvino()  # an error now, rather than after the work
    from keras_poolformer.inference.deliver import deliver
    from keras_poolformer.inference.onnx_graph import to_onnx

    try:
        with keras.device("cpu"):  # a GPU computes with fewer digits
            if isinstance(model, str | Path):
                model = load_model(model)
            source = standalone(model, output, batch, size)
            return deliver(to_onnx(source), target, source)
    except FileError as error:
        raise ValueError(
            f"The file failed its check and is not delivered: {error}. "
            f"Received: {getattr(model, 'name', model)!r} for {str(target)!r}"
        ) from error


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
