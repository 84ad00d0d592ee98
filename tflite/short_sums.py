"""Keeps the sums of a graph short, for GPUs that add in float16."""

from typing import Any

import numpy as np


def shorten_sums(model: Any) -> None:
    """Lets each mean over height and width begin with one over the width, in place.

    A mean is a sum first, and the squares of a map of 56 x 56 add up to more than float16
    holds. Row by row, a sum has as many terms as the map is wide. The first mean leaves
    little to do for the second: on a CPU this costs no time that can be measured, on a GPU
    one launch.

    Args:
        model: A `ModelT` of the flatbuffer's schema, in float32.
    """
    from ai_edge_litert import schema_py_generated as schema

    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    for graph in model.subgraphs:
        width = None
        operators = []
        for operator in graph.operators:
            if codes[operator.opcodeIndex] == schema.BuiltinOperator.MEAN:
                source, axes = (graph.tensors[index] for index in operator.inputs)
                values = np.frombuffer(bytes(model.buffers[axes.buffer].data), "int32")
                if len(source.shape) == 4 and {1, 2} <= set(values % 4):
                    width = _width(model, graph) if width is None else width
                    operators.append(_mean_over_width(graph, operator, width))
            operators.append(operator)
        graph.operators = operators


def _width(model: Any, graph: Any) -> int:
    """Adds the constant [2], the axis of the width, and returns its place."""
    from ai_edge_litert import schema_py_generated as schema

    buffer, axes = schema.BufferT(), schema.TensorT()
    buffer.data = list(np.array([2], "int32").tobytes())
    axes.name, axes.shape, axes.type = b"axis_of_width", [1], schema.TensorType.INT32
    axes.buffer = len(model.buffers)
    model.buffers.append(buffer)
    graph.tensors.append(axes)
    return len(graph.tensors) - 1


def _mean_over_width(graph: Any, mean: Any, width: int) -> Any:
    """Puts a mean over the width in front of another one, and returns it."""
    from ai_edge_litert import schema_py_generated as schema

    source, target = graph.tensors[mean.inputs[0]], graph.tensors[mean.outputs[0]]
    rows = schema.TensorT()
    rows.name, rows.type, rows.buffer = target.name + b"/rows", source.type, 0
    rows.shape, rows.shapeSignature = (
        None if sizes is None else [1 if axis == 2 else int(s) for axis, s in enumerate(sizes)]
        for sizes in (source.shape, source.shapeSignature)
    )
    graph.tensors.append(rows)
    first = schema.OperatorT()
    first.opcodeIndex = mean.opcodeIndex
    first.inputs, first.outputs = [int(mean.inputs[0]), width], [len(graph.tensors) - 1]
    first.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    first.builtinOptions = schema.ReducerOptionsT()
    first.builtinOptions.keepDims = True
    mean.inputs = [len(graph.tensors) - 1, int(mean.inputs[1])]
    return first
