"""Draws several runs on one picture, and prints how they ended.

python -m training.compare runs/tensorflow runs/jax runs/torch -o comparison.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training.curves import History, save_comparison
from training.history import best_epoch, load_history


def names_of(runs: Sequence[Path]) -> list[str]:
    """Returns the shortest ends of the paths that tell the runs apart."""
    paths = [run.resolve().parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    raise ValueError(
        f"`run` must name each folder once. Received: {', '.join(str(run) for run in runs)}"
    )


def table(histories: dict[str, History]) -> str:
    """Returns a row for each run: epochs, last and best accuracy, and its time."""
    width = max(len("run"), *(len(name) for name in histories))
    lines = [f"{'run':{width}}  epochs  val loss  top-1 last  top-1 best (epoch)  images/s"]
    for name, history in histories.items():
        best = best_epoch([dict(epoch) for epoch in history])
        speed = sorted(epoch.get("images_per_second", float("nan")) for epoch in history)
        lines.append(
            f"{name:{width}}  {len(history):6}  {history[-1]['val_loss']:8.4f}  "
            f"{history[-1]['val_accuracy']:10.2%}  {history[best - 1]['val_accuracy']:10.2%} "
            f"({best:5})  {speed[len(speed) // 2]:8.1f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command: 0 when all is well, 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m training.compare", description="Draw several runs on one picture."
    )
    parser.add_argument("run", nargs="+", type=Path, help="folder of a training")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("comparison.png"), help="picture (comparison.png)"
    )
    parser.add_argument("--names", nargs="+", help="what to call the runs, in their order")
    parser.add_argument("--title", default="Trainings compared", help="title of the picture")
    options = parser.parse_args(arguments)
    try:
        names = options.names or names_of(options.run)
        if len(names) != len(options.run) or len(set(names)) != len(names):
            raise ValueError(
                f"`names` must be {len(options.run)} different names, one a run. "
                f"Received: {', '.join(names)}"
            )
        histories: dict[str, History] = {
            name: load_history(run) for name, run in zip(names, options.run, strict=True)
        }
        print(table(histories))
        save_comparison(histories, options.output, options.title)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\nPicture  {options.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
