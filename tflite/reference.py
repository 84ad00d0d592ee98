"""The Keras model that a .tflite file was made from, given the same pixels."""

from dataclasses import replace
from typing import Any

import numpy as np

from tflite.export import FileSpec, in_float32


class KerasReference:
    """A Keras model that takes pixels, whatever it was built for.

    Args:
        model: A `MetaFormer`, or a model that holds one.
        image_shape: (height, width, channels) of the images.

    Attributes:
        model: The model, in float32, as files compute.
        image_shape: As given.
        takes_pixels: Whether it normalises pixels itself.
        output: What it gives: `"probabilities"`, `"logits"` or `"features"`.

    Raises:
        ValueError: if it does not take such images.
    """

    def __init__(self, model: Any, image_shape: tuple[int, int, int]) -> None:
        from keras_poolformer.classifier import normalises_pixels, output_of
        from keras_poolformer.metaformer import find_metaformer

        self._is_first = find_metaformer(model).data_format == "channels_first"
        height, width, channels = image_shape
        given = (channels, height, width) if self._is_first else image_shape
        taken = model.input_shape[1:]
        if not all(open_ in (None, size) for open_, size in zip(taken, given, strict=True)):
            raise ValueError(
                "`file` must be made from `model`. Received: a file that takes images of "
                f"{image_shape} and a model with input_shape={model.input_shape}"
            )
        self.model = in_float32(model)
        self.image_shape = image_shape
        self.takes_pixels = normalises_pixels(model)
        self.output = output_of(model)
        self._spec = FileSpec(
            image_shape, None, "float32", not self.takes_pixels, output=self.output
        )

    def file_spec(self, batch: int, input: str, output: str) -> FileSpec:  # noqa: A002
        """Returns what a file takes and gives that was made from this model.

        Args:
            batch: Images that it takes at once.
            input: Its input's dtype.
            output: The name of its output.
        """
        normalized = input == "float32" and not self.takes_pixels
        return replace(self._spec, batch=batch, input=input, normalized=normalized, output=output)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the model's outputs for uint8 (N, H, W, C) pixels, float32 (N, ...)."""
        inputs = self._spec.feed(pixels)
        if self._is_first:
            inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        outputs: Any = self.model.predict_on_batch(inputs)
        outputs = np.asarray(outputs).astype("float32")
        if self._is_first and outputs.ndim == 4:
            outputs = outputs.transpose(0, 2, 3, 1)
        return outputs
