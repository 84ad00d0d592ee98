"""Trains a MetaFormer with `model.fit`: one call an epoch, so that it can go on at any step.

python -m training.train                                       # handwritten digits, a minute
python -m training.train --data FOLDER                         # your own photographs
python -m training.train --recipe finetune --data FOLDER --weights imagenet
python -m training.train --recipe poolformer_s12_imagenet --data imagenet2012
python -m training.train --list-recipes

A run that was interrupted goes on when the same command is given again.
"""

import dataclasses
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras

from keras_poolformer.transform import default_crop_pct
from training import checkpoint
from training.averaging import averaged_weights
from training.checkpoint import Checkpoint, Progress
from training.command_line import Command, read_command
from training.datasets.check import check_dataset
from training.datasets.dataset import Dataset, load_dataset
from training.distribution import Workers, connect
from training.epochs import Epochs
from training.guard import Stopped
from training.models import freeze_stages
from training.optimizer import learning_rate_schedule, make_optimizer
from training.pipeline import TrainingPipeline, Worker
from training.pretrained import load_pretrained
from training.recipe import Recipe
from training.results import final_scores, save_results, summarize
from training.run_folder import RECIPE, SUMMARY, RunFolder
from training.settings import describe, show
from training.validation import Validation


def train(
    recipe: Recipe,
    dataset: Dataset,
    output: Path,
    *,
    recipe_name: str = "custom",
    weights: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
    workers: Workers | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Trains a model by a recipe, or goes on where an earlier run in `output` stopped.

    Writes `model.keras`, `best.keras`, `history.csv`, `curves.png`, `summary.json` and,
    for TensorBoard, `tensorboard/`.

    Args:
        recipe: What to build and how to train it.
        dataset: Images to learn from and to be measured on.
        output: The folder to write to; made if it does not exist.
        recipe_name: Name of the recipe, for the summary.
        weights: File or preset of weights to start from, or `None` for random ones.
        seed: Seed of the weights, the order of the images and all other chance.
        overwrite: Whether to start anew where `output` holds a run.
        workers: The processes and devices that share the work; by default this one's.
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        The content of `summary.json`.

    Raises:
        ValueError: if an argument is out of its range; the message names it.
        FloatingPointError: if the loss becomes infinite or no number.
        OSError: if the folder cannot be written to.
        Stopped: if the process got SIGTERM or SIGINT; the state is saved.
    """
    # === What to train on, and with what ===
    if not 0 <= seed < 2**31:
        raise ValueError(f"`seed` must be at least 0 and below 2**31. Received: {seed}")
    workers = workers or connect()
    verbose = verbose if workers.is_chief else 0
    classes = len(dataset.class_names)
    image_shape = (recipe.image_size, recipe.image_size, dataset.channels)
    recipe.augmentation.check_channels(dataset.channels)
    keras.utils.set_random_seed(seed)
    with workers.scope():
        model = recipe.build(image_shape, classes, dtype=recipe.precision, **recipe.model)
        if weights is not None:
            whole = load_pretrained(model, weights)
            if workers.is_chief:
                print(f"Start from {weights}" + ("" if whole else ", with a new classifier"))
        freeze_stages(model, recipe.freeze)
    if recipe.crop_pct is None:
        recipe = dataclasses.replace(recipe, crop_pct=default_crop_pct(model))
    settings = {
        "recipe": describe(recipe),
        "data": dataset.name,
        "images": dataset.counts(),
        "class_names": list(dataset.class_names),
        "weights": None if weights is None else str(weights),
        "seed": seed,
        "backend": keras.config.backend(),
    }

    with RunFolder(output, settings, overwrite) if workers.is_chief else nullcontext() as folder:
        workers.barrier("the folder is there")
        found = workers.gather(
            [(output / name).is_file() for name in (RECIPE, SUMMARY, checkpoint.FILE)]
        )
        if (found != found[0]).any():
            raise ValueError(
                "`output` must be one folder that all processes see. "
                f"Received: {str(output)!r}, which holds other files for some of them"
            )
        if (output / SUMMARY).is_file():
            if verbose:
                print(f"The run in {output} is complete. Pass --overwrite to start anew.")
            return json.loads((output / SUMMARY).read_text(encoding="utf-8"))
        if folder is not None:  # weights, two moments, average, sums; twice, and two models
            folder.require_space(4 * model.count_params() * 12)
        if not workers.is_chief:
            workers.barrier("the first process has checked the files")
        dataset, broken = check_dataset(dataset, output / "files.json", verbose=verbose)
        if workers.is_chief:
            workers.barrier("the first process has checked the files")
        worker = Worker(workers.rank, workers.count)
        pipeline = TrainingPipeline(
            dataset.train,
            classes,
            image_shape,
            recipe.batch_size,
            recipe.augmentation,
            seed,
            worker,
            multiple_of=recipe.steps_per_execution,
        )

        # === Optimizer ===
        schedule = learning_rate_schedule(recipe, pipeline.steps)
        network = workers.trainable(model)
        with workers.scope():
            network.compile(
                optimizer=make_optimizer(recipe, model, schedule),
                loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
                weighted_metrics=[
                    keras.metrics.CategoricalAccuracy(name="accuracy"),
                    *([keras.metrics.TopKCategoricalAccuracy(5, name="top5")] * (classes > 5)),
                ],
                jit_compile=recipe.jit_compile,
                steps_per_execution=recipe.steps_per_execution,
            )
            if not network.optimizer.built:
                network.optimizer.build(network.trainable_variables)

        # === Where an earlier process stopped ===
        progress, earlier = Progress(), None
        if (output / checkpoint.FILE).is_file():
            earlier = Checkpoint(output / checkpoint.FILE)
            earlier.restore(network)
            workers.check_equal(model)
            progress = earlier.progress
            if verbose:
                print(f"Go on after epoch {progress.epoch}, step {progress.step}")

        # === Epoch by epoch ===
        epochs = Epochs(
            model=model,
            network=network,
            recipe=recipe,
            pipeline=pipeline,
            validation=Validation(dataset.validation, recipe, classes, image_shape, workers),
            schedule=schedule,
            workers=workers,
            output=output,
            seed=seed,
            verbose=verbose,
            progress=progress,
        )
        epochs.run(earlier)

        # === The results ===
        with averaged_weights(network):
            scores = final_scores(network, dataset, recipe, image_shape, workers, progress)
            used = {**settings, "images": dataset.counts(), "broken_images": len(broken)}
            summary = summarize(model, scores, progress, used, recipe_name, workers)
            if folder is not None:
                with workers.alone():
                    save_results(model, progress, summary, output)
                folder.checkpoint.unlink(missing_ok=True)  # the run is complete
        workers.barrier("the results are there")
    return summary


def run(command: Command) -> int:
    """Does what the command line says and reports it."""
    recipe = command.recipe
    workers = connect(command.devices)
    dataset = load_dataset(command.data, data_dir=command.data_dir, download=command.download)
    if command.limit is not None:
        dataset = dataset.limit(command.limit)
    if command.show_augmentations is not None:
        from training.augmentation.sheet import save_sheet
        from training.datasets.sample import sample_photographs

        photographs = sample_photographs(dataset.train, 8, command.seed, dataset.channels)
        save_sheet(
            command.show_augmentations,
            photographs,
            recipe.augmentation,
            recipe.image_size,
            command.seed,
        )
        print(f"Augmentations  {command.show_augmentations}")
        return 0
    if workers.is_chief:
        print(
            f"Recipe {command.recipe_name} on {dataset.name}: {len(dataset.train)} images to learn "
            f"from, {len(dataset.test)} held out, {len(dataset.class_names)} classes. "
            f"Keras {keras.__version__} on {keras.config.backend()}, {workers.replicas} "
            f"device{'s' * (workers.replicas > 1)}, learning rate {recipe.peak_learning_rate:g} at "
            f"its peak.\n{show(recipe)}",
            flush=True,
        )
    summary = train(
        recipe,
        dataset,
        command.output,
        recipe_name=command.recipe_name,
        weights=command.weights,
        seed=command.seed,
        overwrite=command.overwrite,
        workers=workers,
    )
    workers.close()
    if not workers.is_chief:
        return 0
    accuracy, top5 = summary["test_accuracy"], summary.get("test_top5")
    print(
        f"\nTest accuracy    {accuracy:.2%} of {len(dataset.test)} held-out images"
        + (f", {top5:.2%} among the first five" if top5 is not None else "")
        + f"\nBest epoch       {summary['best_epoch']} of {summary['epochs']}, "
        f"{summary['best_validation_accuracy']:.2%} on the validation images\n"
        f"Training time    {summary['training_seconds']:.0f} s, "
        f"{summary['images_per_second']:.0f} images/s\n"
        f"Model            {command.output / 'model.keras'} "
        f"({summary['parameters']:,} parameters)\n"
        f"Curves           {command.output / 'curves.png'}\n"
        f"Summary          {command.output / SUMMARY}"
    )
    if accuracy < command.require_accuracy:
        print(
            f"error: the test accuracy is {accuracy:.2%}, below the required "
            f"{command.require_accuracy:.2%}",
            file=sys.stderr,
        )
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 when all is well, 1 when a result is not, 2 on bad input, 128 and the number
        of the signal when one stopped the training.
    """
    try:
        return run(read_command(arguments))
    except Stopped as stopped:
        print(
            f"\nStopped by {stopped}; the state is saved. The same command goes on.",
            file=sys.stderr,
        )
        return 128 + stopped.signal
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
