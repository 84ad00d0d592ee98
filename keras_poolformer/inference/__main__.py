"""Exports a trained model to an ONNX or an OpenVINO file, and checks it.

python -m keras_poolformer.inference pets.keras -o pets.onnx
python -m keras_poolformer.inference poolformer_s12 -o poolformer_s12.xml --batch 1 --gives logits
"""

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras

from keras_poolformer.inference.export import export
from keras_poolformer.inference.standalone import OUTPUTS


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_poolformer.inference",
        description="Export a trained model to an ONNX or an OpenVINO file, and check it.",
        epilog="Exit codes: 0 the file is written, 2 it is not.",
    )
    add = parser.add_argument
    add("model", help="a .keras file, a PyTorch checkpoint or a preset")
    add(
        *("-o", "--output-file", "--output"),
        type=Path,
        required=True,
        help="the file: .onnx for ONNX, .xml for OpenVINO, with a .bin of weights beside it",
    )
    add("--gives", help=f"{' or '.join(OUTPUTS)} (what the model gives)")
    add("--batch", default="any", help="images at once, or any (any)")
    add(
        "--image-size",
        type=int,
        nargs="+",
        metavar="N",
        help="height and width for a model that leaves them open; one number for a square (open)",
    )
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Does what the command line says and reports it."""
    size = options.image_size
    if options.batch != "any" and not options.batch.lstrip("-").isdigit():
        raise ValueError(f"`batch` must be a number or 'any'. Received: {options.batch!r}")
    report = export(
        options.model,
        options.output_file,
        output=options.gives,
        batch=None if options.batch == "any" else int(options.batch),
        image_size=size[0] if size is not None and len(size) == 1 else size,
    )
    print(f"Model            {options.model}\n{report}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: 0 when the file is written, 2 when it is not.

    Keras reads its backend once, when it is imported, which has happened by now: where
    it is not PyTorch, the command runs again in a process where it is.
    """
    options = parse(arguments)
    if keras.config.backend() != "torch" and importlib.util.find_spec("torch") is not None:
        given = sys.argv[1:] if arguments is None else arguments
        command = [sys.executable, "-m", "keras_poolformer.inference", *given]
        environment = {**os.environ, "KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run(command, env=environment).returncode
    try:
        run(options)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
