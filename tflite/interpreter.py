"""A .tflite file in the LiteRT interpreter."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tensor:
    """An input or an output of a file.

    Attributes:
        name: Its name in the file's signature, if it has one.
        shape: Its shape with the batch.
        dtype: Its dtype, such as `"float32"`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {' x '.join(str(size) for size in self.shape)}"


class LiteRTModel:
    """An image classifier in a .tflite file, run by LiteRT on the CPU.

    Args:
        path: The file.
        threads: Threads of the interpreter.
        batch: Images at once, for a file that leaves it open.

    Raises:
        ValueError: if it is no .tflite file with one input of rank 4 and one
            output.

    Attributes:
        path: The file.
        input: The images.
        output: Probabilities or logits.
        kind: Its weights: `"float32"`, `"float16"` or `"int8"`.
    """

    def __init__(self, path: Path, threads: int = 1, batch: int | None = None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        from training.quiet import quiet

        if not path.is_file():
            raise ValueError(f"`path` must be a .tflite file. Received: {str(path)!r}")
        try:
            with quiet():
                self._interpreter = Interpreter(str(path), num_threads=threads)
                if batch is not None:
                    (image, *_) = self._interpreter.get_input_details()
                    shape = [batch, *image["shape"][1:]]
                    self._interpreter.resize_tensor_input(image["index"], shape, strict=True)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                "`path` must be a .tflite file that LiteRT can read. "
                f"Received: {str(path)!r}. LiteRT says: {error}"
            ) from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0]["shape"]) != 4:
            raise ValueError(
                "`path` must be a .tflite file with one input of rank 4, the images, and one "
                f"output. Received: {str(path)!r} with {len(inputs)} inputs and "
                f"{len(outputs)} outputs"
            )
        names = [inputs[0]["name"], outputs[0]["name"]]
        signatures = list(self._interpreter.get_signature_list().values())
        if len(signatures) == 1:
            names = [*signatures[0]["inputs"], *signatures[0]["outputs"]]
        dtypes = {np.dtype(item["dtype"]) for item in self._interpreter.get_tensor_details()}
        self.kind = next((k for k in ("int8", "float16") if np.dtype(k) in dtypes), "float32")
        self.path = path
        self.input = _tensor(names[0], inputs[0])
        self.output = _tensor(names[1], outputs[0])
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Runs a batch of the file's shape and dtype."""
        self._interpreter.set_tensor(self._input_index, images)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output_index)


def _tensor(name: str, details: dict[str, Any]) -> Tensor:
    shape = tuple(int(size) for size in details["shape"])
    return Tensor(name, shape, np.dtype(details["dtype"]).name)
