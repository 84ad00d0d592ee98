"""Other networks as .tflite files, made as PoolFormers are, to be measured beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite.process import run_module, serve

PLAIN = "plain"
"""The same network as `Model.export` writes it: not fused, its MLPs and norms as Keras has them."""

PEERS = ("MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", PLAIN)
"""What a file can be compared with. All but the last are builders of `keras.applications`."""

CALIBRATED_ON = 8

WEIGHTS = (
    "as Keras starts them, at random: their values do not matter for time. The ranges of "
    f"activations are measured on {CALIBRATED_ON} parts of two photographs of scikit-learn"
)


def resolve(names: Sequence[str]) -> list[str]:
    """Returns the names of peers as `PEERS` has them; case does not matter.

    Raises:
        ValueError: if there is no such peer, or one twice.
    """
    known = {name.lower(): name for name in PEERS}
    unknown = [name for name in names if name.lower() not in known]
    if unknown:
        raise ValueError(f"`against` must be among {list(PEERS)}. Received: {unknown[0]!r}")
    found = [known[name.lower()] for name in names]
    if len(set(found)) < len(found):
        raise ValueError(f"`against` must name each peer once. Received: {list(names)}")
    return found


def build_peer(
    peer: str,
    modes: Sequence[str],
    folder: Path,
    *,
    image_shape: Sequence[int],
    batch: int = 1,
    input: str = "float32",  # noqa: A002  (the user's word for it)
    classes: int = 1000,
    model: str | Path | None = None,
) -> list[dict[str, str]]:
    """Writes a peer as .tflite files, in a process with Keras on TensorFlow.

    Networks of `keras.applications` are built as they come, with their own preprocessing
    where they have one, and converted and quantised as `tflite.convert` does it.

    Args:
        peer: A name in `PEERS`.
        modes: Names in `tflite.quantize.MODES`.
        folder: Where the files are written, as `PEER-MODE.tflite`.
        image_shape: (height, width, channels) of the images.
        batch: Images at once.
        input: `"float32"` or `"uint8"`; the plain export knows only the first.
        classes: Classes of a network of `keras.applications`.
        model: The Keras model of the plain export, or its path; a preset or a checkpoint too.

    Returns:
        For each mode the `peer`, the `mode` and the `file`.

    Raises:
        ValueError: if it cannot be built or converted.
    """
    task = {
        "peer": peer,
        "modes": list(modes),
        "folder": str(folder),
        "image_shape": list(image_shape),
        "batch": batch,
        "input": input,
        "classes": classes,
        "model": None if model is None else str(model),
    }
    in_tensorflow = {
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    files: list[dict[str, str]] = run_module("tflite.benchmark.peers", task, in_tensorflow)
    return files


def build(task: dict[str, Any]) -> list[dict[str, str]]:
    """Writes the files of a task in this process."""
    import keras_poolformer
    from keras_poolformer.files import replacing
    from tflite.images import sample_images
    from tflite.quantize import quantize

    if task["peer"] == PLAIN:
        model = keras_poolformer.load_model(task["model"])
        content, feed = _plain(model, task)
    else:
        content, feed = _application(task)
    pixels = sample_images(tuple(task["image_shape"]), CALIBRATED_ON * task["batch"])
    batches = [feed(part) for part in np.split(pixels, CALIBRATED_ON)]
    files = []
    for mode in task["modes"]:
        file = Path(task["folder"]) / f"{task['peer']}-{mode}.tflite"
        with replacing(file) as path:
            path.write_bytes(quantize(content, mode, lambda: batches))
        files.append({"peer": task["peer"], "mode": mode, "file": str(file)})
    return files


def _application(task: dict[str, Any]) -> tuple[bytes, Any]:
    """Returns a network of keras.applications as a float32 file, and what feeds pixels to it."""
    import keras

    from tflite.export import FileSpec, to_litert

    shape = tuple(task["image_shape"])
    keras.utils.set_random_seed(0)
    try:
        model = getattr(keras.applications, task["peer"])(
            weights=None, input_shape=shape, classes=task["classes"]
        )
    except ValueError as error:
        raise ValueError(
            f"`against` cannot have {task['peer']} for images of {shape}. The reason: {error}"
        ) from error
    spec = FileSpec(shape, task["batch"], task["input"], False, "probabilities")
    return to_litert(model, spec), spec.feed


def _plain(model: Any, task: dict[str, Any]) -> tuple[bytes, Any]:
    """Returns the plain export of a model, and what feeds pixels to it."""
    import tempfile

    import keras

    from keras_poolformer.classifier import normalises_pixels
    from keras_poolformer.metaformer import find_metaformer
    from tflite.export import FileSpec
    from training.quiet import quiet

    height, width, channels = task["image_shape"]
    is_first = find_metaformer(model).data_format == "channels_first"
    shape = (channels, height, width) if is_first else (height, width, channels)
    given = model.input_shape[1:]
    if any(size not in (None, asked) for size, asked in zip(given, shape, strict=True)):
        raise ValueError(
            f"`model` must take images of {shape}, as the first file does. Received: "
            f"{task['model']!r} with input_shape={model.input_shape}"
        )
    spec = FileSpec(
        (height, width, channels), task["batch"], "float32", not normalises_pixels(model), "output"
    )
    signature = keras.InputSpec(shape=(task["batch"], *shape), dtype="float32", name="image")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.tflite"
        try:
            with quiet():
                model.export(path, format="litert", input_signature=[signature], verbose=False)
        except Exception as error:
            reason = str(error)[:800]  # what follows is a dump of the whole graph
            raise ValueError(
                f"`model` cannot be exported. Received: {task['model']!r}. The reason: {reason}"
            ) from error
        content = path.read_bytes()

    def feed(pixels: np.ndarray) -> np.ndarray:
        images = spec.feed(pixels)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if is_first else images

    return content, feed


if __name__ == "__main__":
    serve(build)
