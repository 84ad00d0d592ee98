"""Several devices on TensorFlow: `tf.distribute`'s mirrored strategies."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.distribution.gradients import looks_at_gradients, share_gradients
from training.distribution.launch import Launch
from training.distribution.seeds import seed_of_device
from training.distribution.workers import Workers, too_few_devices
from training.optimizer import inner_optimizer
from training.quiet import quiet

TIMEOUT_SECONDS = 1800
"""A worker that waits longer for the others gives up."""


def connect_tensorflow(devices: int | None, launch: Launch) -> Workers:
    """Returns the workers of `TF_CONFIG`, with the GPUs of this host or CPUs.

    Raises:
        ValueError: as of `connect`.
    """
    gpus = tf.config.list_physical_devices("GPU")
    count = devices or len(gpus) or 1
    if gpus and count > len(gpus):
        raise too_few_devices(count, len(gpus), "GPU")
    if not gpus and count > 1 and launch.count > 1:
        raise ValueError(
            "`devices` must be 1 where several processes run without GPU: TensorFlow's "
            f"MultiWorkerMirroredStrategy uses one CPU in each. Received: {devices}"
        )
    if count == 1 and launch.count == 1 and len(gpus) <= 1:
        return Workers()
    try:
        with quiet():
            if len(gpus) > count:
                tf.config.set_visible_devices(gpus[:count], "GPU")
            elif not gpus and count > 1:
                cpu = tf.config.list_physical_devices("CPU")[0]
                parts = [tf.config.LogicalDeviceConfiguration()] * count
                tf.config.set_logical_device_configuration(cpu, parts)
            if launch.count > 1:
                options = tf.distribute.experimental.CommunicationOptions(
                    timeout_seconds=TIMEOUT_SECONDS
                )
                strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
            elif count > 1:
                kind = "GPU" if gpus else "CPU"
                strategy = tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(count)])
            else:
                return Workers()
    except RuntimeError as error:
        raise ValueError(
            f"`devices` must be chosen before TensorFlow starts. Received: {devices} and "
            f"{launch.count} processes, where it runs already: {error}"
        ) from error
    return TensorFlowWorkers(strategy, launch, count)


class TensorFlowWorkers(Workers):
    """Devices of a `tf.distribute` strategy.

    Args:
        strategy: Mirrored for one process, multi-worker mirrored for several.
        launch: Which process this is.
        local_devices: Devices of this process.
    """

    def __init__(self, strategy: Any, launch: Launch, local_devices: int) -> None:
        super().__init__(launch.rank, launch.count, local_devices)
        self.strategy = strategy

    def scope(self) -> AbstractContextManager[Any]:
        return self.strategy.scope()

    def trainable(self, model: keras.Model) -> keras.Model:
        if tf.distribute.has_strategy():
            raise ValueError("`trainable` must be called outside of `scope()`")
        self.check_equal(model)
        return MirroredModel(model, self)

    def feed(self, dataset: Any) -> Any:
        rows = self.rows_of_device(dataset)
        if self.local_devices > 1:  # whose devices take turns with the batches
            dataset = dataset.rebatch(rows, drop_remainder=True)
        return self.strategy.distribute_datasets_from_function(lambda context: dataset)

    def gather(self, values: Sequence[float]) -> np.ndarray:
        if self.count == 1:
            return super().gather(values)
        # As a sum, where this process's first device has the only row that is not zero.
        rows = np.zeros((self.count, len(values)))
        rows[self.rank] = values
        nothing = np.zeros_like(rows)

        def rows_of(context: Any) -> Any:
            first = context.replica_id_in_sync_group == self.rank * self.local_devices
            return tf.constant(rows if first else nothing)

        with self.strategy.scope():
            parts = self.strategy.experimental_distribute_values_from_function(rows_of)
            return self.strategy.reduce("SUM", parts, axis=None).numpy()

    def metric_sums(self, model: keras.Model) -> list[np.ndarray]:
        with self.strategy.scope():  # where reading adds up the devices
            return super().metric_sums(model)

    def set_metric_sums(self, model: keras.Model, sums: Sequence[np.ndarray]) -> None:
        with self.strategy.scope():
            super().set_metric_sums(model, sums)

    def separate_seeds(self, model: keras.Model) -> None:
        """Lets every device draw its own masks: they would otherwise all draw the same."""
        weights = {id(weight) for weight in model.weights}
        for state in (v for v in model.variables if id(v) not in weights):
            copies = self.strategy.experimental_local_results(state.value)
            first = self.gather(copies[0].numpy())[0]
            for number, copy in enumerate(copies):
                copy.assign(seed_of_device(first, self.rank * self.local_devices + number))


class MirroredModel(keras.Model):
    """A model whose steps run on every device of a strategy.

    Keras's own support (3.15) does not reach several processes: a model that was made
    in the scope of `MultiWorkerMirroredStrategy` averages its first batch in a way that
    this strategy refuses, and averages the scalars that a step returns along an axis
    that they do not have. A model that is made outside of the scope and fitted inside
    of it skips the former; an axis of length 1 serves the latter.

    Args:
        model: The model, made in the scope.
        workers: The devices.
    """

    def __init__(self, model: keras.Model, workers: TensorFlowWorkers) -> None:
        super().__init__(name=model.name, dtype=model.dtype_policy)
        self.model = model
        self.workers = workers

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.model(inputs, training=training)

    def compile(
        self,
        *args: Any,
        jit_compile: bool | str = "auto",
        steps_per_execution: int = 1,
        **kwargs: Any,
    ) -> None:
        """As of Keras, with less to choose from.

        Raises:
            ValueError: if a metric is no object that was made in the scope, since one
                made later, inside of a step, breaks that step on several devices; if
                `jit_compile` is true, since Keras does not go together with XLA under
                `tf.distribute`; if `steps_per_execution` is not 1, since the loop that
                Keras (3.15) makes of the steps does not run there; or if the optimizer
                accumulates gradients, since Keras then lets the devices meet inside
                of a condition, where they cannot.
        """
        for argument in ("metrics", "weighted_metrics"):
            for metric in keras.tree.flatten(kwargs.get(argument)):
                if metric is not None and not isinstance(metric, keras.metrics.Metric):
                    raise ValueError(
                        f"`{argument}` must be objects of keras.metrics, made in the scope of the "
                        f"devices. Received: {metric!r}"
                    )
        if jit_compile is True:
            raise ValueError(
                "`jit_compile` must not be true on several devices: Keras does not compile with "
                "XLA under tf.distribute. Received: True"
            )
        if steps_per_execution != 1:
            raise ValueError(
                "`steps_per_execution` must be 1 on several devices of TensorFlow: Keras's loop "
                f"over steps does not run under tf.distribute. Received: {steps_per_execution}"
            )
        with self.workers.scope():
            super().compile(*args, jit_compile=False, **kwargs)
            if self.optimizer is not None:
                self._prepare(self.optimizer)

    def _prepare(self, optimizer: Any) -> None:
        steps = inner_optimizer(optimizer).gradient_accumulation_steps
        if steps is not None:
            raise ValueError(
                "`gradient_accumulation_steps` must be None on several devices of TensorFlow: "
                "Keras cannot accumulate under tf.distribute. Take larger batches, or JAX or "
                f"torch. Received: {steps}"
            )
        if looks_at_gradients(optimizer):
            share_gradients(optimizer, self.workers.replicas)
        optimizer.build(self.trainable_variables)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        self.workers.separate_seeds(self.model)
        with self.workers.scope():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        with self.workers.scope():
            return super().evaluate(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        return self._with_axis(super().train_step(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        return self._with_axis(super().test_step(data))

    def _with_axis(self, logs: dict[str, Any]) -> dict[str, Any]:
        if self.workers.count == 1:
            return logs
        return {name: value[None] for name, value in logs.items()}
