"""The `weights` argument of the builders."""

import io
import zipfile
from pathlib import Path

import keras

from keras_poolformer.checkpoints.download import download
from keras_poolformer.checkpoints.load import load_checkpoint
from keras_poolformer.checkpoints.presets import Preset, find_preset
from keras_poolformer.checkpoints.reading import SUFFIXES as CHECKPOINT_SUFFIXES
from keras_poolformer.checkpoints.reading import is_checkpoint
from keras_poolformer.checkpoints.size_bound import WHY_NOT_ANOTHER_SIZE, hints, is_bound_to_size
from keras_poolformer.layers.data_format import check_data_format, join_shape, split_shape
from keras_poolformer.metaformer import MetaFormer

KERAS_SUFFIXES = (".weights.h5", ".keras")


def check_weights(
    weights: str | Path | None, builder: str, include_top: bool, classes: int
) -> Path | Preset | None:
    """Returns what `weights` names, before time is spent on a model or a download.

    Args:
        weights: What the user gave.
        builder: The builder, such as `"PoolFormerS12"`.
        include_top: Whether the model has a classifier.
        classes: Its number of classes.

    Raises:
        ValueError: if it names nothing that can be loaded.
    """
    if weights is None:
        return None
    preset = find_preset(str(weights), builder)
    if preset is None:
        return check_weights_file(weights)
    if include_top and classes != preset.classes:
        raise ValueError(
            f"`classes` must be {preset.classes} for `weights={str(weights)!r}` with "
            f"`include_top=True`, since the published classifier has {preset.classes} classes. "
            f"Received: classes={classes}. Pass `include_top=False` and add a classifier of your "
            "own"
        )
    return preset


def check_weights_file(weights: str | Path) -> Path:
    """Returns the path of a file of weights that exists.

    Raises:
        ValueError: if there is none, or its name tells another kind of file.
    """
    path = Path(weights)
    if not path.name.endswith(KERAS_SUFFIXES) and not is_checkpoint(path):
        raise ValueError(
            "`weights` must be None, 'imagenet', a preset of keras_poolformer.list_presets(), or "
            f"the path of a file that ends in {', '.join(KERAS_SUFFIXES)} (saved by Keras) or "
            f"{', '.join(CHECKPOINT_SUFFIXES)} (of PyTorch). Received: {str(weights)!r}"
        )
    if not path.is_file():
        raise ValueError(f"`weights` names a file that does not exist. Received: {str(weights)!r}")
    return path


def published_shape(preset: Preset, data_format: str | None) -> tuple[int | None, ...]:
    """Returns the shape of the images that a preset was trained on.

    Args:
        preset: The preset.
        data_format: Layout of the model's images; `None` for that of Keras's configuration.
    """
    layout = check_data_format(data_format or keras.config.image_data_format())
    return join_shape(None, preset.image_size, preset.image_size, 3, layout)[1:]


def check_preset(model: MetaFormer, preset: Preset) -> None:
    """Checks that a model takes the images that a preset was trained on.

    Raises:
        ValueError: if it takes other channels, or if its token mixers have weights for
            another size of image.
    """
    layout = check_data_format(model.data_format)
    _, height, width, channels = split_shape(model.input_shape, layout)
    if channels != 3:
        raise ValueError(
            f"`input_shape` must have 3 channels, red, green and blue, for `weights="
            f"{preset.name!r}`. Received: {channels} channels"
        )
    is_bound = any(is_bound_to_size(weight.path, weight.shape) for weight in model.weights)
    if is_bound and (height, width) != (preset.image_size, preset.image_size):
        raise ValueError(
            f"`input_shape` must be {published_shape(preset, layout)} for `weights="
            f"{preset.name!r}`. Received: {tuple(model.input_shape[1:])}. {WHY_NOT_ANOTHER_SIZE}"
        )


def load_weights(model: MetaFormer, weights: Path | Preset) -> None:
    """Loads a file or a preset into `model`; a preset is downloaded if need be.

    A classifier may be left over, since a model without one is made for transfer;
    nothing else may.

    Raises:
        ValueError: if the file is broken or of another architecture. After a file
            that Keras saved, the model may hold part of it and should not be used.
        OSError: if a preset cannot be downloaded.
        ImportError: if a package that is needed is not installed.
    """
    if isinstance(weights, Preset):
        check_preset(model, weights)
        load_checkpoint(model, download(weights))
    elif is_checkpoint(weights):
        load_checkpoint(model, weights)
    else:
        load_keras_file(model, weights)


def load_keras_file(model: keras.Model, path: Path) -> None:
    """Loads a `.weights.h5` or `.keras` file, whose classifier may be left over.

    Raises:
        ValueError: if the file is broken or of another architecture.
    """
    try:
        model.load_weights(path)
        saved = _saved_weights(path)
    except Exception as error:
        detail = f"{hints(model.weights)}Keras says: {error}"
        raise ValueError(_misfit(model, path, detail)) from error
    has_head = any(layer.name == "head" for layer in model.layers)
    if not has_head:
        heads = ("layers/dense/", "layers/mlp_head/")
        saved = [name for name in saved if not name.startswith(heads)]
    # Keras fills every weight of the model or raises; it ignores what a file has beyond.
    if len(saved) != len(model.weights):
        detail = f"The model has {len(model.weights)} weights, the file {len(saved)}"
        raise ValueError(_misfit(model, path, detail))


def _misfit(model: keras.Model, path: Path, detail: str) -> str:
    return (
        f"`weights` does not fit the model {model.name!r}: its architecture, its number of classes "
        "or its input differ from the saved ones, or the file is broken. "
        f"Received: {str(path)!r}. {detail}"
    )


def _saved_weights(path: Path) -> list[str]:
    """Names of the weights in a file, without the optimizer's."""
    import h5py  # Keras's own dependency

    names: list[str] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            names.append(name)

    source: Path | io.BytesIO = path
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            source = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(source) as file:
        file.visititems(visit)
    return names
