"""Several devices on torch: `DistributedDataParallel`, one process a device."""

import datetime
import gc
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import torch
from torch import distributed

from training.distribution.launch import Launch
from training.distribution.seeds import derived_seed
from training.distribution.workers import Workers, too_few_devices
from training.variables import assign

TIMEOUT = datetime.timedelta(minutes=30)
"""A worker that waits longer for the others gives up."""


def connect_torch(devices: int | None, launch: Launch) -> Workers:
    """Returns the processes that torchrun started, each with the GPU of its local rank or a CPU.

    Raises:
        ValueError: as of `connect`.
    """
    if devices is not None and devices != launch.local_count:
        raise ValueError(
            f"`devices` must be {launch.local_count}, the number of processes on this host, since "
            "on torch each has one device: start them with torchrun "
            f"--nproc-per-node={devices} -m training.train ... Received: {devices}"
        )
    if launch.count == 1:
        return Workers()
    device = torch.device("cpu")
    # Keras's own choice, asked for without a tensor, which would be on the first GPU.
    if torch.cuda.is_available() and os.environ.get("KERAS_TORCH_DEVICE", "cuda") == "cuda":
        if launch.local_count > torch.cuda.device_count():
            raise too_few_devices(launch.local_count, torch.cuda.device_count(), "GPU")
        device = torch.device("cuda", launch.local_rank)
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        timeout=TIMEOUT,
        device_id=device if device.type == "cuda" else None,
    )
    return TorchWorkers(launch, device)


class TorchWorkers(Workers):
    """Processes of torch's default group.

    Args:
        launch: Which process this is.
        device: Its device.
    """

    def __init__(self, launch: Launch, device: torch.device) -> None:
        super().__init__(launch.rank, launch.count)
        self.device = device
        self._networks: list[ParallelModel] = []

    def trainable(self, model: keras.Model) -> keras.Model:
        self.check_equal(model)  # of which DistributedDataParallel would say nothing
        self._networks.append(ParallelModel(model, self))
        return self._networks[-1]

    def gather(self, values: Sequence[float]) -> np.ndarray:
        row = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        rows = [torch.empty_like(row) for _ in range(self.count)]
        distributed.all_gather(rows, row)
        return torch.stack(rows).cpu().numpy()

    def metric_sums(self, model: keras.Model) -> list[np.ndarray]:
        return [total.cpu().numpy() for total in summed(model.metrics_variables)]

    def set_metric_sums(self, model: keras.Model, sums: Sequence[np.ndarray]) -> None:
        super().set_metric_sums(model, [part if self.is_chief else 0 * part for part in sums])

    def close(self) -> None:
        # A group that DistributedDataParallel holds on to ends with the interpreter, which aborts
        # now and then because threads of the group still run.
        for network in self._networks:
            network.parallel_call = network.model
        self._networks.clear()
        gc.collect()
        self.barrier("nobody needs the group")
        distributed.destroy_process_group()


class ParallelModel(keras.Model):
    """A model whose gradients are averaged over the processes while they are computed.

    Its metrics, in every step's and in every epoch's logs, are over all processes. That
    holds for metrics that add up numbers over the images, as those of Keras do.

    Args:
        model: The model, with equal weights in every process.
        workers: The processes.
    """

    def __init__(self, model: keras.Model, workers: TorchWorkers) -> None:
        super().__init__(name=model.name, dtype=model.dtype_policy)
        self.model = model
        self.workers = workers
        parallel = torch.nn.parallel.DistributedDataParallel(model)
        # Keras would take the module itself for a layer, with weights of its own.
        self.parallel_call = parallel.__call__
        self.seed = torch.initial_seed()
        self.step = 0

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # Only what ends in a gradient may go through DistributedDataParallel.
        if training and torch.is_grad_enabled():
            return self.parallel_call(inputs, training=True)
        return self.model(inputs, training=training)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        self.step = int(self.optimizer.iterations)
        return super().fit(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        self.seed_step()
        return super().train_step(data)

    @torch.compiler.disable
    def seed_step(self) -> None:
        """Makes the masks of a step depend on nothing but its number and the process.

        Dropout draws them from torch's global generator.
        """
        torch.manual_seed(derived_seed(self.seed, self.step, self.workers.rank))
        self.step += 1

    @torch.compiler.disable
    def get_metrics_result(self) -> dict[str, Any]:
        variables = self.metrics_variables
        if any(variable.value.is_meta for variable in variables):  # Keras only asks for shapes
            return super().get_metrics_result()
        with torch.no_grad():
            own = [variable.value.clone() for variable in variables]
            assign(variables, summed(variables))
            result = keras.tree.map_structure(torch.clone, super().get_metrics_result())
            assign(variables, own)
        return result


def summed(variables: Sequence[keras.Variable]) -> list[torch.Tensor]:
    """Returns the sums of variables over the processes, in one message."""
    values = [variable.value.detach() for variable in variables]
    message = torch.cat([value.double().flatten() for value in values])
    distributed.all_reduce(message)
    parts = message.split([value.numel() for value in values])
    return [
        part.reshape(value.shape).to(value.dtype) for part, value in zip(parts, values, strict=True)
    ]
