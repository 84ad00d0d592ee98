"""How far measurements are from a straight line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """`constant + slope * amount`, fitted to values.

    Attributes:
        constant: What is there however small the amount.
        slope: What each unit adds.
        deviation: The largest relative distance of a value from the line.
    """

    constant: float
    slope: float
    deviation: float


def fit(amounts: Sequence[float], values: Sequence[float]) -> Line:
    """Fits a line with the least sum of squared relative distances; neither part is negative.

    Relative, since the largest value would decide alone otherwise.

    Raises:
        ValueError: if there are fewer than three values, which say nothing of a line.
    """
    if len(amounts) < 3 or len(amounts) != len(values):
        raise ValueError(
            "`values` must be at least three, one for each of `amounts`. "
            f"Received: {len(values)} for {len(amounts)}"
        )
    x, y = np.asarray(amounts, "float64"), np.asarray(values, "float64")
    candidates = []
    for columns in ([True, True], [False, True], [True, False]):
        matrix = (np.stack([np.ones_like(x), x], 1) * columns) / y[:, None]
        parts = np.linalg.lstsq(matrix, np.ones_like(y), rcond=None)[0] * columns
        if parts.min() >= 0:
            distance = np.abs(1 - matrix @ parts)
            candidates.append((float(distance @ distance), parts, float(distance.max())))
    _, (constant, slope), deviation = min(candidates, key=lambda candidate: candidate[0])
    return Line(float(constant), float(slope), deviation)
