"""How long files take, run in turns so that what disturbs one disturbs all."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite.benchmark.runner import Runner
from tflite.process import serve


@dataclass(frozen=True)
class Spread:
    """Times of one file, in milliseconds.

    Attributes:
        median: Half of them are shorter.
        lower: A quarter of them is shorter.
        upper: A quarter of them is longer.
        fastest: The shortest.
        count: How many there are.
    """

    median: float
    lower: float
    upper: float
    fastest: float
    count: int


def spread(seconds: Sequence[float]) -> Spread:
    """Returns the median and the quartiles of times in seconds."""
    lower, median, upper = 1000 * np.percentile(seconds, (25, 50, 75))
    return Spread(float(median), float(lower), float(upper), 1000 * min(seconds), len(seconds))


def interleave(
    runs: Sequence[Callable[[], Any]],
    rounds: int,
    repeats: int,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Times functions in turns.

    In each round every function has its turn, in an order drawn anew. A turn is one call
    that is not timed, which brings the function's data back into the caches, and then
    `repeats` calls that are.

    Args:
        runs: What is timed.
        rounds: How many turns each has.
        repeats: Timed calls of a turn.
        seed: Of the orders.
        clock: Returns the time in seconds.

    Returns:
        The `rounds * repeats` times of each function, in seconds.
    """
    draw = np.random.default_rng(seed)
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for index in draw.permutation(len(runs)):
            runs[index]()
            for _ in range(repeats):
                start = clock()
                runs[index]()
                times[index].append(clock() - start)
    return times


def time_files(task: dict[str, Any]) -> list[list[list[float]]]:
    """Returns the times of each file for each number of threads, in seconds.

    Numbers of threads come one after the other, since the threads of a pool go on
    spinning for a while after their work, on cores that others would need.
    """
    measured = []
    for threads in task["threads"]:
        runners = [Runner(Path(file), threads) for file in task["files"]]
        for runner in runners:
            for _ in range(task["warmup"]):
                runner()
        measured.append(interleave(runners, task["rounds"], task["repeats"], task["seed"]))
    return measured


if __name__ == "__main__":
    serve(time_files)
