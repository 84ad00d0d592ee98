"""A model with its weights, whatever file or name they come from."""

import difflib
from pathlib import Path
from typing import Any

import keras

from keras_poolformer.builders import make_builder
from keras_poolformer.checkpoints.architecture import infer_architecture
from keras_poolformer.checkpoints.load import fill
from keras_poolformer.checkpoints.presets import PRESETS
from keras_poolformer.checkpoints.reading import SUFFIXES, is_checkpoint, read_checkpoint
from keras_poolformer.checkpoints.tensors import Checkpoint
from keras_poolformer.metaformer import MetaFormer
from keras_poolformer.variants import MODELS


def load_model(
    source: str | Path, *, interpolate_position_embedding: bool = False, **kwargs: Any
) -> keras.Model:
    """Returns a model with its weights.

    The architecture of a PyTorch checkpoint is read off its tensors. Those of an
    IdentityFormer do not differ from a PoolFormerV2's, nor those of a MetaFormerIdentityS12
    from a PoolFormerS12's, which is what they are taken for: their builders' `weights`
    loads them. Where weights belong to one size of image, the model has that size.

    Args:
        source: A preset of `keras_poolformer.list_presets()`, which is downloaded once;
            the path of a PyTorch checkpoint of a PoolFormer or a successor; or the path
            of a `.keras` file.
        interpolate_position_embedding: Whether the position embedding of a PyTorch
            checkpoint is resized where `input_shape` is not the size that it was trained
            with.
        **kwargs: Arguments for the model, such as `input_shape`,
            `include_preprocessing` or `classifier_activation`; not with a `.keras` file,
            which has all of its own. A preset has its own number of classes and, with
            the classifier, its own size of image unless `input_shape` says otherwise.

    Raises:
        ValueError: if the file is broken or of something else.
        OSError: if a preset cannot be downloaded.
        ImportError: if a package that is needed is not installed.

    Example:
    >>> model = keras_poolformer.load_model("poolformer_s12.pth.tar")
    >>> keras_poolformer.load_model("caformer_s18.sail_in1k_384").input_shape
    (None, 384, 384, 3)
    """
    if str(source) in PRESETS:
        preset = PRESETS[str(source)]
        build = make_builder(*MODELS[preset.builder])
        return build(weights=preset.name, **{"classes": preset.classes, **kwargs})
    path = Path(source)
    if not is_checkpoint(path) and path.suffix != ".keras":
        near = difflib.get_close_matches(path.name.lower(), PRESETS, 1)
        raise ValueError(
            "`source` must be a preset of keras_poolformer.list_presets(), or the path of a file "
            f"that ends in .keras or {', '.join(SUFFIXES)}. Received: {str(source)!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    if not path.is_file():
        raise ValueError(f"`source` names a file that does not exist. Received: {str(source)!r}")
    if path.suffix != ".keras":
        checkpoint = read_checkpoint(path)
        model = build_for(checkpoint, **kwargs)
        fill(model, checkpoint, interpolate_position_embedding=interpolate_position_embedding)
        return model
    if kwargs:
        raise ValueError(
            f"`source` must be a preset or a PyTorch checkpoint to go with {sorted(kwargs)}: a "
            f".keras file holds the model's own arguments. Received: {str(source)!r}"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            "`source` must be a file that Keras saved, with layers that this library or Keras "
            f"has. Received: {str(source)!r}. Keras says: {error}"
        ) from error


def build_for(checkpoint: Checkpoint, **arguments: Any) -> MetaFormer:
    """Returns a MetaFormer of a checkpoint's architecture, with random weights.

    Raises:
        CheckpointError: if the checkpoint is none of a PoolFormer.
    """
    own = infer_architecture(checkpoint).arguments()
    layout = arguments.get("data_format") or keras.config.image_data_format()
    if layout == "channels_first" and "input_shape" in own:
        *size, channels = own["input_shape"]
        own["input_shape"] = (channels, *size)
    return MetaFormer(**{**own, **arguments})
