"""Times PoolFormer here and elsewhere, in turns, and writes a table, a JSON file and a picture.

python -m benchmarks.speed --output runs/speed
python -m benchmarks.speed --task inference --batch 16 --only "PyTorch" "timm"
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.command_line import add_threads, make_parser, require_at_least_one, write
from benchmarks.speed import ceiling, picture, report
from benchmarks.speed.contenders import CONTENDERS, REFERENCE, Contender
from benchmarks.speed.job import PRECISIONS, TASKS, Job
from benchmarks.speed.turns import run
from keras_poolformer.variants import VARIANTS
from tflite.benchmark.machine import machine, versions

PACKAGES = (
    "keras", "tensorflow", "jax", "torch", "timm", "transformers", "onnxruntime", "openvino",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        jobs, contenders = _jobs(options), _contenders(options.only)
        outcome: dict[str, Any] = {
            "machine": machine(), "versions": versions(*PACKAGES), "jobs": [],
        }  # fmt: skip
        for job in jobs:
            print(f"{job.name} ...", file=sys.stderr, flush=True)
            parts = _in_groups(contenders, options.together)
            results = [
                run([(contender, job) for contender in part], options.rounds, options.steps)
                for part in parts
            ]
            rates = ceiling.measure(job)
            rows = _rows(job, results, rates)
            print(report.table(job, rows), end="\n\n", flush=True)
            outcome["jobs"].append({"job": vars(job), "rates": rates, "rows": rows})
        if options.output is not None:
            done = [part["rows"] for part in outcome["jobs"]]
            _write(outcome, list(zip(jobs, done, strict=True)), options.output)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("benchmarks.speed", __doc__)
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument(
        "--batch",
        nargs="+",
        type=int,
        help="images of a step; by default 1 and 16 for inference, 16 for training, and 128 "
        "instead of 16 with a GPU",
    )
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--variant", choices=list(VARIANTS), default="S12")
    parser.add_argument("--size", type=int, default=224, help="height and width, in pixels")
    add_threads(parser)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of a turn")
    parser.add_argument(
        "--together",
        type=int,
        default=5,
        help="processes in memory at a time; timm is in each such group",
    )
    parser.add_argument("--only", nargs="+", help="parts of the names of those to run beside timm")
    parser.add_argument("--output", type=Path, help="folder for speed.json, speed.md, speed.png")
    return parser


def _jobs(options: argparse.Namespace) -> list[Job]:
    require_at_least_one(options, ("size", "threads", "rounds", "steps"))
    if options.together < 2:
        raise ValueError(
            "`--together` must be at least 2, timm and one to compare with it. "
            f"Received: {options.together}"
        )
    jobs = []
    many = 128 if ceiling.has_gpu() else 16
    for task in options.task:
        for batch in options.batch or ((1, many) if task == "inference" else (many,)):
            if batch < 1:
                raise ValueError(f"`--batch` must be at least 1. Received: {batch}")
            jobs += [
                Job(task, batch, precision, options.variant, options.size, options.threads)
                for precision in options.precision
            ]
    return jobs


def _contenders(only: Sequence[str] | None) -> list[Contender]:
    """Returns those that take part besides the reference."""
    others = [contender for contender in CONTENDERS if contender is not REFERENCE]
    if only is None:
        return others
    chosen = [c for c in others if any(part.lower() in c.name.lower() for part in only)]
    if not chosen:
        raise ValueError(
            "`--only` must be parts of the names "
            f"{', '.join(repr(c.name) for c in others)}. Received: {list(only)}"
        )
    return chosen


def _in_groups(contenders: Sequence[Contender], together: int) -> list[list[Contender]]:
    size = together - 1
    return [
        [REFERENCE, *contenders[start : start + size]] for start in range(0, len(contenders), size)
    ]


def _rows(
    job: Job, results: Sequence[Sequence[Any]], rates: dict[str, float] | None
) -> list[dict[str, Any]]:
    """The rows of all groups; the reference's is that of the first group."""
    rows: list[dict[str, Any]] = []
    for group in results:
        found = report.summary(job, group, rates)["rows"]
        rows += found if not rows else found[1:]
    return rows


def _write(
    outcome: dict[str, Any], jobs: Sequence[tuple[Job, list[dict[str, Any]]]], folder: Path
) -> None:
    write(folder, "speed", outcome, "\n\n".join(report.table(job, rows) for job, rows in jobs))
    picture.draw(jobs, folder / "speed.png")
    print(f"Written: {folder}/speed.png", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
