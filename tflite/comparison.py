"""A .tflite file and its Keras model on the same images, in numbers."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from keras_poolformer.classifier import softmax
from tflite.interpreter import LiteRTModel
from tflite.reference import KerasReference
from tflite.signal_to_noise import signal_to_noise

TIE = 1e-4
"""Two classes are as likely as each other if their probabilities differ by this at most."""

DISAGREEMENT = {"float32": 0.0, "float16": 0.01, "int8": 0.05}
"""Largest share of images with another first class that is no tie, by the kind of weights."""


@dataclass(frozen=True)
class Comparison:
    """How a file and a Keras model do on the same images.

    What a model without classifier does not have is `None`, and so are accuracies
    where the classes of the images are not known.

    Attributes:
        images: Number of images.
        sqnr_db: Ratio of signal to noise of the file's outputs, in dB.
        agreement: Share of images for which both have the same first class.
        disagreements: Images whose first class differs by more than a tie.
        difference: Largest difference of a probability.
        keras_accuracy: Share of images that Keras classifies correctly.
        litert_accuracy: The same of the file.
        keras_milliseconds: Median time of Keras, per image, in the batches that it got.
        litert_milliseconds: Median time of the file on one thread, per image.
    """

    images: int
    sqnr_db: float
    agreement: float | None
    disagreements: int | None
    difference: float | None
    keras_accuracy: float | None
    litert_accuracy: float | None
    keras_milliseconds: float
    litert_milliseconds: float

    def problems(self, minimum_sqnr: float, disagreement: float = 1.0) -> list[str]:
        """Returns what is wrong with the file, in words.

        Args:
            minimum_sqnr: The least ratio of signal to noise that is asked of it, in dB.
            disagreement: Share of images that may have another first class.
        """
        found = []
        if not self.sqnr_db >= minimum_sqnr:
            found.append(
                "LiteRT and Keras disagree: the outputs' ratio of signal to noise is "
                f"{self.sqnr_db:.1f} dB, at least {minimum_sqnr:g} are needed"
            )
        if self.disagreements and self.disagreements > disagreement * self.images:
            found.append(
                f"LiteRT and Keras disagree: {self.disagreements} of {self.images} images have "
                f"another first class, at most {disagreement:.0%} may"
            )
        return found


def compare(
    file: LiteRTModel,
    reference: KerasReference,
    batches: Iterable[tuple[np.ndarray, np.ndarray | None]],
) -> Comparison:
    """Runs a file and its Keras model over images.

    Args:
        file: The file.
        reference: The Keras model.
        batches: uint8 (N, H, W, C) pixels, and the classes (N,) or `None`.
    """
    size = file.input.shape[0]
    spec = reference.file_spec(size, file.input.dtype, file.output.name)
    expected: list[np.ndarray] = []
    received, labels = [], []
    keras_times: list[float] = []
    litert_times: list[float] = []
    for pixels, classes in batches:
        if not expected:
            reference(pixels)  # the first call compiles
        start = time.perf_counter()
        expected.append(reference(pixels))
        keras_times.append((time.perf_counter() - start) / len(pixels))
        labels.append(classes)
        for begin in range(0, len(pixels), size):
            part = pixels[begin : begin + size]
            # A file takes full batches: the last one is filled up with its last image.
            fed = spec.feed(np.pad(part, ((0, size - len(part)), (0, 0), (0, 0), (0, 0)), "edge"))
            start = time.perf_counter()
            outputs = file(fed)
            litert_times.append((time.perf_counter() - start) / size)
            received.append(outputs[: len(part)])
    return compare_outputs(
        np.concatenate(expected),
        np.concatenate(received),
        None if labels[0] is None else np.concatenate([x for x in labels if x is not None]),
        outputs=(reference.output, spec.output),
        milliseconds=(1000 * float(np.median(keras_times)), 1000 * float(np.median(litert_times))),
    )


def compare_outputs(
    expected: np.ndarray,
    received: np.ndarray,
    labels: np.ndarray | None,
    outputs: tuple[str, str] = ("probabilities", "probabilities"),
    milliseconds: tuple[float, float] = (0.0, 0.0),
) -> Comparison:
    """Compares outputs of Keras and of LiteRT, (N, ...).

    Two first classes that differ count as a tie if Keras itself has them within `TIE` of
    each other.

    Args:
        expected: Outputs of Keras.
        received: Outputs of the file.
        labels: The classes of the images, (N,), or `None`.
        outputs: What the two are: probabilities, logits or features.
        milliseconds: What an image took in the two.
    """
    first, other = outputs
    if "features" in outputs:
        ratio = signal_to_noise(expected, received, "features")
        return Comparison(len(expected), ratio, None, None, None, None, None, *milliseconds)
    if first == other:
        ratio = signal_to_noise(expected, received, first)
    expected, received = (
        softmax(values) if kind == "logits" else values
        for values, kind in ((expected, first), (received, other))
    )
    if first != other:
        ratio = signal_to_noise(expected, received, "probabilities")
    found, rows = (expected.argmax(-1), received.argmax(-1)), np.arange(len(expected))
    margin = expected[rows, found[0]] - expected[rows, found[1]]
    right = [None if labels is None else float(np.mean(classes == labels)) for classes in found]
    return Comparison(
        images=len(expected),
        sqnr_db=ratio,
        agreement=float(np.mean(found[0] == found[1])),
        disagreements=int(np.sum(margin > TIE)),
        difference=float(np.max(np.abs(expected - received))),
        keras_accuracy=right[0],
        litert_accuracy=right[1],
        keras_milliseconds=milliseconds[0],
        litert_milliseconds=milliseconds[1],
    )
