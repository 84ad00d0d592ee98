"""A model's answers to labelled images: read ahead, classified in batches, counted."""

import heapq
import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import keras
import numpy as np

from keras_poolformer.classifier import Classifier
from keras_poolformer.image_file import ImageError, read_image
from keras_poolformer.transform import EvaluationTransform
from training.labelled_images import LabelledImage, LabelledImages
from training.scores import Answers, best_classes

WORST = 20
"""How many mistakes are kept for the picture."""


@dataclass(frozen=True)
class Mistake:
    """An image that the model took for another class.

    Attributes:
        name: The image's name.
        pixels: What the model saw, uint8 (H, W, 3).
        label: The true class.
        answer: What the model said.
        probability: How sure it was of its answer.
    """

    name: str
    pixels: np.ndarray
    label: int
    answer: int
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        answers: The best classes for every image that could be read.
        mistakes: The wrong answers that the model was most sure of, the worst first.
        broken: Name and trouble of the images that could not be read.
        images_per_second: Reading included, without the first batch if there are
            more, in which compilers work.
    """

    answers: Answers
    mistakes: list[Mistake]
    broken: list[tuple[str, str]]
    images_per_second: float


def evaluate(
    classifier: Classifier,
    data: LabelledImages,
    transform: EvaluationTransform,
    batch_size: int = 32,
    verbose: int = 1,
) -> Evaluation:
    """Classifies all images.

    Args:
        classifier: The model.
        data: The images and their classes.
        transform: How images are resized and cut.
        batch_size: Images that the model gets at once.
        verbose: 1 for a progress bar, 0 for none.

    Raises:
        ValueError: if more than half of the images are broken, or the model's
            outputs are no numbers.
    """
    progress = keras.utils.Progbar(data.count, verbose=verbose, unit_name="image")
    broken: list[tuple[str, str]] = []
    labels: list[int] = []
    best: list[np.ndarray] = []
    worst: list[tuple[float, int, Mistake]] = []
    batch: list[tuple[LabelledImage, np.ndarray]] = []
    seen, counted, start = 0, 0, time.perf_counter()

    def classify() -> None:
        pixels = np.stack([image for _, image in batch])
        probabilities = classifier(pixels, batch_size if labels else None)
        best.append(best_classes(probabilities))
        for (image, shown), answers, row in zip(batch, best[-1], probabilities, strict=True):
            labels.append(image.label)
            answer, probability = int(answers[0]), float(row[answers[0]])
            if answer != image.label:
                mistake = Mistake(image.name, shown, image.label, answer, probability)
                heapq.heappush(worst, (probability, -len(labels), mistake))
                if len(worst) > WORST:
                    heapq.heappop(worst)
        batch.clear()

    for image, result in _read_ahead(data, transform, 2 * batch_size):
        seen += 1
        if isinstance(result, np.ndarray):
            batch.append((image, result))
        else:
            broken.append((image.name, result))
        if len(batch) == batch_size:
            is_first = not labels
            classify()
            progress.update(min(seen, data.count - 1))  # the last update ends the line
            if is_first and seen < data.count:
                counted, start = len(labels), time.perf_counter()
    if batch:
        classify()
    seconds = time.perf_counter() - start
    progress.update(data.count, finalize=True)
    if 2 * len(broken) > seen or not labels:
        first = f" The first is {broken[0][0]}: {broken[0][1]}" if broken else ""
        raise ValueError(
            "`data` must be images of which at most half are broken. "
            f"Received: {seen} images, {len(broken)} of them broken.{first}"
        )
    return Evaluation(
        Answers(np.array(labels), np.concatenate(best)),
        [mistake for *_, mistake in sorted(worst, key=lambda entry: entry[:2], reverse=True)],
        broken,
        (len(labels) - counted) / max(seconds, 1e-9),
    )


def _read_ahead(
    data: LabelledImages, transform: EvaluationTransform, ahead: int
) -> Iterator[tuple[LabelledImage, np.ndarray | str]]:
    """Yields every image with its pixels, or with what is wrong with it, in order.

    Threads do it while the model computes: Pillow works without Python's lock.
    """

    def read(image: LabelledImage) -> np.ndarray | str:
        try:
            # As published accuracies were measured: not turned by the EXIF data.
            return transform(read_image(image.source, upright=False))
        except ImageError as error:
            return error.reason

    waiting: deque[tuple[LabelledImage, Future[np.ndarray | str]]] = deque()
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        try:
            for image in data.images:
                waiting.append((image, pool.submit(read, image)))
                if len(waiting) > ahead:
                    first, result = waiting.popleft()
                    yield first, result.result()
            for first, result in waiting:
                yield first, result.result()
        finally:
            pool.shutdown(cancel_futures=True)
