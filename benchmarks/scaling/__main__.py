"""Measures how time and memory grow with resolution, batch and depth.

python -m benchmarks.scaling --output runs/scaling
python -m benchmarks.scaling --sweep resolution --task inference --backend jax
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scaling import picture
from benchmarks.scaling.line import fit
from benchmarks.scaling.sweeps import SWEEPS, Sweep
from benchmarks.speed.contenders import CONTENDERS, Contender
from benchmarks.speed.job import TASKS, Job
from benchmarks.speed.turns import Result, run
from keras_poolformer.files import replacing
from tflite.benchmark.machine import machine, versions

OURS = {
    contender.backend: contender
    for contender in CONTENDERS
    if contender.backend and contender.name.startswith("keras_poolformer, ")
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    for name in ("threads", "rounds", "steps"):
        if getattr(options, name) < 1:
            print(
                f"error: `--{name}` must be at least 1. Received: {getattr(options, name)}",
                file=sys.stderr,
            )
            return 2
    outcomes = []
    for sweep in SWEEPS:
        for task in options.task if sweep.name in options.sweep else ():
            for backend in options.backend:
                print(f"{sweep.name}, {task}, {backend} ...", file=sys.stderr, flush=True)
                jobs = sweep.vary(Job(task, 1, threads=options.threads))
                entries = [(OURS[backend], job) for job in jobs]
                results = run(entries, options.rounds, options.steps)
                outcomes.append(outcome(sweep, OURS[backend], jobs, results))
    print(table(outcomes))
    if options.output is not None:
        _write(outcomes, options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    names = [sweep.name for sweep in SWEEPS]
    parser.add_argument("--sweep", nargs="+", choices=names, default=names)
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--backend", nargs="+", choices=list(OURS), default=list(OURS))
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        help="cores of each process",
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each size")
    parser.add_argument("--steps", type=int, default=2, help="timed steps of a turn")
    parser.add_argument("--output", type=Path, help="folder for scaling.json, .md and .png")
    return parser


def outcome(
    sweep: Sweep, contender: Contender, jobs: Sequence[Job], results: Sequence[Result]
) -> dict[str, Any]:
    """Returns what goes into the JSON file of one sweep, task and backend.

    `time_line` and `memory_line` are the fitted lines, in milliseconds and megabytes, or
    `None` where fewer than three sizes could be run.
    """
    points = [
        {
            "amount": sweep.amount(job),
            "job": vars(job),
            "milliseconds": 1000 * float(np.median(result.medians)) if result.seconds else None,
            "megabytes": None if result.memory is None else result.memory / 1e6,
            "problem": result.problem,
        }
        for job, result in zip(jobs, results, strict=True)
    ]
    return {
        "sweep": sweep.name,
        "unit": sweep.unit,
        "task": jobs[0].task,
        "backend": contender.name.removeprefix("keras_poolformer, "),
        "points": points,
        "time_line": _line(points, "milliseconds"),
        "memory_line": _line(points, "megabytes"),
    }


def _line(points: Sequence[dict[str, Any]], key: str) -> dict[str, float] | None:
    known = [(point["amount"], point[key]) for point in points if point[key]]
    return vars(fit(*zip(*known, strict=True))) if len(known) >= 3 else None


def table(outcomes: Sequence[dict[str, Any]]) -> str:
    """Returns Markdown: a row for each sweep, task and backend, smallest to largest."""
    lines = [
        "| | task | backend | ms | furthest from a line | memory, MB | furthest from a line |",
        "|---|---|---|---|---|---|---|",
    ]
    problems = []
    for one in outcomes:
        cells = [one["sweep"], one["task"], one["backend"]]
        for key, line in (("milliseconds", "time_line"), ("megabytes", "memory_line")):
            known = [point[key] for point in one["points"] if point[key] is not None]
            cells.append(f"{known[0]:.0f} to {known[-1]:.0f}" if known else "")
            cells.append(f"{one[line]['deviation']:.0%}" if one[line] else "")
        lines.append(f"| {' | '.join(cells)} |")
        problems += [
            f"Not run: {', '.join(cells[:3])}, {point['amount']} {one['unit']} "
            f"({point['problem']})."
            for point in one["points"]
            if point["problem"]
        ]
    return "\n".join([*lines, *([""] if problems else []), *problems])


def _write(outcomes: Sequence[dict[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine(),
        "versions": versions("keras", "tensorflow", "jax", "torch"),
        "outcomes": outcomes,
    }
    with replacing(folder / "scaling.json") as path:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with replacing(folder / "scaling.md") as path:
        path.write_text(table(outcomes) + "\n", encoding="utf-8")
    if any(point["milliseconds"] for one in outcomes for point in one["points"]):
        picture.draw(outcomes, folder / "scaling.png")
    print(f"Written: {folder}/scaling.json, scaling.md, scaling.png", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
