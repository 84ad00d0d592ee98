"""Measures images a second of the input pipeline, stage by stage, beside what the model takes.

python -m benchmarks.input
python -m benchmarks.input --data photos --recipe finetune --output runs/input
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import make_parser, write
from benchmarks.speed.contenders import OURS
from benchmarks.speed.job import PRECISIONS, Job
from benchmarks.speed.turns import run
from tflite.benchmark.machine import machine, versions

SAMPLES = 128
"""Files of the photographs inside scikit-learn when no data are given."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        outcome = measure(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(outcome))
    if options.output is not None:
        write(options.output, "input", outcome, table(outcome))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("benchmarks.input", __doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of images, one folder a class; without it, copies of two JPEG photographs of "
        "640 x 427 pixels that come with scikit-learn",
    )
    parser.add_argument("--recipe", default="poolformer_s12_imagenet", help="whose augmentation")
    parser.add_argument("--image-size", type=int, default=224, help="height and width, in pixels")
    parser.add_argument("--batch-size", type=int, default=16, help="images of a step")
    parser.add_argument(
        "--backend", nargs="*", choices=list(OURS), default=list(OURS), help="whose rate is taken"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the model")
    parser.add_argument("--seconds", type=float, default=3.0, help="time of a turn of a stage")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--output", type=Path, help="folder for input.json and input.md")
    return parser


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what was measured: images a second of stages and of training steps.

    Raises:
        ValueError: if an option is out of its range, or the data are none.
    """
    for name in ("image_size", "batch_size", "seconds", "rounds"):
        if not getattr(options, name) > 0:
            raise ValueError(
                f"`--{name.replace('_', '-')}` must be positive. Received: {getattr(options, name)}"
            )
    from benchmarks.input.stages import pipelines
    from training.datasets.check import check_dataset
    from training.datasets.dataset import Split, load_dataset
    from training.recipe import find_recipe

    recipe = find_recipe(options.recipe)
    with _folder(options.data) as folder:
        dataset, _ = check_dataset(load_dataset(folder), verbose=0)
        classes, split = len(dataset.class_names), dataset.train
        assert isinstance(split, Split)  # a folder's images are files
        batch = min(options.batch_size, len(split))
        made = pipelines(split, recipe.augmentation, classes, options.image_size, batch)
        rates: dict[str, list[float]] = {stage: [] for stage in made}
        for _ in range(options.rounds):
            for stage, batches in made.items():
                rates[stage].append(images_a_second(batches, batch, options.seconds))
        count = len(split)
    stages, before = [], 0.0
    for stage, found in rates.items():
        milliseconds = 1000 / float(np.median(found))
        stages.append(
            {
                "stage": stage,
                "images_a_second": float(np.median(found)),
                "milliseconds_more": milliseconds - before,
                "rounds": found,
            }
        )
        before = milliseconds
    job = Job("training", options.batch_size, options.precision, size=options.image_size)
    results = run([(OURS[backend], job) for backend in options.backend], options.rounds, 1)
    models = [
        {
            "model": result.contender,
            "images_a_second": job.batch / float(np.median(result.medians))
            if result.seconds
            else None,
            "problem": result.problem,
        }
        for result in results
    ]
    return {
        "machine": machine(),
        "versions": versions("keras", "tensorflow", "jax", "torch"),
        "recipe": options.recipe,
        "images": count,
        "image_size": options.image_size,
        "batch_size": batch,
        "stages": stages,
        "models": models,
    }


def images_a_second(batches: Any, batch_size: int, seconds: float) -> float:
    """Returns the rate at which a new iterator gives images, from its second batch on.

    Args:
        batches: An endless iterable of batches.
        batch_size: Images of each.
        seconds: How long to take batches.
    """
    iterator = iter(batches)
    next(iterator)
    start, taken = time.perf_counter(), 0
    while time.perf_counter() - start < seconds or not taken:
        next(iterator)
        taken += batch_size
    return taken / (time.perf_counter() - start)


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """The folder of images: the user's, or one of copies of photographs inside scikit-learn."""
    if data is not None:
        if not data.is_dir():
            raise ValueError(f"`--data` must be a folder of images. Received: {str(data)!r}")
        yield data
        return
    import sklearn.datasets

    photographs = sorted(Path(sklearn.datasets.__file__).parent.glob("images/*.jpg"))
    with tempfile.TemporaryDirectory() as temporary:
        for photograph in photographs:
            folder = Path(temporary) / photograph.stem
            folder.mkdir()
            for index in range(SAMPLES // len(photographs)):
                shutil.copy(photograph, folder / f"{index:03}.jpg")
        yield Path(temporary)


def table(outcome: dict[str, Any]) -> str:
    """Returns two Markdown tables: the stages, and the models beside the whole pipeline."""
    lines = [
        "| with each stage | images/s | ms an image more |",
        "|---|---:|---:|",
        *(
            f"| {stage['stage']} | {stage['images_a_second']:.0f} "
            f"| {stage['milliseconds_more']:.2f} |"
            for stage in outcome["stages"]
        ),
    ]
    timed = [model for model in outcome["models"] if model["images_a_second"]]
    if timed:
        whole = outcome["stages"][-1]["images_a_second"]
        lines += [
            "",
            "| a model that trains | images/s | the pipeline gives |",
            "|---|---:|---:|",
            *(
                f"| {model['model']} | {model['images_a_second']:.1f} "
                f"| {whole / model['images_a_second']:.1f} times as many |"
                for model in timed
            ),
        ]
    absent = [model for model in outcome["models"] if model["problem"]]
    if absent:
        lines += ["", *(f"Not run: {model['model']} ({model['problem']})." for model in absent)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
