"""A Keras model as an ONNX graph, by PyTorch's exporter and ONNX Runtime's optimizer.

Import this module only where `keras.config.backend() == "torch"`.
"""

import math
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from keras import ops

from keras_poolformer.inference.runtimes import FileError
from keras_poolformer.inference.standalone import Standalone
from keras_poolformer.optional import optional_import
from keras_poolformer.version import __version__

OPSET = 20
"""The first version of ONNX's operators that has GELU."""

LARGEST = 2**31 - 2**24
"""Bytes of weights that one file can hold, less what the graph needs."""


class _Model(torch.nn.Module):
    """Gives the model the signature that PyTorch names the input after."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.model(image, training=False)


def to_onnx(source: Standalone) -> Any:
    """Returns the `onnx.ModelProto` that computes what a model does.

    PyTorch traces the model in `channels_last`, with a transposition before and behind
    every convolution and pooling. ONNX Runtime's optimizer for all devices cancels
    them, and writes standard operators. What is left runs in `channels_first`, the
    layout that the runtimes are made for.

    Raises:
        ValueError: if PyTorch cannot convert it.
        FileError: if what PyTorch made of it is no graph that others can read.
        ImportError: if a package that is needed is not installed, or is too old.
    """
    purpose = "to write ONNX files"
    onnx = optional_import("onnx", purpose, "onnx")
    optional_import("onnxscript", purpose, "onnx")
    size = sum(math.prod(weight.shape) * 4 for weight in source.model.weights)
    if size > LARGEST:
        raise ValueError(
            "`model` must have less than 2 GB of weights, which is what an ONNX file can hold. "
            f"Received: {source.model.name!r} with {size / 1e9:.1f} GB"
        )
    try:
        traced = _trace(source)
    except ImportError:
        raise
    except Exception as error:
        hint = ""
        if None in source.shape:
            hint = ", at least not for open sizes; a number for `batch` and `image_size` may help"
        raise ValueError(
            f"`model` cannot be converted by PyTorch{hint}. Received: {source.model.name!r} with "
            f"images of {source.shape}. The reason: {_reason(error)}"
        ) from error
    graph = _optimized(traced)
    _tidy(graph, source)
    try:
        onnx.checker.check_model(graph, full_check=True)
    except Exception as error:  # ONNX's own classes derive from nothing closer
        raise FileError(f"ONNX's checker refuses the graph: {str(error)[:800]}") from error
    return graph


def _trace(source: Standalone) -> bytes:
    opened = {a: name for a, name in enumerate(source.axes) if source.shape[a] is None}
    # Not a batch of 1, which PyTorch takes for one that always is.
    image = ops.zeros(source.filled(2, 7 * source.stride, 5 * source.stride), source.dtype)
    # PyTorch warns of its own code.
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        program = torch.export.export(
            _Model(source.model).eval(),
            (image,),
            # Other than a plain `Dim`, it lets the exporter exclude the smallest sizes, where
            # a map is one pixel wide. The graph computes them all the same.
            dynamic_shapes={"image": dict.fromkeys(opened, torch.export.Dim.DYNAMIC)},
        )
        converted: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=[source.output],
            dynamic_shapes={"image": opened},  # the names of its axes
            verbose=False,
        )
    return converted.model_proto.SerializeToString()


def _optimized(content: bytes) -> Any:
    onnx = optional_import("onnx", "to write ONNX files", "onnx")
    runtime = optional_import("onnxruntime", "to write ONNX files", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # Beyond "basic" come optimizations for one kind of processor.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "model.onnx")
        try:
            runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own classes derive from nothing closer
            raise FileError(f"ONNX Runtime cannot read the graph: {str(error)[:800]}") from error
        return onnx.load(options.optimized_model_filepath)


def _tidy(graph: Any, source: Standalone) -> None:
    """Says what the file is, and leaves out what PyTorch and ONNX Runtime say of themselves."""
    domains = {node.domain for node in graph.graph.node}
    for entry in reversed(range(len(graph.opset_import))):
        if graph.opset_import[entry].domain not in domains:
            del graph.opset_import[entry]
    graph.producer_name, graph.producer_version = "keras_poolformer", __version__
    graph.graph.name = source.model.name
    images = "pixels from 0 to 255" if source.takes_pixels else "normalised images"
    graph.graph.input[0].doc_string = f"({', '.join(source.axes)}), {images}"
    del graph.metadata_props[:]
    for node in graph.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")


def _reason(error: BaseException) -> str:
    """Returns what was wrong, without the advice on PyTorch that its exporter adds."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).split("The error above occurred")[0].strip()
    return text[:800] or type(error).__name__
