"""What .tflite files are, as far as a benchmark must say it."""

from pathlib import Path
from typing import Any

import numpy as np

from tflite.benchmark.coverage import quantization_mode, read_coverage
from tflite.benchmark.runner import Runner
from tflite.interpreter import Tensor
from tflite.process import run_module, serve


def describe(files: list[Path]) -> list[dict[str, Any]]:
    """Describes files, in a process where LiteRT writes to nobody's terminal.

    Returns:
        For each file `file`, `bytes`, its `mode` of quantisation or `None`, the `shape`,
        `dtype` and text of its `input`, whether its batch is open (`open_batch`), the shapes
        of its `outputs`, its `operations` by name, how many of all are `delegated`, the
        `partitions` of the delegate and the `coverage`, a share.

    Raises:
        ValueError: if one cannot be measured; see `Runner`.
    """
    described: list[dict[str, Any]] = run_module(
        "tflite.benchmark.description", [str(file) for file in files]
    )
    return described


def _describe(file: str) -> dict[str, Any]:
    runner = Runner(Path(file))
    coverage = read_coverage(runner.interpreter)
    dtype = np.dtype(runner.input["dtype"]).name
    return {
        "file": file,
        "bytes": runner.path.stat().st_size,
        "mode": quantization_mode(runner.interpreter),
        "input": str(Tensor(_name(runner), runner.image.shape, dtype)),
        "shape": list(runner.image.shape),
        "dtype": dtype,
        "open_batch": bool(runner.input["shape_signature"].min(initial=1) < 0),
        "outputs": [list(array.shape) for array in runner()],
        "operations": coverage.operations,
        "delegated": coverage.delegated,
        "partitions": coverage.partitions,
        "coverage": round(coverage.share, 4),
    }


def _name(runner: Runner) -> str:
    """The input's name in the file's signature, or its tensor's where there is none."""
    signatures = list(runner.interpreter.get_signature_list().values())
    return signatures[0]["inputs"][0] if signatures else runner.input["name"]


if __name__ == "__main__":
    serve(lambda files: [_describe(file) for file in files])
