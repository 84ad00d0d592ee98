"""A model that classifies photographs, called with pixels and returning probabilities."""

from typing import Any

import keras
import numpy as np

from keras_poolformer.layers.data_format import check_data_format, split_shape
from keras_poolformer.metaformer import MetaFormer, find_metaformer
from keras_poolformer.preprocessing import preprocess_input


class Classifier:
    """Hides what models expect: pixels or normalised values, and the layout of images.

    Args:
        model: A `MetaFormer` with its classifier, or a model around one, such as a
            `Sequential` with a classifier of one's own. A model that has Keras's
            `Rescaling` or `Normalization` layers of its own takes pixels; any other
            is given normalised images, unless it was made with
            `include_preprocessing=True`.

    Attributes:
        model: The model.
        size: Height and width that it takes, `None` where open.
        classes: Number of its outputs.
        takes_pixels: Whether it normalises pixels itself.
        gives_logits: Whether its outputs still need a softmax.

    Raises:
        ValueError: if the model does not classify RGB photographs.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        if not isinstance(model, keras.Model):
            raise ValueError(f"`model` must be a Keras model. Received: {model!r}")
        metaformer = find_metaformer(model)
        if metaformer is model and metaformer.classes is None:
            raise ValueError(
                "`model` must have a classifier (`include_top=True`). "
                f"Received: {model.name!r} with output_shape={model.output_shape}"
            )
        self._layout = check_data_format(metaformer.data_format)
        # A `Sequential` that was never called has no shapes; other models may have several.
        names = ("input_shape", "output_shape")
        shapes: list[Any] = [getattr(model, name, None) for name in names]
        if not all(isinstance(shape, tuple) for shape in shapes) or len(shapes[0]) != 4:
            raise ValueError(
                f"`model` must map images to classes. Received: {model.name!r}, which maps "
                f"{shapes[0]} to {shapes[1]}"
            )
        _, height, width, channels = split_shape(model.input_shape, self._layout)
        self.size = (height, width)
        if channels != 3:
            raise ValueError(
                "`model` must take RGB images, of 3 channels. "
                f"Received: {model.name!r} with input_shape={model.input_shape}"
            )
        if len(model.output_shape) != 2 or model.output_shape[1] is None:
            raise ValueError(
                "`model` must have a classifier (`include_top=True`). "
                f"Received: {model.name!r} with output_shape={model.output_shape}"
            )
        self.classes = int(model.output_shape[1])
        self.takes_pixels = normalises_pixels(model)
        self.gives_logits = _activation(model) is keras.activations.linear

    def __call__(self, pixels: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """Classifies uint8 (B, H, W, 3) pixels.

        Args:
            pixels: The images.
            batch_size: Fill the batch up to this size, since XLA compiles anew for
                every size.

        Returns:
            (B, classes) outputs; the softmax of logits, other outputs as they are.
        """
        images = pixels.astype("float32")
        if not self.takes_pixels:
            images = preprocess_input(images, "channels_last")
        if self._layout == "channels_first":
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        missing = max((batch_size or 0) - len(images), 0)
        images = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)), "edge")
        outputs: Any = self.model.predict_on_batch(images)[: len(pixels)]
        outputs = np.asarray(outputs).astype("float32")
        return softmax(outputs) if self.gives_logits else outputs


def normalises_pixels(model: keras.Model) -> bool:
    """Returns whether a model takes pixels in [0, 255]: by itself or in a layer before.

    Args:
        model: A `MetaFormer`, or a model that holds one.
    """
    metaformer = find_metaformer(model)
    own = () if metaformer is model else model.layers
    normalisations = (keras.layers.Rescaling, keras.layers.Normalization)
    return metaformer.include_preprocessing or any(isinstance(x, normalisations) for x in own)


def output_of(model: keras.Model) -> str:
    """Returns what a model gives, by the activation of its last layer.

    Returns:
        `"probabilities"`, `"logits"`, or `"features"` for anything else.
    """
    if len(model.output_shape) != 2:
        return "features"
    last = model.layers[-1]
    while hasattr(last, "layers"):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        return "probabilities"
    return "logits" if activation is keras.activations.linear else "features"


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of (..., classes) logits."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def _activation(model: keras.Model) -> Any:
    """Returns the function that the outputs come from, or `None` if it is unknown."""
    last = model.layers[-1]
    if isinstance(model, MetaFormer):
        last = model.get_layer("predictions")
    elif isinstance(last, MetaFormer):
        last = last.get_layer("predictions")
    return getattr(last, "activation", None)
