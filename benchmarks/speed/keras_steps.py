"""Steps of a Keras model as its users take them, under the backend of this process."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.speed.job import Job


def make_step(
    build: Callable[..., keras.Model],
    job: Job,
    compiled: bool = False,
    adamw: type[keras.optimizers.AdamW] = keras.optimizers.AdamW,
) -> Callable[[], Any]:
    """Returns what does one step and waits for its end.

    Args:
        build: Makes the model of a Keras dtype policy; the model returns logits.
        job: What is timed.
        compiled: Whether PyTorch compiles what it runs.
        adamw: The optimizer's class.
    """
    keras.config.set_dtype_policy(
        "mixed_bfloat16" if job.precision == "bfloat16" else job.precision
    )
    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(0)
    model = build(job)
    draw = np.random.default_rng(0)
    images = draw.standard_normal((job.batch, job.size, job.size, 3), dtype="float32")
    if job.task == "inference":
        return _inference(model, images, compiled)
    labels = draw.integers(0, 1000, job.batch)
    model.compile(
        optimizer=adamw(1e-3, weight_decay=0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=compiled or "auto",
    )
    return lambda: model.train_on_batch(images, labels)


def _inference(model: keras.Model, images: np.ndarray, compiled: bool) -> Callable[[], Any]:
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        forward = tf.function(lambda x: model(x, training=False))
        tensor = tf.constant(images)
        return lambda: forward(tensor).numpy()
    if backend == "jax":
        import jax

        variables = (
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
        )
        jitted = jax.jit(lambda t, n, x: model.stateless_call(t, n, x, training=False)[0])
        array = jax.device_put(images)
        return lambda: np.asarray(jitted(*variables, array))
    import torch

    tensor = keras.ops.convert_to_tensor(images)
    call: Any = torch.compile(model) if compiled else model

    def run() -> Any:
        with torch.inference_mode():
            return call(tensor, training=False).float().cpu()

    return run
