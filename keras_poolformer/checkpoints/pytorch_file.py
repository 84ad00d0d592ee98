"""Reading and writing the files of `torch.save`, which are pickles: never trusted."""

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_poolformer.checkpoints.errors import CheckpointError
from keras_poolformer.checkpoints.pickle_depth import pickle_depth
from keras_poolformer.checkpoints.tensors import FLOATS, StoredTensor
from keras_poolformer.optional import optional_import

# Where training programs put the averaged weights, and the others.
EMA_ENTRIES = ("state_dict_ema", "model_ema", "ema_state_dict")
ENTRIES = ("state_dict", "model", "model_state_dict")

DEEPEST = 5000
"""Nesting that is still read. That of a training's file is below 100."""


def read_pytorch(path: Path, use_ema: bool) -> tuple[dict[str, StoredTensor], str]:
    """Returns the tensors of a file and the name of the entry they stand in.

    Args:
        path: The file.
        use_ema: Whether averaged weights are taken where the file has them.

    Raises:
        CheckpointError: if the file is broken, holds no tensors, or is a pickle that
            could do more than hold tensors. Nothing of such a file is executed.
    """
    content = _load(path)
    entry: list[str] = []
    while True:
        if not isinstance(content, Mapping):
            raise CheckpointError(
                "The file must hold a dictionary of tensors, a state_dict. "
                f"Received: {str(path)!r}, which holds an object of type "
                f"{type(content).__name__!r}{_inside(entry)}"
            )
        names = (*EMA_ENTRIES, *ENTRIES) if use_ema else ENTRIES
        found = next((name for name in names if isinstance(content.get(name), Mapping)), None)
        if found is None:
            break
        content = content[found]
        entry.append(found)
    # mmengine counts the averaged steps beside the weights.
    if entry and entry[-1] == "ema_state_dict":
        content = {name: value for name, value in content.items() if name != "steps"}
    return _tensors(content, path, entry), "/".join(entry)


def _inside(entry: list[str]) -> str:
    return f" in {'/'.join(entry)!r}" if entry else ""


def _load(path: Path) -> Any:
    torch = optional_import("torch", f"to read {path.suffix} files", "torch")
    _check(path)
    try:
        # What timm's training puts beside the weights: an object that only holds values.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types that are deprecated in PyTorch
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's message recommends to load the file without this protection: not repeated.
        said = str(error)
        refused = re.search(r"(?:GLOBAL|[Uu]nsupported (?:class|type)) ([\w.]+)", said)
        if isinstance(error, pickle.UnpicklingError) and refused:
            raise CheckpointError(
                f"The file is refused: it holds a Python object, {refused[1]}, whose loading could "
                f"execute code. Received: {str(path)!r}. If you trust the file, save its tensors "
                "alone, in PyTorch: torch.save(model.state_dict(), path)"
            ) from None
        said = said.rpartition("WeightsUnpickler error:")[2].partition("In PyTorch 2.6")[0].strip()
        reason = f"torch says: {type(error).__name__}: {said.partition(chr(10))[0][:200]}"
        raise _broken(path, reason) from None


def _check(path: Path) -> None:
    """Refuses what would fill the memory or crash the interpreter.

    Raises:
        CheckpointError: for an archive that unpacks to more than its own size, since
            torch never compresses, and for objects nested so deep that Python's own
            functions overflow the stack.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
            size = path.stat().st_size
            if unpacked > size:
                raise CheckpointError(
                    f"The file is refused: it has {size} bytes and would unpack to {unpacked}, "
                    f"which no file of torch.save does. Received: {str(path)!r}"
                )
            pickles = [item for item in archive.infolist() if item.filename.endswith("data.pkl")]
            depth = max(pickle_depth(archive.open(item)) for item in pickles)
    except zipfile.BadZipFile:
        depth = _depth_of_older_format(path)
    except CheckpointError:
        raise
    except Exception as error:  # an archive can be broken in many ways
        raise _broken(path, f"{type(error).__name__}: {str(error)[:200]}") from None
    if depth > DEEPEST:
        raise CheckpointError(
            f"The file is refused: its objects are nested {depth} deep, which no state_dict is. "
            f"Received: {str(path)!r}"
        )


def _depth_of_older_format(path: Path) -> int:
    """The older format is a row of pickles, the fourth of which has the tensors."""
    depth = 0
    with path.open("rb") as file:
        for _ in range(4):
            try:
                depth = max(depth, pickle_depth(file))
            except Exception:  # torch reads no further either, and says why
                break
    return depth


def _broken(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        "The file is broken, or none that torch.save wrote of a state_dict. Received: "
        f"{str(path)!r}. {reason}"
    )


def _tensors(content: Mapping[Any, Any], path: Path, entry: list[str]) -> dict[str, StoredTensor]:
    import torch

    tensors = {
        name: _stored(value)
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise CheckpointError(
            f"The file must hold a dictionary of tensors, a state_dict. Received: {str(path)!r}, "
            f"which has no tensors{_inside(entry)}"
        )
    return tensors


def _stored(tensor: Any) -> StoredTensor:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if not _is_plain(tensor):
        dtype = f"sparse or otherwise unusual {dtype}"
    held = [tensor]

    def read() -> np.ndarray:
        value = held.pop().detach()
        # numpy has no bfloat16 of its own; in float32 the values are the same.
        return (value.float() if dtype == "bfloat16" else value).numpy()

    return StoredTensor(tuple(tensor.shape), dtype, read)


def _is_plain(tensor: Any) -> bool:
    """Returns whether all values of a tensor stand in memory, one for each index."""
    import torch

    if tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return False
    if str(tensor.dtype).removeprefix("torch.") not in FLOATS:
        return True
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def write_pytorch(tensors: Mapping[str, np.ndarray], path: Path, entry: str = "") -> None:
    """Writes arrays as a state_dict, inside a dictionary with `entry` if that is given."""
    torch = optional_import("torch", f"to write {path.suffix} files", "torch")
    state = {name: _to_torch(torch, value) for name, value in tensors.items()}
    torch.save({"meta": {}, entry: state} if entry else state, path)


def _to_torch(torch: Any, value: np.ndarray) -> Any:
    if value.dtype.name == "bfloat16":  # a type that torch does not take from numpy
        return torch.from_numpy(value.view(np.uint16).copy()).view(torch.bfloat16)
    return torch.from_numpy(value)
