"""Whether a graph stays within float16, in which the GPUs of phones compute.

The largest number of float16 is 65,504. What comes near it is not an activation but a
sum on the way: the squares of a norm, over all positions, before they are divided.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST = float(np.finfo("float16").max)


@dataclass(frozen=True)
class Extreme:
    """The largest magnitude that one operation came to.

    Attributes:
        operation: Its kind, such as `"MEAN"`.
        name: Name of the tensor that it writes.
        value: The largest magnitude of what it writes.
        partial_sum: The largest sum on the way, added one by one in float16; 0 for an
            operation that is no reduction, and infinite where it overflowed.
        bound: What no order of adding can exceed: the sum of the magnitudes.
    """

    operation: str
    name: str
    value: float
    partial_sum: float
    bound: float

    @property
    def reach(self) -> float:
        """What is not exceeded: the larger of value and bound."""
        return max(self.value, self.bound)


def half_precision(content: bytes, images: np.ndarray) -> dict[str, Any]:
    """Returns the largest number that a file comes to, ready for JSON.

    Args:
        content: As of `extremes`.
        images: Likewise.
    """
    found = extremes(content, images)
    largest = max(found, key=lambda extreme: extreme.reach)
    return {
        "largest": round(largest.reach, 1),
        "operation": largest.operation,
        "name": largest.name,
        "overflows": any(max(e.reach, e.partial_sum) > LARGEST for e in found),
    }


def extremes(content: bytes, images: np.ndarray) -> list[Extreme]:
    """Runs a file in float32 and emulates its reductions in float16.

    Args:
        content: A float .tflite file with one input.
        images: Images as the file takes them, (N, H, W, C). They are run one by one, so
            the file takes one at a time.

    Returns:
        One entry for each operation, over all images, in the order of the graph.

    Raises:
        ValueError: if LiteRT cannot run the file.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from training.quiet import quiet

    with quiet():
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    operations = [op for op in interpreter._get_ops_details() if _is_float(op, tensors)]
    found: dict[int, Extreme] = {}
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        for place, operation in enumerate(operations):
            extreme = _extreme(operation, interpreter, tensors)
            earlier = found.get(place, extreme)
            found[place] = Extreme(
                extreme.operation,
                extreme.name,
                max(extreme.value, earlier.value),
                max(extreme.partial_sum, earlier.partial_sum),
                max(extreme.bound, earlier.bound),
            )
    return [found[place] for place in sorted(found)]


def _is_float(operation: dict[str, Any], tensors: dict[int, Any]) -> bool:
    return all(tensors[int(i)]["dtype"] == np.float32 for i in operation["outputs"])


def _extreme(operation: dict[str, Any], interpreter: Any, tensors: dict[int, Any]) -> Extreme:
    kind, (target, *_) = operation["op_name"], operation["outputs"]
    name = tensors[int(target)]["name"]
    value = float(np.abs(interpreter.get_tensor(int(target))).max())
    if kind not in ("MEAN", "SUM"):
        return Extreme(kind, name, value, 0.0, 0.0)
    source, axes = (interpreter.get_tensor(int(i)) for i in operation["inputs"])
    terms = np.moveaxis(source, tuple(np.ravel(axes)), tuple(range(np.size(axes))))
    terms = terms.reshape(-1, *terms.shape[np.size(axes) :])
    bound = float(np.abs(terms).astype("float64").sum(0).max())
    return Extreme(kind, name, value, _partial_sum(terms), bound)


def _partial_sum(terms: np.ndarray) -> float:
    """The largest magnitude of a sum over the first axis, on the way, in float16."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.zeros(terms.shape[1:], "float16")
        largest = np.zeros_like(total)
        for term in terms.astype("float16"):
            total = total + term
            largest = np.maximum(largest, np.abs(total))
    return float(largest.max())
