"""The memory that loading and running a file takes, each in a process of its own."""

import sys
from pathlib import Path
from typing import Any

from tflite.process import run_module, serve

RUNS = 3
"""How often the file is run: what LiteRT allocates comes with the first."""

MEASURED = (
    "by how much a fresh process grows at its peak to load and run the file; pages of the file "
    "and of LiteRT's own code count once they are touched"
)


def peak_memory(file: Path, threads: int = 1) -> int | None:
    """Returns by how many bytes a process grows at its peak when it loads and runs a file.

    On Linux this is the peak since just before the file is opened. Elsewhere only the
    peak of the whole life of a process is known, so what importing LiteRT took and gave
    back can hide a part.

    Args:
        file: The .tflite file.
        threads: Threads of the interpreter.

    Returns:
        The bytes, or `None` where the operating system does not tell.

    Raises:
        ValueError: if the file cannot be run.
    """
    grown: int | None = run_module(
        "tflite.benchmark.memory", {"file": str(file), "threads": threads}
    )
    return grown


def measure(task: dict[str, Any]) -> int | None:
    """Loads and runs the file of a task in this process, and returns the growth."""
    import ai_edge_litert.interpreter  # noqa: F401  (its memory is there before the file's)

    from tflite.benchmark.runner import Runner

    before = start_resident()
    runner = Runner(Path(task["file"]), task["threads"])
    for _ in range(RUNS):
        runner()
    after = peak_resident()
    return None if before is None or after is None else after - before


def start_resident() -> int | None:
    """Returns the resident bytes of this process, from which on its peak counts."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak_resident()
    return _status("VmRSS")


def peak_resident() -> int | None:
    """Returns the highest number of resident bytes of this process."""
    highest = _status("VmHWM")
    if highest is not None:
        return highest
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(field: str) -> int | None:
    """Returns what Linux says of this process, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    kibibytes = next(found, None)
    return None if kibibytes is None else 1024 * int(kibibytes)


if __name__ == "__main__":
    serve(measure)
