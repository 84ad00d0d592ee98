"""Checks any .tflite file, and compares it with the Keras model that it was made from.

python -m tflite.verify model.tflite
python -m tflite.verify model.tflite --model model.keras --images photos
python -m tflite.verify runs/digits/model.tflite --model runs/digits/model.keras --data digits
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

COMPARED = 16
"""Photographs that are compared where none are given."""


def verify(
    file: str | Path,
    model: Any = None,
    *,
    data: str | Path | None = None,
    images: str | Path | None = None,
    limit: int = 1000,
) -> dict[str, Any]:
    """Checks a .tflite file, and compares it with its Keras model.

    Checked are its operations, the ranks of its tensors, its delegation, its class names,
    and that its outputs are numbers. With `model`, its outputs are compared with those of
    the model: on the images of `data` or `images`, or else on two photographs that come
    with scikit-learn.

    Args:
        file: The .tflite file.
        model: What it was made from: a Keras model, or what
            `keras_poolformer.load_model` takes: a .keras file, a PyTorch checkpoint or a
            preset.
        data: What the model was trained on, as `training.train` takes it: a folder,
            `"digits"` or a name in TensorFlow Datasets. All held-out images are compared,
            and both accuracies are measured.
        images: A folder of any images, compared as they come.
        limit: How many images of `images` are taken, a seeded choice.

    Returns:
        What was found; its `"problems"` are empty if the file passes.

    Raises:
        ValueError: if a file cannot be read, or model, file and data do not belong
            together.

    Example:
    >>> verify("model.tflite", "model.keras", images="photos")["agreement"]
    1.0
    """
    from training import startup

    startup.start()  # Keras comes with what is imported next, and TensorFlow talks at its start
    from tflite.checks import read_graph
    from tflite.interpreter import LiteRTModel
    from tflite.report import describe

    if model is None and (data is not None or images is not None):
        raise ValueError("`model` must be given with `data` or `images`. Received: None")
    if data is not None and images is not None:
        raise ValueError(f"`images` must not be given with `data`. Received: {str(images)!r}")
    if limit < 1:
        raise ValueError(f"`limit` must be a positive number of images. Received: {limit}")
    file = Path(file)
    litert = LiteRTModel(file)
    graph = read_graph(file)
    report = describe(litert, graph)
    problems = graph.problems()
    if report["labels"] not in (None, litert.output.shape[-1]):
        problems.append(f"{report['labels']} class names for {litert.output.shape[-1]} outputs")
    if model is None:
        problems += _not_finite(litert)
    else:
        numbers, found = _compared(litert, model, data, images, limit)
        report |= numbers
        problems += found
    return report | {"problems": problems}


def _not_finite(file: Any) -> list[str]:
    from tflite.images import sample_images

    batch, *shape = file.input.shape
    pixels = sample_images(tuple(shape), batch)
    outputs = file(pixels.astype(file.input.dtype))
    return [] if np.isfinite(outputs).all() else ["outputs that are infinite or no numbers"]


def _compared(
    file: Any, model: Any, data: str | Path | None, images: str | Path | None, limit: int
) -> tuple[dict[str, Any], list[str]]:
    import keras_poolformer
    from tflite.comparison import DISAGREEMENT, compare
    from tflite.half_precision import half_precision
    from tflite.images import sample_images
    from tflite.quantize import MODES
    from tflite.reference import KerasReference
    from tflite.report import measured

    keras_model = keras_poolformer.load_model(model) if isinstance(model, str | Path) else model
    _, height, width, channels = file.input.shape
    reference = KerasReference(keras_model, (height, width, channels))
    if keras_model.output_shape[-1] != file.output.shape[-1]:
        raise ValueError(
            f"`file` must be made from `model`. Received: a file that gives {file.output} and a "
            f"model with output_shape={keras_model.output_shape}"
        )
    minimum = min(mode.minimum_sqnr for mode in MODES.values() if mode.kind == file.kind)
    half = None
    if file.kind != "int8" and file.input.shape[0] == 1:
        pixels = sample_images(reference.image_shape, 2)
        spec = reference.file_spec(1, file.input.dtype, file.output.name)
        half = half_precision(file.path.read_bytes(), spec.feed(pixels))
    batches, source = _batches(reference, data, images, limit)
    comparison = compare(file, reference, batches)
    is_sample = data is None and images is None
    allowed = 1.0 if is_sample else DISAGREEMENT[file.kind]
    numbers = {"half_precision": half, **measured(comparison, source, minimum)}
    return numbers, comparison.problems(minimum, allowed)


def _batches(
    reference: Any, data: str | Path | None, images: str | Path | None, limit: int
) -> tuple[Iterator[tuple[np.ndarray, np.ndarray | None]], str]:
    """The images, and where they come from."""
    from keras_poolformer.transform import default_crop_pct
    from tflite.images import list_images, read_images, sample_images

    shape, crop_pct = reference.image_shape, default_crop_pct(reference.model)
    if data is not None:
        return _held_out(reference, data, crop_pct), f"held out of {data}"
    if images is None:
        pixels, source = sample_images(shape, COMPARED), "two photographs of scikit-learn"
    else:
        paths = list_images(Path(images), "images", fewest=1)
        pixels = read_images(paths, shape, crop_pct, limit, argument="images", fewest=1)
        source = str(images)
    parts = (pixels[start : start + 64] for start in range(0, len(pixels), 64))
    return ((part, None) for part in parts), source


def _held_out(
    reference: Any, data: str | Path, crop_pct: float
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    from training.datasets.dataset import load_dataset
    from training.pipeline import evaluation_batches

    dataset = load_dataset(data)
    shape = reference.model.output_shape
    classes, channels = len(dataset.class_names), reference.image_shape[-1]
    if channels != dataset.channels or shape[-1] != classes:
        raise ValueError(
            f"`data` must be what `model` was trained on. Received: {dataset.name} with "
            f"{dataset.channels} channels and {classes} classes for a model that maps "
            f"{reference.model.input_shape} to {shape}"
        )
    batches = evaluation_batches(dataset.test, classes, reference.image_shape, 64, crop_pct)
    for pixels, one_hot in batches.as_numpy_iterator():
        yield pixels.astype("uint8"), one_hot.argmax(-1)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflite.verify",
        description="Check a .tflite file, and compare it with its Keras model.",
    )
    add = parser.add_argument
    add("file", type=Path, help="the .tflite file")
    add("--model", help="what it was made from: a .keras file, a PyTorch checkpoint or a preset")
    add("--data", help="what the model was trained on, for both accuracies on held-out images")
    add("--images", type=Path, metavar="FOLDER", help="any images, compared without classes")
    add("--limit", type=int, default=1000, help="how many of --images (1000)")
    add("--report", type=Path, help="file for what was found (FILE.verify.json)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: 0 when the file passes, 1 when it does not, 2 on bad input."""
    options = parse(arguments)
    target = options.report or options.file.with_suffix(".verify.json")
    try:
        report = verify(
            options.file,
            options.model,
            data=options.data,
            images=options.images,
            limit=options.limit,
        )
        from keras_poolformer.files import replacing
        from tflite.report import text

        with replacing(target) as path:
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.model is not None:
        print(f"Keras model      {options.model}")
    print(f"{text(report)}\nReport           {target}")
    for problem in report["problems"]:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
