"""Modules of this package in processes of their own, where nothing else is loaded.

A module that is run so ends with `serve(function)`; whoever wants the function's value
calls `run_module`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def run_module(module: str, task: Any, environment: Mapping[str, str] | None = None) -> Any:
    """Returns what the function that a module serves makes of a task.

    Args:
        module: Name of the module, such as `"tflite.benchmark.memory"`.
        task: What the function is called with; anything that JSON can hold.
        environment: Variables that the process has beside those of this one.

    Raises:
        ValueError: if the function raised an error that says what is wrong.
        ChildProcessError: if the process ended otherwise.
    """
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    with tempfile.TemporaryDirectory() as folder:
        job, result = Path(folder) / "job.json", Path(folder) / "result.json"
        job.write_text(json.dumps(task), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", module, str(job), str(result)],
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if not result.is_file():
            raise ChildProcessError(
                f"The process {module} ended with {done.returncode} and no result: "
                f"{done.stderr[-800:]}"
            )
        answer = json.loads(result.read_text(encoding="utf-8"))
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["value"]


def serve(function: Callable[[Any], Any]) -> None:
    """Does the task that `run_module` wrote down, and writes the value or the error."""
    job, result = (Path(argument) for argument in sys.argv[1:])
    try:
        answer = {"value": function(json.loads(job.read_text(encoding="utf-8")))}
    except (ValueError, OSError, ImportError) as error:
        answer = {"error": str(error)}
    result.write_text(json.dumps(answer), encoding="utf-8")
