"""What a classifier's answers are worth: accuracies, their intervals, and class by class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TOP = 5
_Z95 = 1.959963984540054  # the normal distribution has 95 % between -z and z


@dataclass(frozen=True)
class Answers:
    """The best classes that a model named for N images.

    Attributes:
        labels: The true classes, (N,).
        best: The most probable classes, the first first, (N, 5) or (N, classes) if
            there are fewer.
    """

    labels: np.ndarray
    best: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def right(self, top: int) -> np.ndarray:
        """Returns for each image whether the true class is among the first `top`."""
        return (self.best[:, :top] == self.labels[:, None]).any(1)


def best_classes(probabilities: np.ndarray) -> np.ndarray:
    """Returns the five most probable classes of each row; equal ones in their order.

    Raises:
        ValueError: if an output is no number.
    """
    if np.isnan(probabilities).any():
        raise ValueError("`model` must return probabilities. Received: outputs that are NaN")
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]


def wilson_interval(right: int, images: int) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a share, after Wilson.

    Unlike the usual one it is right for few images and for shares near 0 and 1.

    Reference: [Probable Inference, the Law of Succession, and Statistical Inference](
        https://doi.org/10.1080/01621459.1927.10502953)
    """
    if images == 0:
        return 0.0, 1.0
    share, weight = right / images, _Z95**2 / images
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def accuracy(answers: Answers, top: int) -> dict[str, Any]:
    """Returns the share of images whose class is among the first `top`, and its interval."""
    right = int(answers.right(top).sum())
    low, high = wilson_interval(right, len(answers))
    return {"accuracy": right / len(answers), "right": right, "interval": [low, high]}


def per_class(
    answers: Answers, labels: Sequence[tuple[str | None, str]], classes: int
) -> list[dict[str, Any]]:
    """Returns a row for each class that has images.

    Args:
        answers: The answers of the model.
        labels: WordNet id and name of every class.
        classes: Number of outputs of the model; with five or fewer there is no top-5.

    Returns:
        Rows of the class, its images, top-1 and top-5 accuracy, and the class that
        was named most often instead, with how often.
    """
    first, fifth = answers.right(1), answers.right(TOP)
    rows = []
    for label in np.unique(answers.labels).tolist():
        own = answers.labels == label
        wrong = answers.best[own & ~first, 0]
        counts = np.bincount(wrong, minlength=1)
        rows.append(
            {
                "wordnet_id": labels[label][0] or "",
                "class": labels[label][1],
                "images": int(own.sum()),
                "top1": round(float(first[own].mean()), 6),
                "top5": round(float(fifth[own].mean()), 6) if classes > TOP else "",
                "wrong_answer": labels[int(counts.argmax())][1] if len(wrong) else "",
                "wrong_answers": int(counts.max()),
            }
        )
    return rows
