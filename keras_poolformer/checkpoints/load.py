"""Loading a PyTorch checkpoint into a Keras model: all of it or nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_poolformer.checkpoints.architecture import describe, infer_architecture
from keras_poolformer.checkpoints.errors import CheckpointError, listed
from keras_poolformer.checkpoints.image_size import WHY_NOT_ANOTHER_SIZE, is_bound_to_size
from keras_poolformer.checkpoints.layouts import (
    Layout,
    convolutions,
    detect_layout,
    shape_in_file,
    to_keras,
)
from keras_poolformer.checkpoints.reading import read_checkpoint
from keras_poolformer.checkpoints.tensors import FLOATS, Checkpoint


@dataclass(frozen=True)
class LoadReport:
    """What of a checkpoint went into a model.

    Attributes:
        layout: The project whose names the checkpoint has.
        entry: Which of several sets of weights in the file was taken; empty if there
            is only one.
        loaded: Names of the tensors that were loaded, as the file has them.
        left_out: Names of those that were not: a classifier, or what belongs to a
            detector.
        kept: Paths of the model's weights that stayed as they were: its classifier,
            with `skip_head=True`.
    """

    layout: str
    entry: str
    loaded: tuple[str, ...]
    left_out: tuple[str, ...]
    kept: tuple[str, ...]

    def __str__(self) -> str:
        text = f"Loaded {len(self.loaded)} tensors in the layout {self.layout!r}"
        if self.entry:
            text += f" from the entry {self.entry!r}"
        if self.left_out:
            text += f"; left out {listed(self.left_out)}"
        if self.kept:
            text += f"; the model keeps its own {listed(self.kept)}"
        return text


def load_checkpoint(
    model: keras.Model, path: str | Path, *, skip_head: bool = False, use_ema: bool = True
) -> LoadReport:
    """Loads the weights of a PoolFormer, or a successor, that was trained in PyTorch.

    The file may come from the official code of either paper, timm, Hugging Face
    transformers or OpenMMLab; which one is told by the names in it. Every tensor must be used and
    every weight filled, except that a model without a classifier leaves out the
    file's, and that a checkpoint for detection or segmentation has norms, a neck and
    a head of its own, which are left out.

    Args:
        model: A `keras_poolformer.MetaFormer` of the checkpoint's architecture, on
            any backend and in any data format.
        path: A `.safetensors` file, or a `.pth`, `.pth.tar`, `.pt` or `.bin` file, for
            which PyTorch is needed. Code in a file is never executed; a file that
            holds some is refused.
        skip_head: Whether the classifier is left out: the model's stays as it is.
        use_ema: Whether the averaged weights of a training are taken where the file
            has them.

    Returns:
        A `LoadReport`: what was loaded and what was not.

    Raises:
        CheckpointError: if the file is broken, dangerous or of another architecture;
            the message lists what is missing, left over or of another shape. The
            model is unchanged then. It is a `ValueError`.
        ImportError: if the package that reads the file is not installed.

    Example:
    >>> model = keras_poolformer.PoolFormerS12(classes=37)
    >>> print(keras_poolformer.load_checkpoint(model, "poolformer_s12.pth.tar", skip_head=True))
    """
    return fill(model, read_checkpoint(path, use_ema), skip_head)


def fill(model: keras.Model, checkpoint: Checkpoint, skip_head: bool = False) -> LoadReport:
    """Loads an open checkpoint, as `load_checkpoint` does."""
    match = match_weights(model, checkpoint, skip_head)
    weights = {weight.path: weight for weight in model.weights}
    # All are read before the first is assigned, so that a model is never half loaded.
    values = {path: checkpoint.tensors[key].read() for path, key in match.keys.items()}
    convolved = convolutions(weights, match.layout)
    for path in match.keys:
        weights[path].assign(to_keras(path, values.pop(path), path in convolved))
    return LoadReport(
        match.layout.name,
        checkpoint.entry,
        tuple(checkpoint.stored_name(key) for key in match.keys.values()),
        tuple(checkpoint.stored_name(key) for key in match.left_out),
        match.kept,
    )


@dataclass(frozen=True)
class Match:
    """Which tensor of a checkpoint goes where.

    Attributes:
        layout: The checkpoint's layout.
        keys: The key of the tensor for each weight of the model that gets one, by path.
        left_out: Keys of the tensors that no weight gets.
        kept: Paths of the weights that get none.
    """

    layout: Layout
    keys: dict[str, str]
    left_out: tuple[str, ...]
    kept: tuple[str, ...]


def match_weights(model: keras.Model, checkpoint: Checkpoint, skip_head: bool = False) -> Match:
    """Finds the tensor of each weight, without reading any.

    Raises:
        CheckpointError: if a tensor has no place, or a weight no tensor.
    """
    layout = detect_layout(checkpoint)
    weights = {weight.path: weight for weight in model.weights}
    keys = keys_of_weights(weights, layout)
    kept = tuple(path for path in keys if skip_head and path.startswith("head/"))
    wanted = {path: key for path, key in keys.items() if path not in kept}
    ignored = layout.without_counterpart(checkpoint.tensors, _stages(weights))
    if skip_head or not any(path.startswith("head/") for path in keys):
        ignored |= checkpoint.tensors.keys() & set(layout.head_keys())
    convolved = convolutions(weights, layout)
    shapes = {
        key: shape_in_file(path, tuple(weights[path].shape), path in convolved)
        for path, key in wanted.items()
    }
    bound = {key for path, key in wanted.items() if is_bound_to_size(path, weights[path].shape)}
    _check_fit(model, checkpoint, layout, shapes, ignored, bound)
    return Match(layout, wanted, tuple(sorted(ignored)), kept)


def keys_of_weights(paths: Collection[str], layout: Layout) -> dict[str, str]:
    """Returns the key of each weight of a model in a layout, by its path.

    Raises:
        CheckpointError: if a weight has none, since it belongs to no PoolFormer.
    """
    stages = _stages(paths)
    keys = {path: layout.key(path, stages) for path in paths}
    known = {path: key for path, key in keys.items() if key is not None}
    unknown = [path for path in paths if path not in known]
    if unknown or not known:
        raise CheckpointError(
            "`model` must be a MetaFormer whose weights are those of a PoolFormer: stem, stages of "
            "norms, MLPs and LayerScale, norm and head; or, in the layouts 'timm' and "
            f"'metaformer', of its successors. The layout is {layout.name!r}. "
            f"Received: a model with the weights {listed(unknown) or '(none)'}"
        )
    return known


def _stages(paths: Collection[str]) -> int:
    return 1 + sum(path.endswith("_downsample/kernel") for path in paths)


def _check_fit(
    model: keras.Model,
    checkpoint: Checkpoint,
    layout: Layout,
    shapes: dict[str, tuple[int, ...]],
    ignored: set[str],
    bound: set[str],
) -> None:
    """Checks that a checkpoint has exactly the tensors of these shapes.

    Raises:
        CheckpointError: if it has not.
    """
    tensors = checkpoint.tensors
    missing = [key for key in shapes if key not in tensors]
    left_over = [key for key in tensors if key not in shapes and key not in ignored]
    present = [key for key in shapes if key in tensors]
    other_shape = [key for key in present if tensors[key].shape != shapes[key]]
    other_type = [key for key in present if tensors[key].dtype not in FLOATS]
    problems = []
    if missing:
        names = [checkpoint.stored_name(key) for key in missing]
        problems.append(f"Missing in the file ({len(names)}): {listed(names)}")
    if left_over:
        names = [checkpoint.stored_name(key) for key in left_over]
        problems.append(f"Left over in the file ({len(names)}): {listed(names)}")
    if other_shape:
        details = [
            f"{checkpoint.stored_name(key)} is {tensors[key].shape}, the model needs {shapes[key]}"
            for key in other_shape
        ]
        problems.append(f"Of another shape ({len(details)}): {listed(details)}")
    if bound.intersection(other_shape):
        problems.append(WHY_NOT_ANOTHER_SIZE)
    if other_type:
        details = [f"{checkpoint.stored_name(key)} is {tensors[key].dtype}" for key in other_type]
        problems.append(f"Of a type that is no float ({len(details)}): {listed(details)}")
    if not problems:
        return
    head = set(layout.head_keys())
    if head and {*missing, *left_over, *other_shape, *other_type} <= head:
        problems.append(
            "Only the classifier does not fit: give the model as many `classes` as the file has, "
            "or leave it out with load_checkpoint(model, path, skip_head=True)"
        )
    raise CheckpointError(
        f"The checkpoint does not fit the model {model.name!r}. Received: "
        f"{str(checkpoint.path)!r}, in the layout {layout.name!r}"
        f"{_what_it_is(checkpoint)}. " + ". ".join(problems)
    )


def _what_it_is(checkpoint: Checkpoint) -> str:
    try:
        return f", {describe(infer_architecture(checkpoint))}"
    except CheckpointError:
        return ""
