"""Converts a saved Keras model to a .tflite file.

python -m tflite.convert runs/digits/model.keras -o runs/digits/model.tflite
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflite.interpreter import LiteRTModel


def convert(
    model: Any,
    target: str | Path,
    *,
    batch: int = 1,
    image_size: Sequence[int] | None = None,
) -> LiteRTModel:
    """Converts a model of this library, or any Keras image classifier, to a .tflite file.

    The converter is TensorFlow's. Under another backend the work is done in a
    process of its own, which reads the model from a file.

    Args:
        model: A Keras model, or the path of a .keras file.
        target: The .tflite file to write, in a folder that exists. An older one is
            replaced when the new one is complete.
        batch: Images that the file takes at once; its shapes are static.
        image_size: (height, width) of its images. Needed, and allowed, only if the
            model leaves them open.

    Returns:
        The file, loaded by LiteRT.

    Raises:
        ValueError: if an argument cannot be right, or the model cannot be
            converted.

    Example:
    >>> convert("runs/digits/model.keras", "model.tflite").input
    Tensor(name='image', shape=(1, 8, 8, 1), dtype='float32')
    """
    from training.startup import backend, start

    start()  # Keras comes with what is imported next, and TensorFlow talks at its start
    from keras_poolformer.files import replacing

    target = Path(target)
    if target.suffix != ".tflite" or not target.parent.is_dir():
        raise ValueError(
            "`target` must be the path of a .tflite file in a folder that exists. "
            f"Received: {str(target)!r}"
        )
    if batch < 1:
        raise ValueError(f"`batch` must be a positive number of images. Received: {batch}")
    if isinstance(model, str | Path):
        check_path(Path(model))
    if backend() == "tensorflow":
        loaded = load_model(Path(model)) if isinstance(model, str | Path) else model
        shape = static_shape(loaded.input_shape, batch, image_size)
        with replacing(target) as path:
            _export(loaded, shape, path)
    elif isinstance(model, str | Path):
        _convert_in_tensorflow(Path(model), target, batch, image_size)
    else:
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / "model.keras"
            model.save(saved, include_optimizer=False)
            _convert_in_tensorflow(saved, target, batch, image_size)
    return LiteRTModel(target)


def check_path(path: Path) -> None:
    """Checks that there is a .keras file.

    Raises:
        ValueError: if there is none.
    """
    if path.suffix != ".keras" or not path.is_file():
        raise ValueError(f"`model` must be the path of a .keras file. Received: {str(path)!r}")


def load_model(path: Path) -> Any:
    """Reads a .keras file.

    Raises:
        ValueError: if it cannot be read.
    """
    import keras

    import keras_poolformer  # noqa: F401  (its layers must be known to Keras)

    check_path(path)
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            "`model` must be a file that Keras saved, with layers that this library or Keras "
            f"has. Received: {str(path)!r}. Keras says: {error}"
        ) from error


def static_shape(input_shape: Any, batch: int, image_size: Sequence[int] | None) -> tuple[int, ...]:
    """Returns the shape of a batch of images without an open dimension.

    It works in both data formats: only height and width can be open.

    Raises:
        ValueError: if the model does not take one batch of images, or if
            `image_size` is missing or does not fit.
    """
    if not isinstance(input_shape, tuple) or len(input_shape) != 4:
        raise ValueError(
            "`model` must take one batch of images, a tensor of rank 4. "
            f"Received: a model with input_shape={input_shape}"
        )
    opened = [axis for axis in (1, 2, 3) if input_shape[axis] is None]
    if not opened:
        if image_size is not None:
            raise ValueError(
                "`image_size` must be left out for a model with a fixed image size. Received: "
                f"image_size={tuple(image_size)} for input_shape={input_shape}"
            )
        return (batch, *input_shape[1:])
    if len(opened) != 2 or opened == [1, 3]:
        raise ValueError(
            "`model` must have both height and width fixed, or both open. "
            f"Received: a model with input_shape={input_shape}"
        )
    if image_size is None or len(image_size) != 2 or min(image_size) < 1:
        raise ValueError(
            "`image_size` must be (height, width) for a model that leaves them open. Received: "
            f"image_size={image_size} for input_shape={input_shape}"
        )
    shape = [batch, *input_shape[1:]]
    for axis, size in zip(opened, image_size, strict=True):
        shape[axis] = size
    return tuple(shape)


def _export(model: Any, shape: tuple[int, ...], path: Path) -> None:
    import keras

    from training.quiet import quiet

    # Without a signature Keras exports an open batch, which delegates refuse.
    signature = [keras.InputSpec(shape=shape, dtype="float32", name="image")]
    try:
        with quiet():
            model.export(path, format="litert", input_signature=signature, verbose=False)
        LiteRTModel(path)  # nothing takes the target's place that LiteRT cannot load
    except Exception as error:
        reason = str(error)[:800]  # what follows is a dump of the whole graph
        raise ValueError(
            f"`model` cannot be converted. Received: {model.name!r} with an input of {shape}. "
            f"The reason: {reason}"
        ) from error


def _convert_in_tensorflow(
    model: Path, target: Path, batch: int, image_size: Sequence[int] | None
) -> None:
    command = [sys.executable, "-m", "tflite.convert", str(model), "-o", str(target)]
    command += ["--batch", str(batch)]
    if image_size is not None:
        command += ["--image-size", *(str(size) for size in image_size)]
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        _, mark, message = f"\n{done.stderr}".partition("\nerror: ")
        raise ValueError(message.strip() if mark else done.stderr.strip())


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflite.convert", description="Convert a Keras model to a .tflite file."
    )
    parser.add_argument("model", type=Path, help="the .keras file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .tflite file")
    parser.add_argument("--batch", type=int, default=1, help="images at once (1)")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs="+",
        metavar=("HEIGHT", "WIDTH"),
        help="for a model that leaves it open; one number for a square",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: 0 when the file is written, 2 on bad input."""
    options = parse(arguments)
    size = options.image_size
    if size is not None and len(size) == 1:
        size = [size[0], size[0]]
    try:
        file = convert(options.model, options.output, batch=options.batch, image_size=size)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"Model            {options.model}\n"
        f"LiteRT file      {file.path} ({file.path.stat().st_size / 1e6:.2f} MB)\n"
        f"Input            {file.input}\n"
        f"Output           {file.output}"
    )
    return 0


if __name__ == "__main__":
    # The conversion is TensorFlow's whatever the user trains with, and needs no GPU.
    os.environ.update(
        KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3"
    )
    raise SystemExit(main())
