"""Which output of a model a class of the data belongs to."""

import json
from collections.abc import Sequence
from pathlib import Path

from keras_poolformer.class_names import IMAGENET_CLASSES, class_labels, imagenet_classes

Labels = list[tuple[str | None, str]]
"""WordNet id, `None` for classes of one's own, and name of every output of a model."""


def known_labels(outputs: int, classes: Path | None, model: str) -> Labels | None:
    """Returns the labels of a model as far as they are known without the data.

    Args:
        outputs: Number of outputs of the model.
        classes: A file with one name a line, or a `summary.json` of a training.
        model: Where the model comes from; a `summary.json` beside it is read if
            `classes` is `None`.

    Returns:
        The labels, ImageNet's for 1,000 outputs without a file; `None` if the data
        must name them.

    Raises:
        ValueError: if the file cannot be read or has not a name for every output.
    """
    if classes is None:
        beside = Path(model).with_name("summary.json")
        if model.endswith(".keras") and beside.is_file():
            try:
                names = read_names(beside)
            except ValueError:
                names = []  # of another kind of summary
            if len(names) == outputs:
                return class_labels(outputs, names)
        return list(imagenet_classes()) if outputs == IMAGENET_CLASSES else None
    names = read_names(classes)
    if len(names) != outputs:
        raise ValueError(
            f"`classes` must name each of the {outputs} outputs of the model. "
            f"Received: {str(classes)!r} with {len(names)} names"
        )
    return class_labels(outputs, names)


def read_names(file: Path) -> list[str]:
    """Returns the class names in a text file, one a line, or in a training's summary.

    Raises:
        ValueError: if the file cannot be read or names a class twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
        names = json.loads(text)["class_names"] if file.suffix == ".json" else text.splitlines()
        if not isinstance(names, list):
            raise TypeError("'class_names' is no list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "`classes` must be a text file with one class name a line, or the summary.json of a "
            f"training. Received: {str(file)!r}, which cannot be read so: {error!r}"
        ) from error
    names = [str(name).strip() for name in names if str(name).strip()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"`classes` must name every class once. Received: {str(file)!r}, which repeats "
            f"{twice[0]!r}"
        )
    return names


def match(names: Sequence[str], labels: Labels | None, outputs: int) -> tuple[Labels, list[int]]:
    """Finds the output of the model for every class of the data.

    Args:
        names: Names of the classes of the data, in the data's order.
        labels: Labels of the model, or `None` if the data must name them.
        outputs: Number of outputs of the model.

    Returns:
        The labels of the model and the index of each of `names` among them.

    Raises:
        ValueError: if a class of the data is none of the model.
    """
    if labels is None:
        if len(names) != outputs:
            raise ValueError(
                f"`data` must have the {outputs} classes of the model, or `classes` must name "
                f"them. Received: data of {len(names)} classes, {_some(names)}"
            )
        return class_labels(outputs, names), list(range(outputs))
    index = {name: position for position, (_, name) in enumerate(labels)}
    index |= {wordnet_id: position for position, (wordnet_id, _) in enumerate(labels) if wordnet_id}
    found = [index.get(name, index.get(name.replace("_", " "))) for name in names]
    unknown = [name for name, position in zip(names, found, strict=True) if position is None]
    if unknown:
        expected = (
            "WordNet ids or names of ImageNet's classes, such as 'n01440764' or 'tench'"
            if labels[0][0]
            else f"such as {_some([name for _, name in labels])}"
        )
        raise ValueError(
            f"`data` must have classes of the model only, {expected}. "
            f"Received: unknown {_some(unknown)}"
        )
    return labels, [position for position in found if position is not None]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
