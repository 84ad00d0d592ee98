"""The peers: PoolFormer in timm and in transformers, and timm's in two runtimes."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers import import_torchvision
from benchmarks.speed.job import Job
from benchmarks.speed.pytorch_steps import make_step


def _timm(job: Job) -> tuple[torch.nn.Module, Any]:
    """Returns timm's model and what torchvision needs to stay alive."""
    operators = import_torchvision()
    import timm

    # The rate is 0 as in ours: the same arithmetic is timed.
    return timm.create_model(f"poolformer_{job.variant.lower()}"), operators


def timm_step(job: Job, compiled: bool = False) -> Callable[[], Any]:
    """Returns a step of timm's PoolFormer."""
    model, _ = _timm(job)
    return make_step(model, job, compiled)


class _Logits(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).logits


def transformers_step(job: Job) -> Callable[[], Any]:
    """Returns a step of the PoolFormer of transformers."""
    operators = import_torchvision()  # which transformers imports for its processors of images
    import transformers

    from keras_poolformer.variants import VARIANTS

    variant = VARIANTS[job.variant]
    config = transformers.PoolFormerConfig(
        depths=list(variant.depths),
        hidden_sizes=list(variant.dims),
        id2label={index: str(index) for index in range(1000)},
        drop_path_rate=0.0,
    )
    model = transformers.PoolFormerForImageClassification(config)
    del operators
    return make_step(_Logits(model), job)


def runtime_step(job: Job, runtime: str) -> Callable[[], Any]:
    """Returns a run of timm's PoolFormer, exported to ONNX, by ONNX Runtime or OpenVINO."""
    model, _ = _timm(job)
    images = np.random.default_rng(0).standard_normal(
        (job.batch, 3, job.size, job.size), dtype="float32"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            model.eval(), (torch.from_numpy(images),), dynamo=True, verbose=False
        )
        program.save(path)
        if runtime == "onnxruntime":
            return _onnxruntime(path, images, job)
        return _openvino(path, images, job)


def _onnxruntime(path: Path, images: np.ndarray, job: Job) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images})


def _openvino(path: Path, images: np.ndarray, job: Job) -> Callable[[], Any]:
    from keras_poolformer.inference.runtimes import import_openvino

    core = import_openvino().Core()
    precision = {"float32": "f32", "bfloat16": "bf16"}[job.precision]
    compiled = core.compile_model(
        core.read_model(path),
        "CPU",
        {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": job.threads},
    )
    return lambda: compiled(images)[0]
