"""Measures how time and memory grow with resolution, batch and depth.

python -m benchmarks.scaling --output runs/scaling
python -m benchmarks.scaling --sweep resolution --task inference --backend jax
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import add_threads, make_parser, require_at_least_one, write
from benchmarks.scaling import picture
from benchmarks.scaling.line import fit
from benchmarks.scaling.sweeps import SWEEPS, Sweep
from benchmarks.speed.contenders import BACKENDS, OURS
from benchmarks.speed.job import TASKS, Job
from benchmarks.speed.turns import Result, run
from tflite.benchmark.machine import machine, versions


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        require_at_least_one(options, ("threads", "rounds", "steps"))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    outcomes = []
    for sweep in SWEEPS:
        for task in options.task if sweep.name in options.sweep else ():
            for backend in options.backend:
                print(f"{sweep.name}, {task}, {backend} ...", file=sys.stderr, flush=True)
                jobs = sweep.vary(Job(task, 1, threads=options.threads))
                entries = [(OURS[backend], job) for job in jobs]
                results = run(entries, options.rounds, options.steps)
                outcomes.append(outcome(sweep, backend, jobs, results))
    print(table(outcomes))
    if options.output is not None:
        _write(outcomes, options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("benchmarks.scaling", __doc__)
    names = [sweep.name for sweep in SWEEPS]
    parser.add_argument("--sweep", nargs="+", choices=names, default=names)
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--backend", nargs="+", choices=list(OURS), default=list(OURS))
    add_threads(parser)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each size")
    parser.add_argument("--steps", type=int, default=2, help="timed steps of a turn")
    parser.add_argument("--output", type=Path, help="folder for scaling.json, .md and .png")
    return parser


def outcome(
    sweep: Sweep, backend: str, jobs: Sequence[Job], results: Sequence[Result]
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
        "backend": BACKENDS[backend],
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
    content = {
        "machine": machine(),
        "versions": versions("keras", "tensorflow", "jax", "torch"),
        "outcomes": outcomes,
    }
    write(folder, "scaling", content, table(outcomes))
    if any(point["milliseconds"] for one in outcomes for point in one["points"]):
        picture.draw(outcomes, folder / "scaling.png")
        print(f"Written: {folder}/scaling.png", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
