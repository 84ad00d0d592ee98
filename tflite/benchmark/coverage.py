"""What the delegate takes of a file, and how its weights are kept."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

# Operations that the modes `dynamic-int8` and `mixed-int8` of `tflite.quantize` leave with
# int8 outputs.
_STATIC = frozenset(["CONV_2D", "DEPTHWISE_CONV_2D", "PAD", "QUANTIZE"])


@dataclass(frozen=True)
class Coverage:
    """The operations of a file, and which of them the delegate runs.

    Attributes:
        operations: How often each operation stands in the file.
        delegated: How many of all operations the delegate runs.
        partitions: Pieces that the delegate runs; between them the CPU's own kernels do.
    """

    operations: dict[str, int]
    delegated: int
    partitions: int

    @property
    def total(self) -> int:
        """Number of operations in the file."""
        return sum(self.operations.values())

    @property
    def share(self) -> float:
        """Share of the operations that the delegate runs."""
        return self.delegated / max(self.total, 1)


def read_coverage(interpreter: Any) -> Coverage:
    """Returns what the delegate takes of a file.

    Args:
        interpreter: LiteRT's interpreter of the file, with its tensors allocated.
    """
    own, pieces = _nodes(interpreter)
    producer = {output: node["index"] for node in own for output in node["outputs"]}
    nodes = {node["index"]: node for node in own}
    delegated: set[int] = set()
    for piece in pieces:
        # Backwards from what the piece gives to what it is given.
        given = set(piece["inputs"])
        wanted = list(piece["outputs"])
        while wanted:
            index = producer.get(wanted.pop())
            if index is None or index in delegated:
                continue
            delegated.add(index)
            wanted += [source for source in nodes[index]["inputs"] if source not in given]
    operations = Counter(node["op_name"] for node in own)
    return Coverage(dict(sorted(operations.items())), len(delegated), len(pieces))


def quantization_mode(interpreter: Any) -> str | None:
    """Returns the mode of `tflite.quantize` that a file looks like, or `None` for no such one.

    Args:
        interpreter: LiteRT's interpreter of the file, with its tensors allocated.
    """
    own, _ = _nodes(interpreter)
    dtypes = {
        tensor["index"]: np.dtype(tensor["dtype"]).name
        for tensor in interpreter.get_tensor_details()
    }
    produced = {output for node in own for output in node["outputs"]}
    given = {tensor["index"] for tensor in interpreter.get_input_details()}
    unpacked, weights, integers = set(), set(), set()
    for node in own:
        constants = {
            dtypes[source]
            for source in node["inputs"]
            if source in dtypes and source not in produced and source not in given
        }
        if node["op_name"] == "DEQUANTIZE":
            unpacked |= constants
        else:
            weights |= constants
        if {dtypes.get(output) for output in node["outputs"]} & {"int8", "int16"}:
            integers.add(node["op_name"])
    if "int8" in unpacked or (integers and not integers <= _STATIC):
        return None
    if integers:
        return "mixed-int8"
    if "int8" in weights:
        return "dynamic-int8"
    return "float16" if "float16" in weights | unpacked else "float32"


def _nodes(interpreter: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the operations of the file, and the nodes that the delegate has put in."""
    nodes = interpreter._get_ops_details()
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    return own, [node for node in nodes if node["op_name"] == "DELEGATE"]
