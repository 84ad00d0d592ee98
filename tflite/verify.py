"""Compares a .tflite file with the Keras model it was made from, on all held-out images.

python -m tflite.verify runs/digits/model.tflite --model runs/digits/model.keras --data digits
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite.checks import read_graph
from tflite.export import FileSpec, normalises_pixels
from tflite.interpreter import LiteRTModel

TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "int8": 0.5}
"""Largest difference of a probability between Keras and LiteRT, by the kind of weights."""

DISAGREEMENT = {"float32": 0.0, "float16": 0.01, "int8": 0.05}
"""Largest share of images with another first class that is no tie."""


@dataclass(frozen=True)
class Comparison:
    """How a .tflite file and a Keras model do on the same images.

    Attributes:
        images: Number of images.
        keras_accuracy: Share of images that Keras classifies correctly.
        litert_accuracy: The same of LiteRT.
        agreement: Share of images for which both have the same first class.
        disagreements: Images whose first class differs by more than a tie.
        difference: Largest difference of a probability.
        keras_milliseconds: Median time of Keras, per image, in batches.
        litert_milliseconds: Median time of LiteRT on one thread, per image.
        kind: The weights of the file: `"float32"`, `"float16"` or `"int8"`.
    """

    images: int
    keras_accuracy: float
    litert_accuracy: float
    agreement: float
    disagreements: int
    difference: float
    keras_milliseconds: float
    litert_milliseconds: float
    kind: str = "float32"

    @property
    def agrees(self) -> bool:
        """Whether the two are the same but for what the kind of weights explains."""
        return (
            self.disagreements <= DISAGREEMENT[self.kind] * self.images
            and self.difference <= TOLERANCE[self.kind]
        )


def compare(
    expected: np.ndarray,
    received: np.ndarray,
    labels: np.ndarray,
    keras_milliseconds: float,
    litert_milliseconds: float,
    kind: str = "float32",
) -> Comparison:
    """Compares (N, classes) probabilities of Keras and of LiteRT.

    Two first classes that differ count as a tie if Keras itself has them within
    the tolerance of each other.
    """
    first, other = expected.argmax(-1), received.argmax(-1)
    rows = np.arange(len(labels))
    margin = expected[rows, first] - expected[rows, other]
    return Comparison(
        images=len(labels),
        keras_accuracy=float(np.mean(first == labels)),
        litert_accuracy=float(np.mean(other == labels)),
        agreement=float(np.mean(first == other)),
        disagreements=int(np.sum(margin > TOLERANCE["float32"])),
        difference=float(np.max(np.abs(expected - received))),
        keras_milliseconds=keras_milliseconds,
        litert_milliseconds=litert_milliseconds,
        kind=kind,
    )


def verify(file: str | Path, model: str | Path, data: str | Path) -> Comparison:
    """Runs a .tflite file and its Keras model over the held-out images of a data set.

    Args:
        file: The .tflite file.
        model: What it was made from: a .keras file, a PyTorch checkpoint or a preset.
        data: `"digits"`, or the folder of the images that the model was trained on.

    Raises:
        ValueError: if a file cannot be read, or model, file and data do not belong
            together.
    """
    from training import startup

    startup.start()  # Keras comes with what is imported next, and TensorFlow talks at its start
    import keras_poolformer
    from keras_poolformer.metaformer import find_metaformer
    from training.datasets.dataset import load_dataset
    from training.pipeline import evaluation_batches

    litert = LiteRTModel(Path(file))
    if -1 in litert.input.shape:
        litert = LiteRTModel(Path(file), batch=1)
    keras_model = keras_poolformer.load_model(model)
    dataset = load_dataset(data)
    classes = len(dataset.class_names)
    batch, height, width, channels = litert.input.shape
    is_first = find_metaformer(keras_model).data_format == "channels_first"
    shape = (channels, height, width) if is_first else (height, width, channels)
    if not fits(keras_model.input_shape[1:], shape) or litert.output.shape[1:] != (
        keras_model.output_shape[-1],
    ):
        raise ValueError(
            "`file` must be made from `model`. Received: a file that maps "
            f"{litert.input.shape} to {litert.output.shape} and a model that maps "
            f"{keras_model.input_shape} to {keras_model.output_shape}"
        )
    if channels != dataset.channels or keras_model.output_shape[-1] != classes:
        raise ValueError(
            f"`data` must be what `model` was trained on. Received: {dataset.name} with "
            f"{dataset.channels} channels and {classes} classes for a model that maps "
            f"{keras_model.input_shape} to {keras_model.output_shape}"
        )

    normalized = not normalises_pixels(keras_model)
    image_shape = (height, width, channels)
    asked = FileSpec(image_shape, None, "float32", normalized, litert.output.name)
    given = FileSpec(image_shape, batch, litert.input.dtype, normalized, litert.output.name)
    expected, received, labels = [], [], []
    keras_times: list[float] = []
    litert_times: list[float] = []
    batches = evaluation_batches(dataset.test, classes, image_shape, batch_size=64)
    for images, one_hot in batches.as_numpy_iterator():
        labels.append(one_hot.argmax(-1))
        pixels = images.astype("uint8")
        inputs = asked.feed(pixels)
        if is_first:
            inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        start = time.perf_counter()
        expected.append(keras_model.predict_on_batch(inputs))
        keras_times.append((time.perf_counter() - start) / len(pixels))
        for begin in range(0, len(pixels), batch):
            part = pixels[begin : begin + batch]
            # A file takes full batches: the last one is filled up with its last image.
            full = np.pad(part, ((0, batch - len(part)), (0, 0), (0, 0), (0, 0)), "edge")
            full = given.feed(full)
            start = time.perf_counter()
            result = litert(full)
            litert_times.append((time.perf_counter() - start) / batch)
            received.append(result[: len(part)])
    return compare(
        probabilities(np.concatenate(expected)),
        probabilities(np.concatenate(received)),
        np.concatenate(labels),
        keras_milliseconds=1000 * float(np.median(keras_times)),
        litert_milliseconds=1000 * float(np.median(litert_times)),
        kind=litert.kind,
    )


def fits(model_shape: tuple[int | None, ...], file_shape: tuple[int, ...]) -> bool:
    """Returns whether images of `file_shape` go into a model with `model_shape`."""
    return all(
        open_size in (None, size) for open_size, size in zip(model_shape, file_shape, strict=True)
    )


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """Returns the softmax of logits, and probabilities as they are."""
    if outputs.min() >= 0 and np.allclose(outputs.sum(-1), 1, atol=1e-3):
        return outputs
    exponentials = np.exp(outputs - outputs.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflite.verify",
        description="Compare a .tflite file with its Keras model on all held-out images.",
    )
    parser.add_argument("file", type=Path, help="the .tflite file")
    parser.add_argument("--model", type=Path, required=True, help="the .keras file")
    parser.add_argument("--data", required=True, help="digits, or the folder of images")
    return parser.parse_args(arguments)


def report(options: argparse.Namespace, result: Comparison) -> str:
    """Returns the table for the terminal."""
    import keras

    backend = f"Keras ({keras.config.backend()})"
    size = {name: getattr(options, name).stat().st_size / 1e6 for name in ("file", "model")}
    return (
        f"{'':26}{backend:>20}{'LiteRT':>14}\n"
        f"{'accuracy':26}{result.keras_accuracy:>20.2%}{result.litert_accuracy:>14.2%}\n"
        f"{'file':26}{size['model']:>17.2f} MB{size['file']:>11.2f} MB\n"
        f"{'time per image':26}{result.keras_milliseconds:>17.3f} ms"
        f"{result.litert_milliseconds:>11.3f} ms\n"
        f"{'':26}{'batches of 64':>20}{'1 thread':>14}\n\n"
        f"Images               {result.images} held out\n"
        f"Same first class     {result.agreement:.2%}\n"
        f"Largest difference   {result.difference:.1e} of a probability, "
        f"{TOLERANCE[result.kind]:.0e} allowed for {result.kind}\n"
        f"Keras model          {options.model}\n"
        f"LiteRT file          {options.file}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: 0 when the two agree, 1 when they do not, 2 on bad input."""
    options = parse(arguments)
    try:
        result = verify(options.file, options.model, options.data)
        graph = read_graph(options.file)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(options, result))
    problems = graph.problems()
    operations = sum(graph.operations.values())
    print(
        f"Graph                {operations} operations of {len(graph.operations)} kinds, rank "
        f"{graph.rank}, {graph.partitions} partition{'s' * (graph.partitions != 1)}"
    )
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if not result.agrees:
        print(
            f"error: LiteRT and Keras disagree: {result.disagreements} images have another first "
            f"class, and probabilities differ by up to {result.difference:.1e}",
            file=sys.stderr,
        )
    return 1 if problems or not result.agrees else 0


if __name__ == "__main__":
    raise SystemExit(main())
