"""Any .tflite file on the CPU, ready to be run again and again."""

from pathlib import Path
from typing import Any

import numpy as np


class Runner:
    """A .tflite file with an input made up for it, in LiteRT's interpreter with XNNPACK.

    A call copies the input in, runs the file and copies its outputs out, which is what an
    application waits for. An open batch is taken as 1. It imports neither Keras nor
    TensorFlow, whose memory and threads would be measured with it.

    Args:
        path: The file.
        threads: Threads of the interpreter.

    Raises:
        ValueError: if it is no .tflite file with one input of numbers, of which at most
            the batch is open.

    Attributes:
        path: The file.
        interpreter: LiteRT's interpreter, with its tensors allocated.
        input: What LiteRT says of its input.
        outputs: What it says of its outputs.
        image: The input, the same in each call. Normally distributed where it is float, any
            value where it is an integer.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        if not path.is_file():
            raise ValueError(
                f"`files` must be .tflite files. Received: {str(path)!r}, which does not exist"
            )
        try:
            self.interpreter = Interpreter(str(path), num_threads=threads)
            self.input = _only_input(path, self.interpreter.get_input_details())
            if self.input["shape_signature"].min(initial=1) < 0:
                shape = [1, *(int(size) for size in self.input["shape"][1:])]
                self.interpreter.resize_tensor_input(self.input["index"], shape, strict=True)
            self.interpreter.allocate_tensors()
        except _NotMeasurableError:
            raise
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                "`files` must be .tflite files that LiteRT can read. "
                f"Received: {str(path)!r}. LiteRT says: {error}"
            ) from error
        self.path = path
        self.input = self.interpreter.get_input_details()[0]
        self.outputs: list[dict[str, Any]] = self.interpreter.get_output_details()
        self.image = _made_up(self.input)

    def __call__(self) -> list[np.ndarray]:
        """Runs the file once and returns its outputs."""
        self.interpreter.set_tensor(self.input["index"], self.image)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(output["index"]) for output in self.outputs]


class _NotMeasurableError(ValueError):
    """A file that is right but cannot be measured here."""


def _only_input(path: Path, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    if len(inputs) != 1:
        raise _NotMeasurableError(
            f"`files` must be .tflite files with one input. Received: {str(path)!r} with "
            f"{len(inputs)}"
        )
    (given,) = inputs
    signature = [int(size) for size in given["shape_signature"]]
    if min(signature[1:], default=1) < 0:
        raise _NotMeasurableError(
            "`files` must be .tflite files that leave at most the batch open. "
            f"Received: {str(path)!r} with an input of the shape {signature}"
        )
    if np.dtype(given["dtype"]).kind not in "fiu":
        raise _NotMeasurableError(
            f"`files` must be .tflite files that take numbers. Received: {str(path)!r} with an "
            f"input of {np.dtype(given['dtype']).name}"
        )
    return given


def _made_up(details: dict[str, Any]) -> np.ndarray:
    draw = np.random.default_rng(0)
    dtype = np.dtype(details["dtype"])
    if dtype.kind == "f":
        return draw.standard_normal(details["shape"]).astype(dtype)
    limits = np.iinfo(dtype)
    return draw.integers(limits.min, limits.max, details["shape"], dtype, endpoint=True)
