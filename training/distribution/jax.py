"""Several devices on JAX: `keras.distribution`, over processes by `jax.distributed`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import keras
import numpy as np

from training.distribution.launch import Launch
from training.distribution.workers import Workers, too_few_devices
from training.quiet import quiet

HEARTBEAT_SECONDS = 100
"""When nothing is heard of a process for so long, the others end."""


def connect_jax(devices: int | None, launch: Launch) -> Workers:
    """Returns the processes of `KERAS_DISTRIBUTION_*`, with the GPUs of this host or CPUs.

    Raises:
        ValueError: as of `connect`.
    """
    if devices is not None and devices > 1:
        _split_cpu(devices)
    if launch.count > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            launch.address,
            launch.count,
            launch.rank,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            local_device_ids=None if devices is None else list(range(devices)),
        )
    with quiet():
        local = jax.local_devices()
    kind = local[0].platform
    count = devices or (1 if kind == "cpu" else len(local))
    if count > len(local):
        raise too_few_devices(count, len(local), kind.upper())
    if launch.count == 1 and count == 1:
        return Workers()
    every = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    chosen = [
        device
        for process in range(launch.count)
        for device in [device for device in every if device.process_index == process][:count]
    ]
    return JaxWorkers(chosen, launch, count)


class JaxWorkers(Workers):
    """Devices over which Keras divides batches, and XLA their work.

    Args:
        devices: Those of all processes, in the order of the rows.
        launch: Which process this is.
        local_devices: Devices of each process.
    """

    def __init__(self, devices: Sequence[Any], launch: Launch, local_devices: int) -> None:
        super().__init__(launch.rank, launch.count, local_devices)
        names = [f"{device.platform}:{device.id}" for device in devices]
        # Every process already reads its own rows.
        self.distribution = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
        keras.distribution.set_distribution(self.distribution)
        with quiet():  # gloo tells when it is connected
            self.barrier()

    @contextmanager
    def scope(self) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            if "is not the same on each process" not in str(error):
                raise
            # JAX looks at every new variable, and shows all its numbers.
            raise ValueError(
                "`model` must have equal weights in all processes; give them the same seed and "
                "the same files. Received: weights that differ"
            ) from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(self.distribution)

    def gather(self, values: Sequence[float]) -> np.ndarray:
        if self.count == 1:
            return super().gather(values)
        from jax.experimental.multihost_utils import process_allgather

        # As bits, since JAX would round them to float32.
        bits = np.asarray(values, "float64").view("uint32")
        return np.asarray(process_allgather(bits)).view("float64")

    def close(self) -> None:
        keras.distribution.set_distribution(None)
        if self.count > 1:
            jax.distributed.shutdown()


def _split_cpu(parts: int) -> None:
    """Makes as many virtual CPUs, which are used where there is no GPU."""
    try:
        jax.config.update("jax_num_cpu_devices", parts)
    except RuntimeError as error:
        raise ValueError(
            f"`devices` must be chosen before JAX starts. Received: {parts}, where it runs "
            f"already: {error}"
        ) from error
