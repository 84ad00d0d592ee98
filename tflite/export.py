"""A Keras model as a float32 .tflite file: rebuilt for phones, fused, converted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

INPUTS = ("float32", "uint8")
OUTPUTS = ("probabilities", "logits")


@dataclass(frozen=True)
class FileSpec:
    """What a file takes and gives.

    Attributes:
        image_shape: (height, width, channels) of its images; always channels last.
        batch: Images at once, or `None` for any number.
        input: `"float32"` for what the Keras model takes, `"uint8"` for RGB pixels.
        normalized: Whether float32 images are normalised with ImageNet's mean and
            deviation before; otherwise they are pixels in [0, 255].
        output: `"probabilities"`, `"logits"`, or `"features"` of a model without
            classifier.
    """

    image_shape: tuple[int, int, int]
    batch: int | None
    input: str
    normalized: bool
    output: str

    def feed(self, pixels: np.ndarray) -> np.ndarray:
        """Returns uint8 (N, H, W, C) pixels as the file takes them."""
        from keras_poolformer.preprocessing import normalize

        if self.input == "uint8":
            return pixels
        return normalize(pixels) if self.normalized else pixels.astype("float32")


def prepare(
    model: Any,
    batch: int | None = 1,
    image_size: Sequence[int] | None = None,
    input: str = "float32",  # noqa: A002  (the user's word for it)
    output: str | None = None,
    pixels: np.ndarray | None = None,
) -> tuple[Any, FileSpec]:
    """Returns a fused Keras model for a file, and what the file will take and give.

    Args:
        model: A `MetaFormer`, or a model that holds one, such as a `Sequential` with a
            classifier of one's own.
        batch: Images at once, or `None` for any number.
        image_size: (height, width) for a model that leaves them open.
        input: `"float32"` or `"uint8"`.
        output: `"probabilities"` or `"logits"`; `None` for what the model gives.
        pixels: uint8 (N, H, W, C) images, on which is measured by how much the residual
            stream must be scaled for float16; `None` leaves it as it is.

    Raises:
        ValueError: if the model is no such model, or an argument does not fit it.
    """
    import keras

    from keras_poolformer.classifier import normalises_pixels, output_of
    from keras_poolformer.image_input import imagenet_normalization
    from keras_poolformer.inference import fuse, scale_stream, stream_exponents
    from keras_poolformer.inference.rebuilding import around, rebuilt
    from keras_poolformer.metaformer import find_metaformer

    metaformer = find_metaformer(model)
    is_whole = metaformer is model
    if not is_whole and metaformer.data_format == "channels_first":
        raise ValueError(
            "`model` must be in 'channels_last' where it holds a MetaFormer among other layers. "
            f"Received: {model.name!r} in 'channels_first'"
        )
    height, width, channels = image_shape_of(model, image_size)
    takes_pixels = normalises_pixels(model)
    if input == "uint8" and not takes_pixels and channels != 3:
        raise ValueError(
            "`input` must be 'float32' for a model that does not normalise pixels itself and takes "
            f"no RGB images: how its images were normalised is not known. Received: 'uint8' for "
            f"{model.name!r} with {channels} channels"
        )
    normalizes = input == "uint8" and not takes_pixels
    changes: dict[str, Any] = {
        "data_format": "channels_last",
        "input_shape": (height, width, channels),
    }
    if is_whole:
        changes["include_preprocessing"] = metaformer.include_preprocessing or normalizes
        # A sigmoid's probabilities stay what they are.
        if metaformer.classes is not None and output not in (None, output_of(model)):
            changes["classifier_activation"] = "linear" if output == "logits" else "softmax"
    plain = rebuilt(metaformer, **changes)
    fused = fuse(plain, convolutions=True)
    if pixels is not None:
        taken = FileSpec((height, width, channels), None, "float32", not takes_pixels, "")
        images = _input_of(metaformer, model, taken.feed(pixels))
        if is_whole and normalizes:
            images = pixels.astype("float32")
        fused = scale_stream(fused, stream_exponents(fused, images))
    if not is_whole:
        image = keras.Input((height, width, channels), name="image")
        fused = around(model, metaformer, fused, image)
        if normalizes:
            fused = keras.Model(image, fused(imagenet_normalization("preprocessing")(image)))
    given = output_of(fused if not is_whole else plain)
    if output is not None and given != output:
        raise ValueError(
            f"`output` must be {given!r}, what the model's last layer gives. "
            f"Received: {output!r} for {model.name!r}"
        )
    is_normalized = input == "float32" and not takes_pixels
    return fused, FileSpec((height, width, channels), batch, input, is_normalized, given)


def to_litert(model: Any, spec: FileSpec) -> bytes:
    """Returns the content of a float32 .tflite file that computes what `model` does.

    Raises:
        ValueError: if TensorFlow cannot convert it.
    """
    import tensorflow as tf

    from training.quiet import quiet

    shape = (spec.batch, *spec.image_shape)
    # As constants: the converter would leave variables in the file, without their values.
    trained, others = (
        [variable.numpy() for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )

    @tf.function(input_signature=[tf.TensorSpec(shape, spec.input, name="image")])
    def run(image: Any) -> dict[str, Any]:
        pixels = tf.cast(image, "float32")
        return {spec.output: model.stateless_call(trained, others, pixels, training=False)[0]}

    try:
        with quiet():
            converter = tf.lite.TFLiteConverter.from_concrete_functions(
                [run.get_concrete_function()], tf.Module()
            )
            return converter.convert()
    except Exception as error:
        reason = str(error)[:800]  # what follows is a dump of the whole graph
        raise ValueError(
            f"`model` cannot be converted. Received: {model.name!r} with an input of {shape}. "
            f"The reason: {reason}"
        ) from error


def image_shape_of(model: Any, image_size: Sequence[int] | None = None) -> tuple[int, int, int]:
    """Returns (height, width, channels) of the images that a file will take.

    Args:
        model: As of `prepare`.
        image_size: Likewise.

    Raises:
        ValueError: if there is no such size.
    """
    from keras_poolformer.metaformer import find_metaformer

    metaformer = find_metaformer(model)
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            "`model` must take one batch of images, a tensor of rank 4. "
            f"Received: a model with input_shape={shape}"
        )
    _, *sides = shape
    if metaformer.data_format == "channels_first":
        sides = [*sides[1:], sides[0]]
    height, width, channels = sides
    if (height is None) != (width is None) or channels is None:
        raise ValueError(
            "`model` must have both height and width fixed, or both open. "
            f"Received: a model with input_shape={shape}"
        )
    if height is not None:
        if image_size is not None and tuple(image_size) != (height, width):
            raise ValueError(
                "`image_size` must be left out for a model with a fixed image size. Received: "
                f"image_size={tuple(image_size)} for input_shape={shape}"
            )
        return height, width, channels
    if image_size is None or len(image_size) != 2 or min(image_size) < 1:
        raise ValueError(
            "`image_size` must be (height, width) for a model that leaves them open. Received: "
            f"image_size={image_size} for input_shape={shape}"
        )
    return image_size[0], image_size[1], channels


def _input_of(metaformer: Any, model: Any, images: np.ndarray) -> np.ndarray:
    """Returns what the MetaFormer in a model is given where the model is given images."""
    import keras

    if metaformer is model:
        return images
    # It may be part of other models as well: what is asked for hangs on this one's input.
    for node in metaformer._inbound_nodes:
        (given,) = node.input_tensors
        if given is model.inputs[0]:
            return images
        try:
            before = keras.Model(model.inputs, given)
        except ValueError:
            continue
        return np.asarray(before.predict_on_batch(images)).astype("float32")
    raise ValueError(
        "`model` must give its MetaFormer what it makes of its input. "
        f"Received: {model.name!r}, in which {metaformer.name!r} stands apart"
    )


def in_float32(model: Any) -> Any:
    """Returns a model that computes in float32: itself, or a copy of one in half precision."""
    import keras

    from keras_poolformer.inference.rebuilding import around, rebuilt
    from keras_poolformer.metaformer import find_metaformer

    if all(layer.compute_dtype == "float32" for layer in model._flatten_layers()):
        return model
    metaformer = find_metaformer(model)
    copy = rebuilt(metaformer)
    if metaformer is model:
        return copy
    return around(model, metaformer, copy, keras.Input(model.input_shape[1:], name="image"))
