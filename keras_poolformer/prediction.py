"""Photographs in, names and probabilities out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_poolformer.class_names import Prediction, class_labels, decode_predictions
from keras_poolformer.classifier import Classifier
from keras_poolformer.image_file import read_image
from keras_poolformer.transform import evaluation_transform


def predict(
    model: keras.Model,
    images: Any,
    top: int = 5,
    class_names: Sequence[str] | None = None,
    *,
    crop_pct: float | None = None,
    image_size: int | tuple[int, int] | None = None,
    batch_size: int = 32,
) -> Any:
    """Names what photographs show.

    They are turned upright, resized and cut as in the model's evaluation, and
    normalised unless the model does that itself.

    Args:
        model: A `MetaFormer` with its classifier, or a model around one. Softmax is
            applied to logits.
        images: The path of a photograph, a PIL image or uint8 pixels of shape
            (H, W, 3), or a list of these.
        top: How many classes to name for each image; a model of fewer names all.
        class_names: Names of the classes of a model of your own. `None` stands for
            the 1,000 classes of ImageNet.
        crop_pct: Share of the resized short side that stays, by default that of the
            variant, see `keras_poolformer.evaluation_transform`.
        image_size: Height and width, one number or two, for a model that leaves them
            open; 224 by default.
        batch_size: How many images to hand to the model at once.

    Returns:
        A list of `top` predictions `(wordnet_id, name, probability)`, the most
        probable first; for a list of images a list of such lists.

    Raises:
        ValueError: if an image cannot be read, an argument is out of its range or
            the model does not classify RGB images; the message names it.

    Example:
    >>> model = keras.saving.load_model("poolformer_s12.keras")
    >>> for wordnet_id, name, probability in predict(model, "fish.jpg"):
    ...     print(f"{probability:6.1%} {name}")
    """
    classifier = Classifier(model)
    class_labels(classifier.classes, class_names)
    if not isinstance(top, int) or top < 1:
        raise ValueError(f"`top` must be a positive integer. Received: {top!r}")
    top = min(top, classifier.classes)
    transform = evaluation_transform(model, crop_pct, image_size)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer. Received: {batch_size!r}")
    is_one = isinstance(images, (str, Path, bytes, np.ndarray)) or not isinstance(images, Sequence)
    if isinstance(images, np.ndarray) and images.ndim == 4:
        is_one = False
    sources = [images] if is_one else list(images)
    results: list[list[Prediction]] = []
    for begin in range(0, len(sources), batch_size):
        part = sources[begin : begin + batch_size]
        pixels = np.stack([transform(read_image(source)) for source in part])
        # A batch of its own size compiles anew, so only a first one may be smaller.
        outputs = classifier(pixels, batch_size if begin else None)
        results += decode_predictions(outputs, top, class_names)
    return results[0] if is_one else results
