"""The conversion itself, in a process with Keras on TensorFlow.

`tflite.convert` calls it, in a process of its own where another backend is active.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_poolformer.class_names import IMAGENET_CLASSES, imagenet_classes
from keras_poolformer.files import replacing
from keras_poolformer.image_input import IMAGENET_MEAN, IMAGENET_STD
from keras_poolformer.transform import default_crop_pct
from tflite.checks import read_graph
from tflite.comparison import compare
from tflite.export import FileSpec, image_shape_of, prepare, to_litert
from tflite.flatbuffer import pack, unpack
from tflite.half_precision import half_precision
from tflite.images import list_images, read_images, sample_images
from tflite.interpreter import LiteRTModel
from tflite.metadata import add_metadata, append_labels
from tflite.process import serve
from tflite.quantize import MODES
from tflite.quantize import quantize as quantized
from tflite.reference import KerasReference
from tflite.report import describe, measured
from tflite.short_sums import shorten_sums

COMPARED = 16
"""Photographs on which a file is compared with its Keras model."""

EMULATED = 2
"""Photographs on which its sums are emulated in float16."""


def build(
    model: keras.Model,
    target: Path,
    *,
    quantize: str,
    input: str,  # noqa: A002
    output: str | None,
    batch: int | None,
    image_size: Sequence[int] | None,
    calibrate: str | None,
    images: int,
    labels: Sequence[str] | None,
) -> dict[str, Any]:
    """Writes the file if it passes; the arguments are those of `tflite.convert.convert`."""
    paths = None if calibrate is None else list_images(Path(calibrate))
    image_shape = image_shape_of(model, image_size)
    names = _names(model, labels)
    if paths is None:
        pixels = compared = sample_images(image_shape, COMPARED)
    else:
        pixels = read_images(paths, image_shape, default_crop_pct(model), images)
        compared = pixels[:COMPARED]
    fused, spec = prepare(model, batch, image_size, input, output, compared)
    content = to_litert(fused, spec)
    graph = unpack(content)
    # The stream of a token mixer or a norm of one's own cannot be scaled.
    if spec.batch == 1 and half_precision(content, spec.feed(compared[:EMULATED]))["overflows"]:
        shorten_sums(graph)
    normalization = _normalization(spec)
    add_metadata(graph, model.name, spec.image_shape, normalization, has_labels=names is not None)
    content = quantized(
        pack(graph), quantize, lambda: (spec.feed(part) for part in _split(pixels, spec))
    )
    if names is not None:
        content = append_labels(content, names)
    with replacing(target) as path:
        path.write_bytes(content)
        origin = calibrate or "two photographs of scikit-learn"
        report = _measure(path, model, spec, compared, quantize, origin)
        if report["problems"]:
            raise ValueError(
                f"The file failed its checks and is not delivered: {'; '.join(report['problems'])}"
            )
    return report | {"file": str(target)}


def _measure(
    path: Path, model: keras.Model, spec: FileSpec, pixels: np.ndarray, mode: str, images: str
) -> dict[str, Any]:
    file = LiteRTModel(path, batch=1 if spec.batch is None else None)
    graph = read_graph(path)
    comparison = compare(file, KerasReference(model, spec.image_shape), [(pixels, None)])
    minimum = MODES[mode].minimum_sqnr
    half = None
    if spec.batch == 1 and MODES[mode].kind != "int8":
        half = half_precision(path.read_bytes(), spec.feed(pixels[:EMULATED]))
    return {
        **describe(file, graph),
        "mode": mode,
        "pixels": "normalised" if spec.normalized else "0 to 255",
        **measured(comparison, images, minimum),
        "half_precision": half,
        # Of untrained models first classes are chance, so only the outputs count here.
        "problems": [*graph.problems(), *comparison.problems(minimum)],
    }


def _split(pixels: np.ndarray, spec: FileSpec) -> list[np.ndarray]:
    """Returns full batches; what is left over is not used."""
    size = spec.batch or len(pixels)
    if size > len(pixels):
        pixels = np.resize(pixels, (size, *pixels.shape[1:]))
    return [pixels[start : start + size] for start in range(0, len(pixels) - size + 1, size)]


def _names(model: keras.Model, labels: Sequence[str] | None) -> list[str] | None:
    if len(model.output_shape) != 2:
        return None
    classes = model.output_shape[-1]
    if labels is not None:
        if len(labels) != classes:
            raise ValueError(
                f"`labels` must name each of the {classes} classes of the model. "
                f"Received: {len(labels)} names"
            )
        return list(labels)
    if classes == IMAGENET_CLASSES:
        return [name for _, name in imagenet_classes()]
    return None


def _normalization(spec: FileSpec) -> tuple[float, float] | None:
    """What a reader does to pixels; one number for all channels is what MediaPipe takes."""
    if spec.input == "uint8":
        return None
    if not spec.normalized:
        return 0.0, 1.0
    return 255 * float(np.mean(IMAGENET_MEAN)), 255 * float(np.mean(IMAGENET_STD))


def main(task: dict[str, Any]) -> dict[str, Any]:
    """Does what `tflite.convert` asks for, and returns the report."""
    import keras_poolformer

    model = keras_poolformer.load_model(task["model"])
    return build(model, Path(task["target"]), **task["options"])


if __name__ == "__main__":
    serve(main)
