"""Who takes part, as a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.speed.job import Job


@dataclass(frozen=True)
class Contender:
    """A way to run a PoolFormer.

    Attributes:
        name: As the tables have it.
        module: What makes its steps.
        function: The function there, of a job and the options.
        options: Further arguments of that function.
        backend: Keras's backend, or `None` without Keras.
        tasks: What it can do.
        precisions: The precisions it has.
        packages: What must be installed, as they are imported.
    """

    name: str
    module: str
    function: str = "make"
    options: Mapping[str, Any] = field(default_factory=dict)
    backend: str | None = None
    tasks: tuple[str, ...] = ("inference", "training")
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    packages: tuple[str, ...] = ()

    def takes(self, job: Job) -> bool:
        """Whether it can do a job at all."""
        return job.task in self.tasks and job.precision in self.precisions

    def order(self) -> dict[str, Any]:
        """What its process is told."""
        return {key: getattr(self, key) for key in ("module", "function", "options")}


BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
"""Keras's backends and what the tables call them."""

_PEERS = "benchmarks.speed.peers"
_TIMM = ("torch", "timm", "torchvision")

REFERENCE = Contender("timm", _PEERS, "timm_step", packages=_TIMM)
"""Its time is 1: timm's own model, eager, in torch's channels_last format."""

OURS = {
    backend: Contender(
        f"keras_poolformer, {name}", "benchmarks.speed.ours", backend=backend, packages=(backend,)
    )
    for backend, name in BACKENDS.items()
}
"""This library as it is, by the backend."""

CONTENDERS = (
    REFERENCE,
    Contender("timm, compiled", _PEERS, "timm_step", {"compiled": True}, packages=_TIMM),
    Contender(
        "transformers", _PEERS, "transformers_step", packages=("torch", "transformers")
    ),
    Contender(
        "timm, ONNX Runtime",
        _PEERS,
        "runtime_step",
        {"runtime": "onnxruntime"},
        tasks=("inference",),
        precisions=("float32",),
        packages=(*_TIMM, "onnxscript", "onnxruntime"),
    ),
    Contender(
        "timm, OpenVINO",
        _PEERS,
        "runtime_step",
        {"runtime": "openvino"},
        tasks=("inference",),
        packages=(*_TIMM, "onnxscript", "openvino"),
    ),
    *(
        Contender(f"straight port, {name}", "benchmarks.speed.naive", backend=backend,
                  packages=(backend,))
        for backend, name in BACKENDS.items()
    ),
    *OURS.values(),
    Contender("keras_poolformer compiled, PyTorch", "benchmarks.speed.ours",
              options={"compiled": True}, backend="torch", packages=("torch",)),
    *(
        Contender(f"keras_poolformer recomputing, {name}", "benchmarks.speed.ours",
                  options={"recompute": True}, backend=backend, tasks=("training",),
                  packages=(backend,))
        for backend, name in BACKENDS.items()
    ),
    *(
        Contender(f"keras_poolformer fused, {name}", "benchmarks.speed.ours",
                  options={"fused": True}, backend=backend, tasks=("inference",),
                  packages=(backend,))
        for backend, name in BACKENDS.items()
    ),
)  # fmt: skip
"""All of them, the reference first."""
