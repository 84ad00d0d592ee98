"""What a .tflite file must be like for phones: its operations, ranks and delegation."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALLOWED = frozenset(
    (
        *("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CAST", "CONCATENATION", "CONV_2D"),
        *("DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "EXP", "FULLY_CONNECTED", "GELU"),
        *("HARD_SWISH", "LOGISTIC"),
        *("MAX_POOL_2D", "MAXIMUM", "MEAN", "MINIMUM", "MUL", "NEG", "PAD", "PRELU", "QUANTIZE"),
        *("RELU", "RELU6", "RESHAPE", "RSQRT", "SOFTMAX", "SPLIT", "SQRT", "SQUARE"),
        *("SQUARED_DIFFERENCE", "SUB", "TANH", "TRANSPOSE"),
    )
)
"""Operations that XNNPACK and the GPU delegates of phones know in float."""

# What stands before the network of a file with uint8 input: one pass over the image.
BEFORE_DELEGATE = frozenset(["CAST", "QUANTIZE"])


@dataclass(frozen=True)
class Graph:
    """The graph of a file as the CPU delegate takes it.

    Attributes:
        operations: How often each operation stands in the file.
        partitions: Pieces that the delegate runs; between them the CPU's own kernels do.
        is_delegated: Whether nothing is left beside them.
        rank: The highest rank of a tensor.
        is_static: Whether every shape is known, the batch included.
    """

    operations: dict[str, int]
    partitions: int
    is_delegated: bool
    rank: int
    is_static: bool

    def problems(self) -> list[str]:
        """Returns what is wrong with the graph, in words; nothing if it is right."""
        found = []
        unknown = sorted(set(self.operations) - ALLOWED)
        if unknown:
            found.append(f"operations that phones' delegates do not know: {', '.join(unknown)}")
        if self.rank > 4:
            found.append(f"a tensor of rank {self.rank}; GPU delegates take 4 at most")
        # The delegate takes a graph of open shapes only in part.
        if self.is_static and self.partitions != 1:
            found.append(f"{self.partitions} partitions of the delegate; one is fast")
        left = set(self.operations) & BEFORE_DELEGATE
        if self.is_static and not self.is_delegated and not left:
            found.append("operations that the delegate leaves to the CPU's own kernels")
        return found


def read_graph(path: Path) -> Graph:
    """Reads the graph of a .tflite file.

    Raises:
        ValueError: if LiteRT cannot read it.
    """
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.interpreter import Interpreter

    from training.quiet import quiet

    try:
        with quiet():
            interpreter = Interpreter(str(path), num_threads=1)
            interpreter.allocate_tensors()
            is_delegated = CompiledModel.from_file(
                str(path), HardwareAccelerator.CPU
            ).is_fully_accelerated()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            "`file` must be a .tflite file that LiteRT can read. "
            f"Received: {str(path)!r}. LiteRT says: {error}"
        ) from error
    operations: Any = Counter(item["op_name"] for item in interpreter._get_ops_details())
    partitions = operations.pop("DELEGATE", 0)
    tensors = interpreter.get_tensor_details()
    (image,) = interpreter.get_input_details()
    return Graph(
        operations=dict(sorted(operations.items())),
        partitions=partitions,
        is_delegated=is_delegated,
        rank=max(len(tensor["shape"]) for tensor in tensors),
        is_static=bool((image["shape_signature"] > 0).all()),
    )
