"""Where the time of a file goes: its operations by their time, inside the delegate too."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from tflite.benchmark.litert_c import Run
from tflite.process import run_module, serve

MEASURED = (
    "by LiteRT's profiler, as the delegate names and runs them, in whole microseconds each; means "
    "of the faster half of the runs. The rest of a run: what rounding cuts off, what joins them"
)

WARM_UP = 3


@dataclass(frozen=True)
class Kind:
    """All operations of one kind in a file.

    Attributes:
        name: What the kernel or the delegate calls it.
        count: How many there are.
        milliseconds: Their time together.
        share: Its share of the whole run.
        is_delegated: Whether the delegate runs them.
    """

    name: str
    count: int
    milliseconds: float
    share: float
    is_delegated: bool


@dataclass(frozen=True)
class OperationTimes:
    """The time of a file by kinds of operations.

    Attributes:
        milliseconds: Time of a run under the profiler.
        kinds: The slowest first.
        between: Share of the run that is in none of them. All shares sum to one.
        not_delegated: Operations that the CPU's own kernels run.
    """

    milliseconds: float
    kinds: list[Kind]
    between: float
    not_delegated: int


def by_kind(runs: Sequence[Run]) -> OperationTimes:
    """Sums the times of operations by their kinds, and averages them over the faster half of runs.

    The slower half is left out as the one in which other programs had the processor.

    Args:
        runs: Runs of one file.

    Raises:
        ValueError: if the runs take less than a microsecond, have different operations, or these
            take longer than their run, which shows that the profiler was not understood.
    """
    kinds = [(operation.name, operation.is_delegated) for operation in runs[0].operations]
    for run in runs:
        if [(operation.name, operation.is_delegated) for operation in run.operations] != kinds:
            raise ValueError("The runs under the profiler differ in their operations")
        parts = sum(operation.microseconds for operation in run.operations)
        if parts > run.microseconds + len(kinds):  # each is rounded
            raise ValueError(
                f"The operations take {parts} us under the profiler, their run {run.microseconds}"
            )
    faster = sorted(runs, key=lambda run: run.microseconds)[: (len(runs) + 1) // 2]
    whole = mean(run.microseconds for run in faster)
    if whole == 0:
        raise ValueError("A run takes less than the microsecond that the profiler counts in")
    sums = dict.fromkeys(kinds, 0.0)
    for place, kind in enumerate(kinds):
        sums[kind] += mean(run.operations[place].microseconds for run in faster)
    counts = Counter(kinds)
    found = [
        Kind(kind[0], counts[kind], time / 1000, time / whole, kind[1])
        for kind, time in sums.items()
    ]
    return OperationTimes(
        milliseconds=whole / 1000,
        kinds=sorted(found, key=lambda kind: -kind.milliseconds),
        between=1 - sum(kind.share for kind in found),
        not_delegated=sum(kind.count for kind in found if not kind.is_delegated),
    )


def operation_times(file: Path, threads: int, runs: int) -> OperationTimes:
    """Measures the time of each kind of operation in a process of its own.

    Args:
        file: The .tflite file.
        threads: Threads of the delegate.
        runs: Runs under the profiler.

    Raises:
        ValueError: if LiteRT's profiler does not work with the file.
        ChildProcessError: if it ends the process.
    """
    task = {"file": str(file), "threads": threads, "runs": runs}
    found = run_module("tflite.benchmark.operation_times", task)
    return OperationTimes(**{**found, "kinds": [Kind(**kind) for kind in found["kinds"]]})


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Profiles the file of a task in this process."""
    from tflite.benchmark.litert_c import ProfiledModel
    from tflite.benchmark.runner import Runner

    path = Path(task["file"])
    image = Runner(path).image
    with ProfiledModel(path, task["threads"], image) as model:
        for _ in range(WARM_UP):
            model.run()
        return asdict(by_kind([model.profile() for _ in range(task["runs"])]))


if __name__ == "__main__":
    serve(measure)
