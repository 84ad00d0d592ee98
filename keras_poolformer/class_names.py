"""The names of ImageNet's classes, and probabilities as names."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

IMAGENET_CLASSES = 1000
IMAGENET_21K_CLASSES = 21841

_OF_IMAGENET_21K = ", those of ImageNet-21k, whose names do not come with this package"

# How far above 1 the rounding of a half precision may take a probability.
_ROUNDING = 1e-2


class Prediction(NamedTuple):
    """A class that a model names for an image.

    Attributes:
        wordnet_id: The class in WordNet, such as `"n01440764"`; `None` for labels of
            your own.
        name: The class's name, such as `"tench"`.
        probability: How probable the model finds it, in [0, 1].
    """

    wordnet_id: str | None
    name: str
    probability: float


@cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Returns the WordNet id and the name of the 1,000 classes of ImageNet-1k.

    They stand in the order of the outputs of published models, which is that of
    the ids. A name is the first that WordNet has for the class, but for the
    second `crane` (`crane bird`) and the second `maillot` (`maillot tank suit`):
    no two names are equal.

    Example:
    >>> imagenet_classes()[0]
    ('n01440764', 'tench')

    Reference: [WordNet](https://wordnet.princeton.edu), version 3.0.
    """
    import importlib.resources

    file = importlib.resources.files("keras_poolformer") / "imagenet_classes.txt"
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple((wordnet_id, name) for wordnet_id, name in (line.split(" ", 1) for line in lines))


def class_labels(
    classes: int, class_names: Sequence[str] | None = None
) -> list[tuple[str | None, str]]:
    """Returns the WordNet id, `None` for one's own classes, and the name of every output.

    Args:
        classes: Number of outputs of the model.
        class_names: Their names; `None` stands for ImageNet's.

    Raises:
        ValueError: if the names are not as many as the outputs.
    """
    if class_names is None:
        if classes != IMAGENET_CLASSES:
            raise ValueError(
                "`class_names` must name the classes of a model that has not the 1000 classes of "
                f"ImageNet. Received: None for {classes} classes"
                + _OF_IMAGENET_21K
                * (classes == IMAGENET_21K_CLASSES)
            )
        return list(imagenet_classes())
    if isinstance(class_names, (str, bytes)) or len(class_names) != classes:
        received = repr(class_names) if isinstance(class_names, (str, bytes)) else len(class_names)
        raise ValueError(
            f"`class_names` must be a list of {classes} names, one for each output of the model. "
            f"Received: {received}"
        )
    return [(None, str(name)) for name in class_names]


def decode_predictions(
    predictions: Any, top: int = 5, class_names: Sequence[str] | None = None
) -> list[list[Prediction]]:
    """Returns the names of the most probable classes. Nothing is downloaded.

    Args:
        predictions: Probabilities of shape (N, classes), an array or a tensor, as a
            model with `classifier_activation="softmax"` returns them.
        top: How many classes to name for each image.
        class_names: Names of the outputs of a model of your own. `None` stands for
            the 1,000 classes of ImageNet.

    Returns:
        For each image a list of `top` predictions `(wordnet_id, name, probability)`,
        the most probable first. Equal ones stand in the order of the outputs.

    Raises:
        ValueError: if `predictions` are no probabilities, or `top` or `class_names`
            do not fit them.

    Example:
    >>> decode_predictions(model.predict(images), top=1)
    [[Prediction(wordnet_id='n01440764', name='tench', probability=0.93)]]
    >>> decode_predictions([[0.2, 0.8]], top=1, class_names=["cat", "dog"])
    [[Prediction(wordnet_id=None, name='dog', probability=0.8)]]
    """
    probabilities = _to_numpy(predictions)
    if probabilities.ndim != 2:
        raise ValueError(
            "`predictions` must be of shape (N, classes), with a row for each image. "
            f"Received: shape={probabilities.shape}"
        )
    classes = probabilities.shape[1]
    labels = class_labels(classes, class_names)
    if not isinstance(top, (int, np.integer)) or not 1 <= top <= classes:
        raise ValueError(
            f"`top` must be an integer from 1 to {classes}, the number of classes. "
            f"Received: {top!r}"
        )
    if probabilities.size and not (
        probabilities.min() >= 0 and probabilities.max() <= 1 + _ROUNDING
    ):
        if np.isnan(probabilities).any():
            raise ValueError(
                "`predictions` must be probabilities. Received: an array with values that are no "
                "numbers (NaN)"
            )
        raise ValueError(
            "`predictions` must be probabilities in [0, 1]; apply `keras.ops.softmax` to logits. "
            f"Received: values from {probabilities.min():.6g} to {probabilities.max():.6g}"
        )
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    results = []
    for row, indices in zip(probabilities, best, strict=True):
        named = [(*labels[index], float(row[index])) for index in indices]
        results.append([Prediction(*entry) for entry in named])
    return results


def _to_numpy(predictions: Any) -> np.ndarray:
    import keras

    if not isinstance(predictions, np.ndarray) and keras.ops.is_tensor(predictions):
        predictions = keras.ops.convert_to_numpy(predictions)
    array = np.asarray(predictions)
    # Not `array.dtype.kind`: the bfloat16 of JAX and TensorFlow has one of its own.
    return array if array.dtype in (np.float32, np.float64) else array.astype("float32")
