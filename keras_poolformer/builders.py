"""What the builders share: their signature, their code and their documentation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras

from keras_poolformer.checkpoints.presets import PRESETS, Preset
from keras_poolformer.metaformer import MetaFormer
from keras_poolformer.variants import Family
from keras_poolformer.weights import check_weights, load_weights, published_shape


class Builder(Protocol):
    """The signature that all builders share, that of `keras.applications` and more."""

    def __call__(
        self,
        include_top: bool = True,
        include_preprocessing: bool = False,
        weights: str | Path | None = None,
        input_tensor: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: str | Callable[..., Any] | None = "softmax",
        name: str = ...,
        *,
        drop_path_rate: float = 0.0,
        **kwargs: Any,
    ) -> keras.Model: ...


def make_builder(family: Family, size: str) -> Builder:
    """Returns the builder of one row of the table of variants."""
    variant = family.variants[size]
    builder = family.builder_name(size)
    default_name = family.model_name(size)

    def build(
        include_top: bool = True,
        include_preprocessing: bool = False,
        weights: str | Path | None = None,
        input_tensor: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: str | Callable[..., Any] | None = "softmax",
        name: str = default_name,
        *,
        drop_path_rate: float = 0.0,
        **kwargs: Any,
    ) -> keras.Model:
        source = check_weights(weights, builder, include_top, classes)
        if isinstance(source, Preset) and include_top and input_shape is None:
            input_shape = published_shape(source, kwargs.get("data_format"))
        # On the output of other layers the model is called like a layer, so that
        # what comes before it is saved with the whole.
        sources = None if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
        is_nested = sources is not None and sources[0] is not input_tensor
        model = MetaFormer(
            include_top=include_top,
            include_preprocessing=include_preprocessing,
            input_tensor=None if is_nested else input_tensor,
            input_shape=tuple(input_tensor.shape[1:]) if is_nested else input_shape,
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            drop_path_rate=drop_path_rate,
            name=name,
            **{
                "depths": variant.depths,
                "dims": variant.dims,
                "layer_scale_init_value": variant.layer_scale_init_value,
                **family.arguments,
                **kwargs,
            },
        )
        if source is not None:
            load_weights(model, source)
        if is_nested:
            return keras.Model(sources, model(input_tensor), name=f"{name}_on_tensor")
        return model

    training = f"`drop_path_rate={variant.drop_path_rate}`"
    if variant.head_dropout_rate:
        training += f" and `head_dropout_rate={variant.head_dropout_rate}`"
    is_published = any(preset.builder == builder for preset in PRESETS.values())
    build.__name__ = build.__qualname__ = builder
    build.__doc__ = _DOC.format(
        family=family,
        size=size,
        variant=variant,
        training=training,
        presets=_PRESETS if is_published else _FILES,
        millions=variant.parameters / 1e6,
    )
    return build


_DOC = """Builds {family.name}-{size}, a network of {millions:.1f} million parameters.

    Depths {variant.depths}, dims {variant.dims}. Token mixing: {family.mixing}.
    The paper trains it with {training}
    to {variant.top1} % top-1 accuracy on ImageNet-1k.

    Args:
        include_top: Whether the classifier is there. Without it the output is the
            normalised map of the last stage, pooled as `pooling` says; the raw
            maps of all stages stand in the model's `pyramid_outputs`.
        include_preprocessing: Whether the model takes RGB pixels in [0, 255] and
            normalises them itself. Otherwise it expects images normalised with
            ImageNet's mean and deviation.
        weights: {presets}
        input_tensor: A `keras.Input`, or the output of other layers, to build the
            model on.
        input_shape: Shape of an image without the batch, at least 32 pixels high
            and wide; both may be `None`. By default with the classifier (224, 224, 3),
            or the size that a preset was trained at, and (None, None, 3) without.
        pooling: With `include_top=False`: `None` for the (B, H/32, W/32, C) map,
            `"avg"` or `"max"` for a (B, C) vector.
        classes: Number of classes, with `include_top=True`.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model.
        drop_path_rate: Rate of stochastic depth of the last block, in [0, 1).
        **kwargs: Further arguments of `keras_poolformer.MetaFormer`, which win over
            the variant's: `token_mixer`, `norm`, `activation`, `dropout_rate`,
            `data_format`, `dtype`, ...

    Returns:
        A `keras_poolformer.MetaFormer`; a `keras.Model` that holds one if
        `input_tensor` is the output of other layers.

    Raises:
        ValueError: if an argument is out of its range; the message names it. Also if a
            file of weights is broken or of another architecture.
        OSError: if a preset cannot be downloaded.
        ImportError: if a package that reads or downloads `weights` is not installed.

    Reference: {family.reference}.
    """
_PRESETS = """`None` for random weights; `"imagenet"` or another preset of
            `keras_poolformer.list_presets()` for published ones, which are downloaded
            once; or the path of a `.weights.h5` or `.keras` file that Keras saved
            from the same architecture, or of a PyTorch checkpoint in `.safetensors`,
            `.pth`, `.pth.tar`, `.pt` or `.bin` of the official code of its paper, timm,
            Hugging Face or OpenMMLab."""
_FILES = """`None` for random weights, or the path of a `.weights.h5` or `.keras`
            file that Keras saved from the same architecture, or of a PyTorch checkpoint
            in `.safetensors`, `.pth`, `.pth.tar`, `.pt` or `.bin` of the official code or
            timm."""
