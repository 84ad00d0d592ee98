"""Converts a trained model to a .tflite file for phones, and checks it.

python -m tflite.convert runs/digits/model.keras -o runs/digits/model.tflite
python -m tflite.convert pets.keras -o pets.tflite --input uint8 --quantize dynamic-int8
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflite.export import INPUTS, OUTPUTS
from tflite.process import run_module
from tflite.quantize import MODES, REFUSED


def convert(
    model: Any,
    target: str | Path,
    *,
    quantize: str = "float32",
    input: str = "float32",  # noqa: A002  (the user's word for it)
    output: str | None = None,
    batch: int | None = 1,
    image_size: Sequence[int] | None = None,
    calibrate: str | Path | None = None,
    images: int = 100,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Converts a model of this library to a .tflite file.

    The model is fused for inference (`keras_poolformer.inference.fuse`), converted by
    TensorFlow with its linear maps as 1x1 convolutions, quantised, and compared with the
    Keras model on real photographs. A file that fails is not delivered. Under another
    backend than TensorFlow the work is done in a process of its own.

    Args:
        model: A `MetaFormer`, a model that holds one, or what
            `keras_poolformer.load_model` takes: a .keras file, a PyTorch checkpoint or
            a preset.
        target: The .tflite file to write, in a folder that exists. An older one is
            replaced when the new one has passed.
        quantize: A mode in `tflite.quantize.MODES`.
        input: `"float32"` for what the Keras model takes, `"uint8"` for RGB pixels, with
            the normalisation in the file.
        output: `"probabilities"` or `"logits"`, by default what the model gives.
        batch: Images that the file takes at once; `None` for any number, which
            delegates run more slowly.
        image_size: (height, width) of its images. Needed only if the model leaves
            them open.
        calibrate: Folder of images like those the model will see. Needed for the
            modes that measure ranges; the comparison uses it too. Otherwise two
            photographs that come with scikit-learn are compared.
        images: How many of them are used to measure ranges.
        labels: Names of the classes, kept in the file. By default those in the
            `summary.json` of a training beside a .keras file, or ImageNet's for 1,000
            classes.

    Returns:
        What was measured: the content of the report.

    Raises:
        ValueError: if an argument cannot be right, the model cannot be converted,
            or the file fails a check.
        OSError: if the file cannot be written.

    Example:
    >>> convert("runs/digits/model.keras", "model.tflite")["sqnr_db"]
    121.4
    """
    from training.startup import backend, start

    start()  # Keras comes with what is imported next, and TensorFlow talks at its start
    target = Path(target)
    if target.suffix != ".tflite" or not target.parent.is_dir():
        raise ValueError(
            "`target` must be the path of a .tflite file in a folder that exists. "
            f"Received: {str(target)!r}"
        )
    _check(quantize, input, output, batch, images, calibrate)
    options: dict[str, Any] = {
        "quantize": quantize,
        "input": input,
        "output": output,
        "batch": batch,
        "image_size": None if image_size is None else list(image_size),
        "calibrate": None if calibrate is None else str(calibrate),
        "images": images,
        "labels": _labels(model) if labels is None else list(labels),
    }
    if backend() == "tensorflow":
        from tflite.build import build

        return build(_load(model), target, **options)
    with tempfile.TemporaryDirectory() as folder:
        # Only the weights matter, so a checkpoint or a preset is read here, once.
        saved = Path(folder) / "model.keras"
        if isinstance(model, str | Path) and Path(model).suffix == ".keras":
            saved = _existing(Path(model))
        else:
            _load(model).save(saved, include_optimizer=False)
        return _in_tensorflow(saved, target.resolve(), options)


