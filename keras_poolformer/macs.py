"""Multiply-accumulates of a model, counted from the shapes of its layers."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import keras

from keras_poolformer.inference.fused_metaformer import FusedMetaFormer
from keras_poolformer.layers.data_format import split_shape
from keras_poolformer.layers.patch_embedding import PatchEmbedding
from keras_poolformer.mac_rules import Rule, Shape, find_rule
from keras_poolformer.metaformer import MetaFormer


def count_macs(
    model: keras.Model,
    input_shape: Sequence[int] | None = None,
    *,
    rules: Mapping[type, Rule] | None = None,
) -> int:
    """Returns how many multiply-accumulates a model takes for one image in inference.

    Counted are the products of matrix products and convolutions, as fvcore counts
    them: one for a multiplication and its addition, products with padding included,
    biases not. So is what fvcore calls `conv`, `linear` and `matmul`: linear maps,
    convolutions, the two products of attention (also where one fused kernel computes
    them), and mixing by a matrix over the positions.

    Norms, pooling, activations, factors and sums are not counted, since no hardware
    multiplies matrices for them. fvcore adds a rough estimate for norms, five
    operations a number, and nothing for PoolFormer's pooling; with it its figures are
    0.2 to 0.7 % larger. Nothing is run: the number is the same on every backend, in
    every layout and precision, and for a fused model.

    Args:
        model: A `keras_poolformer.MetaFormer`, a fused one, or a functional or
            `Sequential` model with one input, such as one around them.
        input_shape: Shape of an image without the batch, in the layout of the model.
            By default the model's own. Another size is counted as if the model had
            been built for it, where its weights allow.
        rules: How to count layers that are not of Keras or this library: a function
            for each class. It is called with the layer and the shape of its input,
            with a batch of one, and returns the number, or a list of numbers and of
            `(layer, input_shape)` for layers inside. A rule holds for subclasses that
            do not define `call`, and wins over the one that is there already.

    Raises:
        ValueError: if `input_shape` does not fit the model or is needed and missing,
            or if there is no rule for a layer; the message names it.

    Example:
    >>> count_macs(keras_poolformer.PoolFormerS12())
    1812267008
    >>> count_macs(keras_poolformer.PoolFormerS12(), (384, 384, 3))
    5324853248
    >>> model = MetaFormer(depths=[1], dims=[32], token_mixer=MyConvolution)
    >>> count_macs(model, rules={MyConvolution: lambda layer, shape: [(layer.conv, shape)]})

    Reference: [fvcore](
        https://github.com/facebookresearch/fvcore/blob/main/docs/flop_count.md).
    """
    rules = dict(rules or {})
    for kind, rule in rules.items():
        if not isinstance(kind, type) or not callable(rule):
            raise ValueError(
                "`rules` must map classes of layers to functions of a layer and the shape of its "
                f"input. Received: {kind!r}: {rule!r}"
            )
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(
            "`model` must be a `keras_poolformer.MetaFormer`, or another functional model or a "
            "`Sequential` with a known input, whose layers can be listed. "
            f"Received: {model!r}"
        )
    if len(model.inputs) != 1:
        raise ValueError(
            f"`model` must have one input. Received: {model.name!r} with {len(model.inputs)}"
        )
    own = tuple(model.inputs[0].shape[1:])
    if input_shape is None and None in own:
        raise ValueError(
            "`input_shape` must be given for a model that takes images of any size, such as "
            f"(224, 224, 3). Received: None for {model.name!r}, whose input is {own}"
        )
    shape = own if input_shape is None else input_shape
    if (
        not isinstance(shape, Sequence)
        or len(shape) != len(own)
        or any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in shape)
    ):
        raise ValueError(
            f"`input_shape` must be {len(own)} positive integers, the shape of one image without "
            f"the batch. Received: {input_shape!r} for {model.name!r}, whose input is {own}"
        )
    return _count_graph(model, (1, *shape), rules, "")


def _count(layer: Any, shape: Any, rules: Mapping[type, Rule], within: str) -> int:
    """Counts a layer, or a model among layers, at the path `within`."""
    path = f"{within}{layer.name}"
    kind = type(layer)
    rule = find_rule(kind, rules)
    if rule is None and getattr(layer, "inputs", None):
        return _count_graph(layer, shape, rules, f"{path}/")
    if rule is None:
        raise ValueError(
            f"`rules` must say how to count {kind.__name__}, the class of {path!r}: "
            f"`rules={{{kind.__name__}: lambda layer, input_shape: ...}}`, which returns the "
            f"number for an input of the shape {shape}. Received: rules for "
            f"{[known.__name__ for known in rules] or 'no class'}"
        )
    _check_axes(layer, shape, path)
    counted = rule(layer, shape)
    if isinstance(counted, int):
        return counted
    if not isinstance(counted, list):
        raise ValueError(
            f"`rules` must return an integer, or a list of integers and (layer, input_shape). "
            f"Received: {counted!r} for {kind.__name__}, the class of {path!r}"
        )
    return sum(
        part if isinstance(part, int) else _count(*part, rules, f"{path}/") for part in counted
    )


def _count_graph(model: Any, shape: Shape, rules: Mapping[type, Rule], within: str) -> int:
    """Counts the layers of a functional model on their way from an input of a shape."""
    if isinstance(model, MetaFormer | FusedMetaFormer):
        _check_image(model, shape)
    calls: list[tuple[Any, Any]] = []
    # A graph of the same layers without what a model has beside it, such as a loss.
    graph = keras.Model(model.inputs, model.outputs)
    image = keras.Input(batch_shape=shape, dtype=model.inputs[0].dtype)
    keras.models.clone_model(
        graph, input_tensors=[image], clone_function=lambda layer: _StandIn(layer, calls)
    )
    return sum(_count(layer, seen, rules, within) for layer, seen in calls)


class _StandIn(keras.Operation):
    """A layer in the copy of a graph, which notes the shapes that it is called with."""

    def __init__(self, layer: Any, calls: list[tuple[Any, Any]]) -> None:
        super().__init__(name=layer.name)
        self._layer, self._calls = layer, calls

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        shapes = keras.tree.map_structure(lambda x: getattr(x, "shape", x), args)
        self._calls.append((self._layer, shapes[0] if len(shapes) == 1 else shapes))
        return self._layer.compute_output_spec(*args, **kwargs)


def _check_axes(layer: Any, shape: Any, path: str) -> None:
    """Checks what a layer was built for, such as a number of channels."""
    for axis, size in (getattr(getattr(layer, "input_spec", None), "axes", None) or {}).items():
        if size is not None and shape[axis] != size:
            raise ValueError(
                f"`input_shape` must be such that {path!r} receives {size} along its axis {axis}, "
                f"which its weights are for. Received: an input of the shape {shape}"
            )


def _check_image(model: MetaFormer | FusedMetaFormer, shape: Shape) -> None:
    _, height, width, channels = split_shape(shape, model.data_format)
    expected = split_shape(model.inputs[0].shape, model.data_format)[3]
    smallest = prod(x.strides[0] for x in model.layers if isinstance(x, PatchEmbedding))
    if channels != expected or min(height or 0, width or 0) < smallest:
        raise ValueError(
            f"`input_shape` must be that of an image of at least {smallest} x {smallest} pixels "
            f"and of {expected} channels, in {model.data_format}. Received: {tuple(shape[1:])} for "
            f"{model.name!r}"
        )
