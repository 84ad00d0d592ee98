"""This library."""

from collections.abc import Callable
from typing import Any

import keras

import keras_poolformer
from benchmarks.speed.job import Job
from benchmarks.speed.keras_steps import make_step
from training.adamw import adamw_class


def make(
    job: Job, fused: bool = False, recompute: bool = False, compiled: bool = False
) -> Callable[[], Any]:
    """Returns a step of this library's PoolFormer, trained by the AdamW of its recipes.

    Args:
        job: What is timed.
        fused: Whether the model is fused for inference.
        recompute: Whether training computes hidden maps twice instead of keeping them.
        compiled: Whether PyTorch compiles what it runs. TensorFlow and JAX always do.
    """

    def build(job: Job) -> keras.Model:
        model = getattr(keras_poolformer, f"PoolFormer{job.variant}")(
            input_shape=(job.size, job.size, 3), classifier_activation=None, recompute=recompute
        )
        return keras_poolformer.inference.fuse(model) if fused else model

    return make_step(build, job, compiled, adamw_class())