def _check(
    quantize: str,
    input: str,  # noqa: A002
    output: str | None,
    batch: int | None,
    images: int,
    calibrate: str | Path | None,
) -> None:
    if quantize in REFUSED:
        raise ValueError(
            f"`quantize` must be one of {list(MODES)}. Received: {quantize!r}, which is bad on "
            f"phones: {REFUSED[quantize]}"
        )
    if quantize not in MODES:
        raise ValueError(f"`quantize` must be one of {list(MODES)}. Received: {quantize!r}")
    mode = MODES[quantize]
    if input not in INPUTS:
        raise ValueError(f"`input` must be one of {list(INPUTS)}. Received: {input!r}")
    if output is not None and output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {list(OUTPUTS)}. Received: {output!r}")
    if batch is not None and batch < 1:
        raise ValueError(f"`batch` must be a positive number of images. Received: {batch}")
    if images < 8:
        raise ValueError(f"`images` must be at least 8. Received: {images}")
    if mode.needs_images and calibrate is None:
        raise ValueError(
            f"`calibrate` must be a folder of images for `quantize={quantize!r}`, which measures "
            "the ranges of activations on them. Received: nothing"
        )
    if mode.needs_images and batch is None:
        raise ValueError(
            f"`batch` must be a number for `quantize={quantize!r}`. Received: any number of images"
        )


def _load(model: Any) -> Any:
    if not isinstance(model, str | Path):
        return model
    import keras_poolformer

    return keras_poolformer.load_model(model)


def _labels(model: Any) -> list[str] | None:
    """Returns the names that a training left beside its model, if it did."""
    if not isinstance(model, str | Path) or Path(model).suffix != ".keras":
        return None
    from training.class_labels import read_names

    try:
        return read_names(Path(model).with_name("summary.json"))
    except ValueError:
        return None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"`model` names a file that does not exist. Received: {str(path)!r}")
    return path


def _in_tensorflow(model: Path, target: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Does the work in a process with Keras on TensorFlow."""
    environment = {
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    task = {"model": str(model), "target": str(target), "options": options}
    try:
        report: dict[str, Any] = run_module("tflite.build", task, environment)
    except ChildProcessError as error:
        raise ValueError(f"`model` cannot be converted. {error}") from error
    return report


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflite.convert",
        description="Convert a trained model to a .tflite file, and check it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="modes:\n" + "\n".join(f"  {name:14}{mode.summary}" for name, mode in MODES.items()),
    )
    add = parser.add_argument
    add("model", help="a .keras file, a PyTorch checkpoint or a preset")
    add("-o", "--output-file", "--output", type=Path, required=True, help="the .tflite file")
    add("--quantize", default="float32", metavar="MODE", help="see below (float32)")
    add("--input", default="float32", help=f"{' or '.join(INPUTS)} (float32)")
    add("--gives", help=f"{' or '.join(OUTPUTS)} (what the model gives)")
    add("--batch", default="1", help="images at once, or any (1)")
    add(
        "--image-size",
        type=int,
        nargs="+",
        metavar="N",
        help="height and width for a model that leaves them open; one number for a square",
    )
    add("--calibrate", type=Path, metavar="FOLDER", help="images like those the model will see")
    add("--images", type=int, default=100, help="how many of them measure ranges (100)")
    add("--labels", type=Path, metavar="FILE", help="names of the classes, one a line")
    add("--report", type=Path, help="file for what was measured (OUTPUT.report.json)")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Does what the command line says and reports it."""
    from training.startup import start

    start()
    from keras_poolformer.files import replacing
    from tflite.report import text
    from training.class_labels import read_names

    size = options.image_size
    if options.batch != "any" and not options.batch.lstrip("-").isdigit():
        raise ValueError(f"`batch` must be a number or 'any'. Received: {options.batch!r}")
    labels = read_names(options.labels) if options.labels else None
    report = convert(
        options.model,
        options.output_file,
        quantize=options.quantize,
        input=options.input,
        output=options.gives,
        batch=None if options.batch == "any" else int(options.batch),
        image_size=size * 2 if size is not None and len(size) == 1 else size,
        calibrate=options.calibrate,
        images=options.images,
        labels=labels,
    )
    target = options.report or options.output_file.with_suffix(".report.json")
    with replacing(target) as path:
        path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"Model            {options.model}\n{text(report)}\nReport           {target}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: 0 when the file is written, 2 when it is not."""
    options = parse(arguments)
    try:
        run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    # The conversion is TensorFlow's whatever the user trains with, and needs no GPU.
    os.environ.update(
        KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3"
    )
    raise SystemExit(main())
