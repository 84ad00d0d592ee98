"""The model that goes into a file: fused, in float32, with the output that is asked for.

Import this module only where `keras.config.backend() == "torch"`.
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_poolformer.classifier import normalises_pixels, output_of
from keras_poolformer.inference.fuse import fuse
from keras_poolformer.inference.fused_metaformer import FusedMetaFormer
from keras_poolformer.inference.natural_images import natural_images
from keras_poolformer.inference.rebuilding import around, rebuilt
from keras_poolformer.layers.data_format import DataFormat, join_shape, split_shape
from keras_poolformer.layers.patch_embedding import PatchEmbedding
from keras_poolformer.metaformer import MetaFormer, find_metaformer
from keras_poolformer.preprocessing import normalize

OUTPUTS = ("probabilities", "logits")


@dataclass(frozen=True)
class Standalone:
    """A model for a file, and what the file takes and gives.

    Attributes:
        model: The fused model, in float32, with its linear maps as convolutions.
        reference: What the file must compute: the same without the fusion.
        shape: Shape of a batch of images in the layout of the model; `None` where any
            size is taken.
        data_format: That layout.
        stride: Of the last stage, in pixels: the smallest height and width.
        takes_pixels: Whether the images are pixels in [0, 255], not normalised ones.
        output: `"probabilities"`, `"logits"`, or `"features"` for anything else.
    """

    model: keras.Model
    reference: keras.Model
    shape: tuple[int | None, ...]
    data_format: DataFormat
    stride: int
    takes_pixels: bool
    output: str

    @property
    def dtype(self) -> str:
        """Dtype of the images."""
        return str(keras.backend.standardize_dtype(self.model.inputs[0].dtype))

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of a batch of images."""
        if self.data_format == "channels_first":
            return ("batch", "channels", "height", "width")
        return ("batch", "height", "width", "channels")

    def filled(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        """Returns the shape with these sizes where it is open."""
        sizes = {"batch": batch, "height": height, "width": width}
        return tuple(
            sizes[axis] if size is None else size
            for axis, size in zip(self.axes, self.shape, strict=True)
        )

    def batches(self) -> list[np.ndarray]:
        """Returns images like photographs, as the model takes them, of all open sizes."""
        tall, wide = (7 * self.stride, 5 * self.stride), (6 * self.stride, 9 * self.stride + 1)
        shapes = [self.filled(3, *tall), self.filled(1, *wide)]
        return [self._images(shape, seed) for seed, shape in enumerate(shapes)]

    def _images(self, shape: tuple[int, ...], seed: int) -> np.ndarray:
        batch, height, width, channels = (int(n or 0) for n in split_shape(shape, self.data_format))
        pixels = natural_images(batch, height, width, channels, seed)
        if not self.takes_pixels:
            pixels = normalize(pixels)
        if self.data_format == "channels_first":
            pixels = pixels.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels.astype(self.dtype))


def standalone(
    model: Any,
    output: str | None = None,
    batch: int | None = None,
    image_size: tuple[int, int] | None = None,
) -> Standalone:
    """Returns what goes into a file.

    Args:
        model: A `MetaFormer`, or a model that holds one, such as a `Sequential` with a
            classifier of one's own.
        output: `"probabilities"` or `"logits"`; `None` for what the model gives.
        batch: Images at once, or `None` for any number.
        image_size: (height, width), where the model leaves them open; `None` leaves
            them open.

    Raises:
        ValueError: if the model is no such model, or an argument does not fit it.
    """
    if isinstance(model, FusedMetaFormer):
        raise ValueError(
            "`model` must be the `keras_poolformer.MetaFormer`: it is fused on the way into the "
            f"file. Received: {model.name!r}, which is fused already"
        )
    metaformer = find_metaformer(model)
    stride = math.prod(x.strides[0] for x in metaformer.layers if isinstance(x, PatchEmbedding))
    shape = _shape(model, metaformer.data_format, stride, batch, image_size)
    given = _output(model)
    is_ready = all(_is_ready(layer) for layer in (metaformer, *model.layers))
    plain = metaformer if is_ready else rebuilt(metaformer)
    fused: Any = fuse(plain, convolutions=True)
    reference: Any = model if is_ready else plain
    if metaformer is not model:
        fused = _around(model, metaformer, fused)
        reference = model if is_ready else _around(model, metaformer, plain)
    if output not in (None, given):
        if metaformer is not model or metaformer.classes is None:
            raise ValueError(
                f"`output` must be left out or {given!r}, what the last layer of the model gives. "
                f"Received: {output!r} for {model.name!r}"
            )
        fused, reference = (_giving(output, each) for each in (fused, reference))
    return Standalone(
        model=fused,
        reference=reference,
        shape=shape,
        data_format=metaformer.data_format,
        stride=stride,
        takes_pixels=normalises_pixels(model),
        output=output or given,
    )


def _shape(
    model: Any,
    data_format: DataFormat,
    stride: int,
    batch: int | None,
    image_size: tuple[int, int] | None,
) -> tuple[int | None, ...]:
    shape = getattr(model, "input_shape", None)  # a `Sequential` that was never called has none
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            "`model` must take one batch of images, a tensor of rank 4. "
            f"Received: {model.name!r} with input_shape={shape}"
        )
    own_batch, height, width, channels = split_shape(shape, data_format)
    if own_batch is not None and batch not in (None, own_batch):
        raise ValueError(
            f"`batch` must be {own_batch} or left out for a model of a fixed batch. Received: "
            f"batch={batch} for input_shape={shape}"
        )
    if image_size is not None:
        if height not in (None, image_size[0]) or width not in (None, image_size[1]):
            raise ValueError(
                "`image_size` must be left out for a model with an image size of its own. "
                f"Received: image_size={image_size} for input_shape={shape}"
            )
        if min(image_size) < stride:
            raise ValueError(
                f"`image_size` must be at least {stride} x {stride} pixels, the stride of the "
                f"last stage. Received: {image_size}"
            )
        height, width = image_size
    return join_shape(own_batch or batch, height, width, channels, data_format)


def _is_ready(layer: Any) -> bool:
    """Returns whether a layer is in float32 and on the CPU."""
    if getattr(layer, "quantization_mode", None) is not None:
        raise ValueError(
            "`model` must have its own weights, not quantised ones. Received: the layer "
            f"{layer.name!r} with the quantisation {layer.quantization_mode!r}"
        )
    if isinstance(layer, keras.layers.InputLayer):
        return True
    is_float32 = layer.compute_dtype == layer.variable_dtype == "float32"
    return is_float32 and all(weight.value.device.type == "cpu" for weight in layer.weights)


def _around(model: Any, metaformer: MetaFormer, replacement: Any) -> Any:
    image = keras.Input(batch_shape=model.input_shape, dtype=model.inputs[0].dtype, name="image")
    return around(model, metaformer, replacement, image)


def _output(model: Any) -> str:
    """Returns what a model gives, by the activation of its last layer."""
    if not isinstance(model.output_shape, tuple) or not isinstance(model.outputs, list):
        raise ValueError(
            "`model` must give one tensor. "
            f"Received: {model.name!r} with output_shape={model.output_shape}"
        )
    return output_of(model)


def _giving(output: str | None, model: Any) -> keras.Model:
    """Returns a MetaFormer, fused or not, with another activation of its classifier."""
    y = model.get_layer("head").output
    if output == "probabilities":
        y = keras.layers.Activation("softmax", dtype="float32", name="predictions")(y)
    return keras.Model(model.input, y, name=model.name)
