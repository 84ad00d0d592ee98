"""What a training leaves behind at its end: the model, a picture of the curves, a summary."""

import json
import statistics
from pathlib import Path
from typing import Any

import keras

from keras_poolformer.files import replacing
from training.checkpoint import Progress
from training.curves import save_curves
from training.datasets.dataset import Dataset
from training.distribution import Workers
from training.history import best_epoch
from training.recipe import Recipe
from training.run_folder import SUMMARY
from training.summary import machine, versions
from training.validation import Validation


def save_model(model: keras.Model, target: Path) -> None:
    """Writes the model alone. Keras would add the optimizer, which is twice as large."""
    # Where several devices share the work, a model around this one is compiled.
    optimizer, compiled = getattr(model, "optimizer", None), model.compiled
    if optimizer is not None:
        model.optimizer, model.compiled = None, False
    try:
        with replacing(target) as path:
            model.save(path)
    finally:
        if optimizer is not None:
            model.optimizer, model.compiled = optimizer, compiled


def final_scores(
    network: keras.Model,
    dataset: Dataset,
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    workers: Workers,
    progress: Progress,
) -> dict[str, float]:
    """Returns the metrics on the test images; they are looked at this once.

    Where they are the validation images, they are those of the last epoch.
    """
    if dataset.test is dataset.validation:
        last = progress.history[-1].items()
        return {key.removeprefix("val_"): value for key, value in last if key.startswith("val_")}
    test = Validation(dataset.test, recipe, len(dataset.class_names), image_shape, workers)
    return network.evaluate(test.batches, steps=test.steps, verbose=0, return_dict=True)


def summarize(
    model: keras.Model,
    scores: dict[str, float],
    progress: Progress,
    settings: dict[str, Any],
    recipe_name: str,
    workers: Workers,
) -> dict[str, Any]:
    """Returns the content of `summary.json`."""
    best = best_epoch(progress.history)
    return {
        "recipe": recipe_name,
        "settings": settings["recipe"],
        **{key: settings[key] for key in ("data", "images", "class_names", "broken_images")},
        "input": {"shape": list(model.input_shape[1:]), "pixels": "0 to 255"},
        "parameters": model.count_params(),
        **{key: settings[key] for key in ("weights", "seed")},
        "epochs": progress.epoch,
        "training_seconds": round(progress.seconds, 1),
        "images_per_second": statistics.median(
            epoch["images_per_second"] for epoch in progress.history
        ),
        "validation_accuracy": progress.history[-1]["val_accuracy"],
        "best_epoch": best,
        "best_validation_accuracy": progress.history[best - 1]["val_accuracy"],
        "test_accuracy": float(scores["accuracy"]),
        "test_top5": float(scores["top5"]) if "top5" in scores else None,
        "backend": keras.config.backend(),
        "workers": {"processes": workers.count, "devices": workers.replicas},
        "machine": machine(),
        "versions": versions(),
    }


def save_results(
    model: keras.Model, progress: Progress, summary: dict[str, Any], output: Path
) -> None:
    """Writes `model.keras`, `curves.png` and, last, `summary.json`, which ends the run."""
    save_model(model, output / "model.keras")
    save_curves(
        progress.history,
        output / "curves.png",
        f"{model.name}, {progress.epoch} epochs on {Path(summary['data']).name}",
        f"Top-1 accuracy on {summary['images']['test']} held-out test images: "
        f"{summary['test_accuracy']:.2%}",
    )
    with replacing(output / SUMMARY) as path:
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
