"""The `weights` argument of the builders."""

import io
import zipfile
from pathlib import Path

import keras

SUFFIXES = (".weights.h5", ".keras")
IMAGENET_CLASSES = 1000


def check_weights(weights: str | Path | None, include_top: bool, classes: int) -> Path | None:
    """Returns the file that `weights` names, before time is spent on a model.

    Raises:
        ValueError: if it names neither `None` nor a file that Keras saved.
    """
    if weights is None:
        return None
    if weights == "imagenet":
        if include_top and classes != IMAGENET_CLASSES:
            raise ValueError(
                "`classes` must be 1000 for `weights='imagenet'` with `include_top=True`, since "
                f"the published classifier has 1000 classes. Received: classes={classes}. Pass "
                "`include_top=False` and add a classifier of your own"
            )
        raise ValueError(
            "`weights='imagenet'` cannot be loaded: this version has no published weights. Pass "
            "`weights=None` for random weights or the path of a file that Keras saved"
        )
    path = Path(weights)
    if not path.name.endswith(SUFFIXES):
        raise ValueError(
            "`weights` must be None or the path of a .weights.h5 or .keras file. "
            f"Received: {str(weights)!r}"
        )
    if not path.is_file():
        raise ValueError(f"`weights` names a file that does not exist. Received: {str(weights)!r}")
    return path


def load_weights(model: keras.Model, path: Path) -> None:
    """Loads a file that Keras saved into `model`.

    The classifier in a file may be left over, since a model without one is made
    for transfer; nothing else may.

    Raises:
        ValueError: if the file is broken or of another architecture. The model may
            hold part of it then and should not be used.
    """
    try:
        model.load_weights(path)
        saved = _saved_weights(path)
    except Exception as error:
        raise ValueError(_misfit(model, path, f"Keras says: {error}")) from error
    has_head = any(layer.name == "head" for layer in model.layers)
    if not has_head:
        saved = [name for name in saved if not name.startswith("layers/dense/")]
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
