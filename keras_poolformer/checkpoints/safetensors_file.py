"""Reading and writing `.safetensors` files, without PyTorch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (Keras's own dependency; numpy knows bfloat16 by it)
import numpy as np

from keras_poolformer.checkpoints.errors import CheckpointError
from keras_poolformer.checkpoints.tensors import StoredTensor
from keras_poolformer.optional import optional_import

_DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Returns the tensors of a file, none of which is read yet.

    Raises:
        CheckpointError: if the file is no complete safetensors file.
    """
    safetensors = optional_import("safetensors", "to read .safetensors files", "pretrained")
    try:
        # Not mapped into memory, where the file would count a second time.
        file = safetensors.safe_open(str(path), framework="np", backend="pread")
        names = list(file.keys())
    except Exception as error:
        raise CheckpointError(
            f"The file is broken or no safetensors file. Received: {str(path)!r}. "
            f"safetensors says: {error}"
        ) from error
    return {name: _stored(file, name, path) for name in names}


def _stored(file: Any, name: str, path: Path) -> StoredTensor:
    def read() -> np.ndarray:
        try:
            return file.get_tensor(name)
        except Exception as error:
            raise CheckpointError(
                f"The file cannot be read to its end. Received: {str(path)!r}. "
                f"safetensors says: {error}"
            ) from error

    part = file.get_slice(name)
    dtype = part.get_dtype()
    return StoredTensor(tuple(part.get_shape()), _DTYPES.get(dtype, dtype), read)


def write_safetensors(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes contiguous arrays to a file, marked as PyTorch's, which transformers asks for."""
    numpy_api = optional_import("safetensors.numpy", "to write .safetensors files", "pretrained")
    numpy_api.save_file(dict(tensors), path, metadata={"format": "pt"})
