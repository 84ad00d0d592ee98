"""The tensors of a checkpoint, known by name and shape before any is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Types that a weight of a network may have."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file.

    Attributes:
        shape: Its shape, as PyTorch has it.
        dtype: Its type, such as `"float32"`.
        read: Returns its values. To be called once: what was in memory is let go then,
            so that a large model and its file do not stand there side by side.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """A file of PyTorch weights.

    Attributes:
        path: The file.
        tensors: Its tensors, by the name that a model in PyTorch has for them.
        prefix: What stands before every name in the file, such as `module.`.
        averages: The file's own names of tensors that are averages, by the names of
            what they are averages of.
        entry: Which of several sets of weights in the file this is, such as
            `"state_dict_ema"`; empty if there is only one.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]
    prefix: str = ""
    averages: Mapping[str, str] = field(default_factory=dict)
    entry: str = ""

    def stored_name(self, key: str) -> str:
        """Returns the file's own name of the tensor `key`."""
        return self.prefix + self.averages.get(key, key)
