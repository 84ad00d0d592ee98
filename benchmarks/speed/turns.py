"""Contenders in turns: each in its own process, the others stopped meanwhile."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.contenders import Contender
from benchmarks.speed.job import Job

ROOT = Path(__file__).parents[2]
WARM_UP = 2


@dataclass
class Result:
    """What a contender did.

    Attributes:
        contender: Its name.
        build: Seconds to build the model.
        first: Seconds of its first step, with all compilation.
        seconds: Times of the steps, a list a round.
        memory: Bytes of a GPU in use at the peak; without one, bytes by which its process grew
            at its peak, from the libraries' imports on.
        problem: Why it took no part, or `None`.
    """

    contender: str
    build: float = 0.0
    first: float = 0.0
    seconds: list[list[float]] = field(default_factory=list)
    memory: int | None = None
    problem: str | None = None

    @property
    def medians(self) -> np.ndarray:
        """The median time of each round, in seconds."""
        return np.array([np.median(times) for times in self.seconds])


class Worker:
    """A contender's process, which stands still between its turns."""

    def __init__(self, contender: Contender, job: Job) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(job.threads),
            "MKL_NUM_THREADS": str(job.threads),
            "TF_NUM_INTRAOP_THREADS": str(job.threads),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        if contender.backend:
            environment["KERAS_BACKEND"] = contender.backend
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.speed.worker",
                json.dumps([contender.order(), asdict(job)]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ready(self) -> dict[str, Any]:
        """Waits until the first step is done."""
        return self._answer()

    def turn(self, steps: int) -> dict[str, Any]:
        """Does steps while all other workers stand still."""
        assert self._process.stdin is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        """Lets it stand still: idle threads of a runtime spin for a while otherwise."""
        self._process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate()
            return {"error": f"its process ended with {self._process.returncode}: {errors[-500:]}"}
        answer: dict[str, Any] = json.loads(line)
        return answer


def run(
    entries: Sequence[tuple[Contender, Job]], rounds: int, steps: int, seed: int = 0
) -> list[Result]:
    """Times contenders in turns, in an order that each round draws anew.

    Before its first turn a contender does three steps that are not timed, and one before
    every turn, which brings its data back into the caches.

    Args:
        entries: Who takes part with what, all at once: each keeps its memory meanwhile.
        rounds: Turns of each.
        steps: Timed steps of a turn.
        seed: Of the orders.
    """
    results = [Result(contender.name) for contender, _ in entries]
    workers: dict[int, Worker] = {}
    try:
        for index, (contender, job) in enumerate(entries):
            lacking = [p for p in contender.packages if importlib.util.find_spec(p) is None]
            if lacking or not contender.takes(job):
                results[index].problem = (
                    f"not installed: {', '.join(lacking)}" if lacking else f"no {job.name}"
                )
                continue
            workers[index] = worker = Worker(contender, job)
            answer = worker.ready()
            if "error" not in answer:
                results[index].build, results[index].first = answer["build"], answer["first"]
                answer = worker.turn(WARM_UP)
            if _drop_if_broken(answer, index, results, workers):
                worker.stop()
        draw = np.random.default_rng(seed)
        for _ in range(rounds):
            for index in draw.permutation(list(workers)):
                if index not in workers:
                    continue
                worker = workers[index]
                answer = worker.turn(1 + steps)
                if _drop_if_broken(answer, index, results, workers):
                    worker.stop()
                    results[index].seconds.append(answer["seconds"][1:])
                    results[index].memory = answer["memory"]
    finally:
        for worker in workers.values():
            worker.end()
    return results


def _drop_if_broken(
    answer: dict[str, Any], index: int, results: list[Result], workers: dict[int, Worker]
) -> bool:
    """Notes an error and ends that worker; returns whether there was none."""
    if "error" not in answer:
        return True
    results[index].problem = answer["error"]
    workers.pop(index).end()
    return False
