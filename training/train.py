"""Trains a PoolFormer and writes the model, its curves and a summary.

python -m training.train                       # handwritten digits, about a minute
python -m training.train --data FOLDER         # your own photographs
"""

import argparse
import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import keras

import keras_poolformer
from keras_poolformer.files import replacing
from training.curves import save_curves
from training.datasets.dataset import Dataset, load_dataset
from training.optimizer import adamw, warmup_cosine
from training.pipeline import evaluation_batches, training_batches
from training.pretrained import load_pretrained
from training.recipe import Recipe, find_recipe, recipe_names


def train(
    recipe: Recipe,
    dataset: Dataset,
    output: Path,
    *,
    recipe_name: str = "custom",
    weights: str | Path | None = None,
    seed: int = 0,
    verbose: int | str = "auto",
) -> dict[str, Any]:
    """Trains a model by a recipe and writes `model.keras`, `curves.png` and `summary.json`.

    Args:
        recipe: What to build and how to train it.
        dataset: Images to learn from and to be measured on.
        output: The folder to write to; made if it does not exist.
        recipe_name: Name of the recipe, for the summary.
        weights: File or preset of weights to start from, or `None` for random ones.
        seed: Seed of the weights, the order of the images and all other chance.
        verbose: Of Keras's `fit`.

    Returns:
        The content of `summary.json`.

    Raises:
        ValueError: if an argument is out of its range; the message names it.
        FloatingPointError: if the loss becomes infinite or no number.
    """
    # === What to train on ===
    if not 0 <= seed < 2**31:
        raise ValueError(f"`seed` must be at least 0 and below 2**31. Received: {seed}")
    keras.utils.set_random_seed(seed)
    classes = len(dataset.class_names)
    image_shape = (recipe.image_size, recipe.image_size, dataset.channels)
    batches = training_batches(
        dataset.train, classes, image_shape, recipe.batch_size, recipe.augmentation, seed
    )
    validation = evaluation_batches(dataset.validation, classes, image_shape, recipe.batch_size)
    test = evaluation_batches(dataset.test, classes, image_shape, recipe.batch_size)

    # === Model and optimizer ===
    model = recipe.build(image_shape, classes)
    if weights is not None:
        whole = load_pretrained(model, weights)
        print(f"Start from {weights}" + ("" if whole else ", with a new classifier"))
    steps = recipe.epochs * len(batches)
    schedule = warmup_cosine(recipe.learning_rate, steps, int(steps * recipe.warmup))
    model.compile(
        optimizer=adamw(model, schedule, recipe.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )

    # === Training and the one look at the test images ===
    output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    history = model.fit(
        batches,
        epochs=recipe.epochs,
        validation_data=validation,
        callbacks=[keras.callbacks.TerminateOnNaN()],
        shuffle=False,  # done by the batches; Keras would warn that it cannot
        verbose=verbose,
    ).history
    seconds = time.perf_counter() - start
    if not math.isfinite(history["loss"][-1]):
        raise FloatingPointError(
            f"The loss became {history['loss'][-1]} in epoch {len(history['loss'])}: try a lower "
            f"learning rate than {recipe.learning_rate:g}"
        )
    test_accuracy = model.evaluate(test, verbose=0, return_dict=True)["accuracy"]

    # === Results ===
    summary = {
        "recipe": recipe_name,
        "settings": {
            field.name: getattr(recipe, field.name)
            for field in dataclasses.fields(recipe)
            if isinstance(getattr(recipe, field.name), (int, float))
        },
        "data": dataset.name,
        "images": {part: len(getattr(dataset, part)) for part in ("train", "validation", "test")},
        "class_names": list(dataset.class_names),
        "input": {"shape": list(image_shape), "pixels": "0 to 255"},
        "parameters": model.count_params(),
        "weights": None if weights is None else str(weights),
        "seed": seed,
        "training_seconds": round(seconds, 1),
        "validation_accuracy": history["val_accuracy"][-1],
        "test_accuracy": test_accuracy,
        "backend": keras.config.backend(),
        "versions": versions(),
    }
    with replacing(output / "model.keras") as path:
        model.save(path, include_optimizer=False)
    title = f"{model.name}, {recipe.epochs} epochs on {Path(dataset.name).name}"
    report = f"Accuracy on {len(dataset.test)} held-out test images: {test_accuracy:.2%}"
    save_curves(history, output / "curves.png", title, report)
    with replacing(output / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def versions() -> dict[str, str]:
    """Returns the versions of what a result depends on."""
    import importlib.metadata

    names = ("keras", keras.config.backend(), "numpy", "tensorflow")
    return {
        "keras_poolformer": keras_poolformer.__version__,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        **{name: importlib.metadata.version(name) for name in names},
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train a PoolFormer. What is not given comes from the recipe.",
    )
    parser.add_argument(
        "--recipe", help=f"{', '.join(recipe_names())}; by default images, digits without --data"
    )
    parser.add_argument(
        "--data",
        help="a folder with one folder of images for each class, or with such folders train/ and "
        "val/; or digits",
    )
    parser.add_argument("--output", type=Path, help="folder for the results (runs/RECIPE)")
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument("--batch-size", type=int, help="images of one step")
    parser.add_argument("--learning-rate", type=float, help="the highest learning rate")
    parser.add_argument("--image-size", type=int, help="height and width in pixels")
    parser.add_argument(
        "--weights", help="what to start from: imagenet, a preset, a PyTorch checkpoint, .keras"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all chance (0)")
    parser.add_argument("--limit", type=int, help="use this many training images, for a quick look")
    parser.add_argument(
        "--require-accuracy",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="exit with 1 if the test accuracy is below, such as 0.97",
    )
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Does what the command line says and reports it."""
    recipe_name = options.recipe or ("images" if options.data else "digits")
    recipe = find_recipe(recipe_name)
    if not 0 <= options.require_accuracy <= 1:
        raise ValueError(
            "`require_accuracy` must be a share in [0, 1], such as 0.97. "
            f"Received: {options.require_accuracy}"
        )
    given = {
        name: getattr(options, name)
        for name in ("epochs", "batch_size", "learning_rate", "image_size")
        if getattr(options, name) is not None
    }
    recipe = dataclasses.replace(recipe, **given)
    data = options.data or recipe.data
    if data is None:
        raise ValueError(
            f"`data` must be a folder of images for the recipe {recipe_name!r}. Received: nothing"
        )
    dataset = load_dataset(data)
    if options.limit is not None:
        dataset = dataset.limit(options.limit)
    output = options.output or Path("runs") / recipe_name
    print(
        f"Recipe {recipe_name} on {dataset.name}: {len(dataset.train)} images to learn from, "
        f"{len(dataset.test)} held out, {len(dataset.class_names)} classes. "
        f"Keras {keras.__version__} on {keras.config.backend()}.",
        flush=True,
    )
    summary = train(
        recipe,
        dataset,
        output,
        recipe_name=recipe_name,
        weights=options.weights,
        seed=options.seed,
    )
    accuracy = summary["test_accuracy"]
    print(
        f"\nTest accuracy    {accuracy:.2%} of {len(dataset.test)} held-out images\n"
        f"Training time    {summary['training_seconds']:.0f} s\n"
        f"Model            {output / 'model.keras'} ({summary['parameters']:,} parameters)\n"
        f"Curves           {output / 'curves.png'}\n"
        f"Summary          {output / 'summary.json'}"
    )
    if accuracy < options.require_accuracy:
        print(
            f"error: the test accuracy is {accuracy:.2%}, below the required "
            f"{options.require_accuracy:.2%}",
            file=sys.stderr,
        )
        return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: 0 when all is well, 1 when a result is not, 2 on bad input."""
    options = parse(arguments)
    try:
        return run(options)
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
