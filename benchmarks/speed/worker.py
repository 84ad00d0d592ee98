"""One contender in a process of its own: it does steps when it is told to.

Reads a line for each turn, the number of steps, and writes a line with their times in
seconds. The first line it writes says how long it took to be ready.
"""

import ctypes
import gc
import importlib
import json
import os
import sys
import time


def main() -> None:
    """Serves the job of the command line until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    contender, job = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job["threads"]])

    from benchmarks.speed.device_memory import on_gpu
    from benchmarks.speed.job import Job
    from tflite.benchmark.memory import peak_resident, start_resident

    try:
        module = importlib.import_module(contender["module"])
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(job["threads"])
        if "keras" in sys.modules:
            # Imports TensorFlow, if it is installed, whatever the backend: that is no step's.
            sys.modules["keras"].utils.set_random_seed(0)
        before = start_resident()
        start = time.perf_counter()
        step = getattr(module, contender["function"])(Job(**job), **contender["options"])
        built = time.perf_counter()
        step()
        ready = time.perf_counter()
    except Exception as error:
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"[:600]}) + "\n")
        return
    _give_back()
    start_resident()  # what compilers took on the way is not a step's
    answers.write(json.dumps({"build": built - start, "first": ready - built}) + "\n")
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        after, grown = peak_resident(), on_gpu()
        if grown is None and before is not None and after is not None:
            grown = after - before
        answers.write(json.dumps({"seconds": seconds, "memory": grown}) + "\n")


def _give_back() -> None:
    """Gives memory that nobody uses any more back to the system, where the C library can."""
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


if __name__ == "__main__":
    main()
