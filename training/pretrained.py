"""Training that starts from the weights of an earlier one."""

from pathlib import Path

import keras

from keras_poolformer import MetaFormer
from keras_poolformer.checkpoints.architecture import infer_architecture
from keras_poolformer.checkpoints.download import download
from keras_poolformer.checkpoints.load import fill
from keras_poolformer.checkpoints.presets import PRESETS, find_preset
from keras_poolformer.checkpoints.reading import is_checkpoint, read_checkpoint
from keras_poolformer.checkpoints.size_bound import WHY_NOT_ANOTHER_SIZE, is_bound_to_size
from keras_poolformer.variants import name_of
from keras_poolformer.weights import check_preset, check_weights_file, load_keras_file


def load_pretrained(model: keras.Model, weights: str | Path) -> bool:
    """Copies trained weights of the same architecture into `model`.

    Args:
        model: The model to fill.
        weights: `"imagenet"` or another preset, which is downloaded once; the path of
            a PyTorch checkpoint or of a `.keras` file; or of a `.weights.h5` file, which
            must fit as a whole. From all others a classifier of another number of
            classes is left out.

    Returns:
        Whether the classifier was copied too.

    Raises:
        ValueError: if there is no such file or preset, or it is unreadable or of
            another architecture.
        OSError: if a preset cannot be downloaded.
    """
    if str(weights) == "imagenet" or str(weights) in PRESETS:
        return _load_checkpoint(model, _preset_file(model, str(weights)))
    path = check_weights_file(weights)
    if is_checkpoint(path):
        return _load_checkpoint(model, path)
    if path.name.endswith(".weights.h5"):
        load_keras_file(model, path)
        return True
    return _load_saved_model(model, path)


def _preset_file(model: keras.Model, name: str) -> Path:
    builder = name_of(model) if isinstance(model, MetaFormer) else None
    preset = None if builder is None else find_preset(name, builder)
    if preset is None:
        raise ValueError(
            f"`weights` must be a file for the model {model.name!r}, which is none of the "
            f"published ones. Received: {name!r}"
        )
    check_preset(model, preset)
    return download(preset)


def _load_checkpoint(model: keras.Model, path: Path) -> bool:
    checkpoint = read_checkpoint(path)
    classes = infer_architecture(checkpoint).classes
    report = fill(model, checkpoint, skip_head=classes != model.output_shape[-1])
    return not report.kept


def _load_saved_model(model: keras.Model, path: Path) -> bool:
    try:
        source = keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            "`weights` must be a model that Keras saved and that this version can read. "
            f"Received: {str(path)!r}. Keras says: {error}"
        ) from error
    # Also those that are not trained: statistics of norms, and matrices that are frozen.
    values = {weight.path: weight for weight in source.weights}
    own = {weight.path: weight for weight in model.weights}
    classifier = {name for name in own if "head" in name.split("/")}
    other_shape = {
        name
        for name in own
        if name in values and tuple(values[name].shape) != tuple(own[name].shape)
    }
    if values.keys() != own.keys() or not other_shape <= classifier:
        bound = any(is_bound_to_size(name, own[name].shape) for name in other_shape)
        differing = sorted((values.keys() ^ own.keys()) | (other_shape - classifier))
        raise ValueError(
            "`weights` must be a model of the recipe's architecture. "
            f"Received: {str(path)!r}, which differs in {len(differing)} weights, the first of "
            f"them {differing[0]!r}" + (f". {WHY_NOT_ANOTHER_SIZE}" if bound else "")
        )
    kept = own.keys() - (classifier if other_shape else set())
    for name in kept:
        own[name].assign(values[name])
    return not other_shape
