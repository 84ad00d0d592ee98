"""The whole state of a training in one file, from which it goes on as if nothing had been."""

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from keras_poolformer.files import replacing
from training.random_state import random_state, set_random_state
from training.variables import assign, to_numpy

FILE = "checkpoint.safetensors"


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        epoch: Epochs that are complete.
        step: Steps of the next epoch that are done.
        seconds: Time spent in training so far.
        history: What was measured in each complete epoch.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def save(
    path: Path, model: keras.Model, progress: Progress, metrics: Sequence[np.ndarray] = ()
) -> None:
    """Writes weights, optimizer, averages, metrics, random state and progress.

    The file is complete or is not there; an older one stays until then.

    Args:
        path: The file.
        model: The model, with its optimizer.
        progress: How far the training has come.
        metrics: In the middle of an epoch, the sums that its metrics have come to.

    Raises:
        FloatingPointError: if a weight is no finite number; the file would be of no use.
        OSError: if it cannot be written, such as on a full disk.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors = {name: to_numpy(variable) for name, variable in _variables(model)}
    for name, values in tensors.items():
        if name.startswith("model/") and not np.isfinite(values).all():
            raise FloatingPointError(f"The weight {name} is not finite")
    tensors |= {f"metrics/{number}": values for number, values in enumerate(metrics)}
    tensors |= {f"random/{name}": values for name, values in random_state().items()}
    # Copies: scalars and views are no contiguous arrays, which the format needs.
    tensors = {name: np.array(values, order="C", copy=True) for name, values in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, {"progress": json.dumps(dataclasses.asdict(progress))})
        except SafetensorError as error:
            raise OSError(
                f"`output` must be on a disk with room for {path.name}. Received: "
                f"{str(path.parent)!r}; {error}"
            ) from error
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # a power cut must not leave a name without its content


class Checkpoint:
    """A checkpoint that was read.

    Args:
        path: The file.

    Attributes:
        progress: How far that training had come.

    Raises:
        ValueError: if the file is broken.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            with safe_open(path, "numpy") as file:
                self.progress = Progress(**json.loads(file.metadata()["progress"]))
                self._tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"`output` must hold a whole checkpoint. Received: {str(path)!r}, which cannot be "
                f"read: {error}. Pass --overwrite to start anew"
            ) from error

    def restore(self, model: keras.Model) -> None:
        """Puts the weights and the optimizer's state of the checkpoint in their places.

        Raises:
            ValueError: if the model or its optimizer has other variables; nothing is
                changed then.
        """
        pairs = list(_variables(model))
        saved = {name for name in self._tensors if name.startswith(("model/", "optimizer/"))}
        differing = sorted(saved.symmetric_difference(name for name, _ in pairs)) or [
            name for name, v in pairs if tuple(v.shape) != self._tensors[name].shape
        ]
        if differing:
            raise ValueError(
                "`output` must hold a checkpoint of the same model and optimizer. Received: "
                f"{str(self.path)!r}, which differs in {len(differing)} variables, the first "
                f"{differing[0]!r}. Pass --overwrite to start anew"
            )
        assign((v for _, v in pairs), (self._tensors[name] for name, _ in pairs))

    def restore_random_state(self) -> None:
        """Goes on with the random numbers after those that were drawn."""
        set_random_state(
            {
                name.removeprefix("random/"): values
                for name, values in self._tensors.items()
                if name.startswith("random/")
            }
        )

    @property
    def metrics(self) -> list[np.ndarray]:
        """The sums that the metrics of an interrupted epoch had come to."""
        numbers = [int(name[8:]) for name in self._tensors if name.startswith("metrics/")]
        return [self._tensors[f"metrics/{number}"] for number in sorted(numbers)]


def _variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """All that changes while training, with names for it.

    Keras numbers optimizers and random layers through, also over several trainings of
    one process; those numbers are left out. Names may repeat then, so each has its place.
    """
    for kind, variables in (
        ("model", model.variables),
        ("optimizer", model.optimizer.variables),
    ):
        for number, variable in enumerate(variables):
            yield f"{kind}/{number}/{re.sub(r'_[0-9]+(?=/|$)', '', variable.path)}", variable
