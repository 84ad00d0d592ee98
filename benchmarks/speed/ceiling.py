"""What the machine can do at most: its matrix rate and its bandwidth, and what a step needs.

The rates are measured by PyTorch, with large products, by MKL or oneDNN, whichever is
faster, and copies:

    {"matrix": multiply-accumulates a second, "bandwidth": bytes a second}
"""

import functools
import importlib.util
import math
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import keras_poolformer
from benchmarks.speed.job import Job
from tflite.process import run_module, serve


def has_gpu() -> bool:
    """Whether there is a GPU of NVIDIA's, by what its driver lists."""
    driver = shutil.which("nvidia-smi")
    if driver is None:
        return False
    listed = subprocess.run([driver, "-L"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


def measure(job: Job) -> dict[str, float] | None:
    """Returns the rates of this machine in the precision of a job, or `None` without PyTorch.

    They are measured in a process of its own.
    """
    if importlib.util.find_spec("torch") is None:
        return None
    rates: dict[str, float] = run_module("benchmarks.speed.ceiling", vars(job))
    return rates


def floor(job: Job) -> dict[str, float]:
    """Returns what a step cannot do without: `macs`, and `bytes` of maps and weights.

    Each branch of a block reads and writes its map once, as if all between, the hidden map of
    the MLP too, stayed on the chip. A training step does three times the products and moves
    three times the maps, and AdamW reads weights, gradients and moments and writes three of
    them, in float32.
    """
    macs, values, weights = _counts(job.variant, job.size)
    element = 4 if job.precision == "float32" else 2
    moved = job.batch * values * element
    if job.task == "training":
        return {"macs": 3.0 * job.batch * macs, "bytes": 3.0 * moved + 7.0 * 4 * weights}
    return {"macs": float(job.batch * macs), "bytes": float(moved + weights * element)}


@functools.cache
def _counts(variant: str, size: int) -> tuple[int, int, int]:
    """The products of an image, the values of maps that are read or written, and the weights."""
    model = getattr(keras_poolformer, f"PoolFormer{variant}")(input_shape=(size, size, 3))
    values = size * size * 3
    for depth, stage in zip(model.depths, model.pyramid_outputs.values(), strict=True):
        # The embedding of patches writes a map, and what comes behind the stage reads one.
        values += math.prod(stage.shape[1:]) * (2 + 4 * depth)
    return keras_poolformer.count_macs(model), values, model.count_params()


def shares(job: Job, seconds: float, rates: dict[str, float]) -> dict[str, float]:
    """Returns the share of the matrix rate and of the bandwidth that a step of a job reaches."""
    needed = floor(job)
    return {
        "matrix": needed["macs"] / seconds / rates["matrix"],
        "bandwidth": needed["bytes"] / seconds / rates["bandwidth"],
    }


def _rates(task: dict[str, Any]) -> dict[str, float]:
    """The measurement, in this process."""
    import torch

    from keras_poolformer.layers.torch_native import linear

    job = Job(**task)
    torch.set_num_threads(job.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    side = 8192 if device == "cuda" else 2048
    dtype = torch.bfloat16 if job.precision == "bfloat16" else torch.float32
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(2**28 if device == "cuda" else 2**26, device=device)
    target = torch.empty_like(source)
    products = (lambda: torch.mm(left, right), lambda: linear(left, right))
    with torch.inference_mode():
        seconds = min(_best(product, device) for product in products)
    return {
        "matrix": side**3 / seconds,
        "bandwidth": 2 * source.nbytes / _best(lambda: target.copy_(source), device),
    }


def _best(function: Callable[[], Any], device: str) -> float:
    """The shortest time of several calls, in seconds."""
    import torch

    times = []
    for _ in range(12):
        start = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[2:])


if __name__ == "__main__":
    serve(_rates)
