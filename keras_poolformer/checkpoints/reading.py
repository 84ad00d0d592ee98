"""From a file to its tensors, whatever program wrote it."""

from collections.abc import Collection
from pathlib import Path

from keras_poolformer.checkpoints.errors import CheckpointError
from keras_poolformer.checkpoints.pytorch_file import read_pytorch
from keras_poolformer.checkpoints.safetensors_file import read_safetensors
from keras_poolformer.checkpoints.tensors import Checkpoint, StoredTensor

PYTORCH_SUFFIXES = (".pth", ".pth.tar", ".pt", ".bin")
SUFFIXES = (".safetensors", *PYTORCH_SUFFIXES)
"""Ends of the names of checkpoint files."""

# DistributedDataParallel, torch.compile and Lightning put these before every name.
WRAPPERS = ("module.", "_orig_mod.", "model.")


def is_checkpoint(path: Path) -> bool:
    """Returns whether a file's name is that of a PyTorch checkpoint."""
    return path.name.lower().endswith(SUFFIXES)


def read_checkpoint(path: str | Path, use_ema: bool = True) -> Checkpoint:
    """Opens a file of PyTorch weights.

    Args:
        path: A `.safetensors` file, or a `.pth`, `.pth.tar`, `.pt` or `.bin` file, for
            which PyTorch is needed.
        use_ema: Whether weights that were averaged during training are taken where
            the file has them.

    Raises:
        CheckpointError: if there is no such file, or it is broken or dangerous.
        ImportError: if the package that reads it is not installed.
    """
    path = Path(path)
    if not is_checkpoint(path):
        raise CheckpointError(
            f"`path` must be a file that ends in one of {', '.join(SUFFIXES)}. "
            f"Received: {str(path)!r}"
        )
    if not path.is_file():
        raise CheckpointError(f"`path` names a file that does not exist. Received: {str(path)!r}")
    entry = ""
    if path.name.lower().endswith(PYTORCH_SUFFIXES):
        stored, entry = read_pytorch(path, use_ema)
    else:
        stored = read_safetensors(path)
    return _named(path, stored, entry, use_ema)


def _named(path: Path, stored: dict[str, StoredTensor], entry: str, use_ema: bool) -> Checkpoint:
    """Undoes what wrappers did to the names."""
    prefix = ""
    while stored and (found := _wrapper(stored)):
        prefix += found
        stored = {name.removeprefix(found): tensor for name, tensor in stored.items()}
    # mmcv's average of `a.b` stands beside it as `ema_a_b`.
    averages = {name: f"ema_{name.replace('.', '_')}" for name in stored}
    averages = {name: average for name, average in averages.items() if average in stored}
    tensors = {name: value for name, value in stored.items() if name not in averages.values()}
    if averages and use_ema:
        tensors.update((name, stored[average]) for name, average in averages.items())
        entry = "/".join(filter(None, (entry, "ema_*")))
    return Checkpoint(path, tensors, prefix, averages if use_ema else {}, entry)


def _wrapper(names: Collection[str]) -> str | None:
    """Returns what a wrapper put before all names, or `None`."""
    return next((w for w in WRAPPERS if all(name.startswith(w) for name in names)), None)
