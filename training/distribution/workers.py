"""The processes and devices that train one model together."""

import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

from training.distribution.launch import read_launch
from training.variables import assign, to_numpy


class Workers:
    """This process among those that train together; here, the only one, on one device.

    Every process reads its own rows of each global batch, in equal numbers, and every
    device computes a part of them. The engines make one step of it: the gradient is
    the mean over the global batch and metrics are over all workers. A method that
    says so must be called by all processes, in the same order: it waits for them.

    ```python
    workers = connect()
    with workers.scope():
        model = build()
    network = workers.trainable(model)
    with workers.scope():
        network.compile(optimizer=make_optimizer(), ...)
    network.fit(workers.feed(batches), steps_per_epoch=len(batches))
    ```

    Args:
        rank: Number of this process, from 0.
        count: Number of processes.
        local_devices: Devices of this process, as many as every other has.

    Attributes:
        rank, count, local_devices: As given.
    """

    def __init__(self, rank: int = 0, count: int = 1, local_devices: int = 1) -> None:
        self.rank = rank
        self.count = count
        self.local_devices = local_devices

    @property
    def replicas(self) -> int:
        """Devices of all processes together."""
        return self.count * self.local_devices

    @property
    def is_chief(self) -> bool:
        """Whether this is the one process that writes files and messages."""
        return self.rank == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Returns the context in which models, optimizers and metrics are made."""
        return nullcontext()

    def alone(self) -> AbstractContextManager[Any]:
        """Returns the context in which a single process saves a model.

        Saving makes Keras variables, which an engine may share with the others, who
        know nothing of it. To assign to a variable is for all processes together.
        """
        return nullcontext()

    def trainable(self, model: keras.Model) -> keras.Model:
        """Returns what is compiled and fitted: the model, or one around it with its weights.

        Called outside of `scope()`, by all processes.

        Args:
            model: The built model, with the same weights in every process.

        Raises:
            ValueError: if the weights differ.
        """
        self.check_equal(model)
        return model

    def feed(self, dataset: Any) -> Any:
        """Returns what `fit` and `evaluate` take.

        They must be told the number of batches as well (`steps_per_epoch`,
        `validation_steps`, `steps`): an engine may not know where its input ends.

        Args:
            dataset: `tf.data.Dataset` of this process's rows of each global batch.

        Raises:
            ValueError: if its batches cannot be divided among the devices.
        """
        if self.replicas > 1:
            self.rows_of_device(dataset)
        return dataset

    def rows_of_device(self, dataset: Any) -> int:
        """Returns how many rows of each batch of this process go to one device.

        Raises:
            ValueError: if the batches have no fixed size or one that does not divide.
        """
        rows = keras.tree.flatten(dataset.element_spec)[0].shape[0]
        if rows is None:
            raise ValueError(
                f"`dataset` must have batches of one size for {self.replicas} devices; pass "
                f"drop_remainder=True to `batch`. Received: {dataset.element_spec}"
            )
        if rows % self.local_devices:
            raise ValueError(
                f"`batch_size` must be a multiple of the {self.replicas} devices. "
                f"Received: {rows * self.count}"
            )
        return rows // self.local_devices

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """Returns the values of all processes, (count, len(values)) in float64. Waits for all."""
        return np.asarray(values, "float64")[None]

    def sum(self, values: Sequence[float]) -> list[float]:
        """Returns the sums over the processes. Waits for all."""
        return self.gather(values).sum(0).tolist()

    def any(self, condition: bool) -> bool:
        """Returns whether the condition holds in one process or more. Waits for all."""
        return bool(self.gather([condition]).any())

    def barrier(self, reason: str = "") -> None:
        """Waits for all processes.

        Args:
            reason: For the reader of the code.
        """
        self.gather([0.0])

    def check_equal(self, model: keras.Model) -> None:
        """Makes sure that the weights are the same in every process. Waits for all.

        Raises:
            ValueError: in every process, if one has other weights than the first.
        """
        if self.count == 1:
            return
        checksum = 0
        for weight in model.weights:
            checksum = zlib.crc32(to_numpy(weight).tobytes(), checksum)
        checksums = self.gather([checksum])[:, 0]
        differing = [rank for rank, other in enumerate(checksums) if other != checksums[0]]
        if differing:
            raise ValueError(
                "`model` must have equal weights in all processes; give them the same seed and "
                f"the same files. Received: others than those of process 0 in {differing}"
            )

    def metric_sums(self, model: keras.Model) -> list[np.ndarray]:
        """Returns `model.metrics_variables` over all workers, as in an epoch's middle.

        Waits for all.
        """
        return [np.array(to_numpy(variable)) for variable in model.metrics_variables]

    def set_metric_sums(self, model: keras.Model, sums: Sequence[np.ndarray]) -> None:
        """Puts back what `metric_sums` returned. Waits for all."""
        assign(model.metrics_variables, sums)

    def close(self) -> None:
        """Leaves the others, at the end of a run that went well."""


def connect(devices: int | None = None) -> Workers:
    """Finds the devices and the other processes; called once, before any tensor is made.

    Which processes there are is read from the environment, where a launcher wrote it:
    torchrun for torch, `TF_CONFIG` for TensorFlow, `KERAS_DISTRIBUTION_*` for JAX.

    Args:
        devices: Devices of this process. `None` for all GPUs, or for one CPU. On a
            machine without GPU, more than one are virtual CPUs, for trying out. On
            torch, where each process has one device, the number of processes on
            this host.

    Raises:
        ValueError: if there are fewer devices, if the engine of this backend cannot
            have them, or if the launcher is another backend's.
    """
    if devices is not None and devices < 1:
        raise ValueError(f"`devices` must be at least 1. Received: {devices}")
    backend = keras.config.backend()
    launch = read_launch(backend)
    if backend == "tensorflow":
        from training.distribution.tensorflow import connect_tensorflow

        return connect_tensorflow(devices, launch)
    if backend == "jax":
        from training.distribution.jax import connect_jax

        return connect_jax(devices, launch)
    if backend == "torch":
        from training.distribution.torch import connect_torch

        return connect_torch(devices, launch)
    raise ValueError(f"`KERAS_BACKEND` must be tensorflow, jax or torch. Received: {backend!r}")


def too_few_devices(devices: int, present: int, kind: str) -> ValueError:
    """Returns the error for more devices than there are."""
    return ValueError(
        f"`devices` must be at most {present}, the number of {kind}s here. Received: {devices}"
    )
