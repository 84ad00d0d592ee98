"""The command line of `training.train`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.recipe import PRECISIONS, Recipe, find_recipe, recipe_titles
from training.settings import change


@dataclass(frozen=True)
class Command:
    """What the command line asks for.

    Attributes:
        recipe: How to train, with the changes of the command line.
        recipe_name: Its name.
        data: Name of a data set, or path of a folder.
        output: Folder of the run.
        weights: What to start from, or `None`.
        seed: Seed of all chance.
        limit: Largest number of training images, or `None`.
        devices: Devices of this process, or `None` for all.
        data_dir: Where TensorFlow Datasets keeps its data, or `None`.
        download: Whether it may fetch data.
        overwrite: Whether to start anew where the folder holds a run.
        show_augmentations: File of a picture to draw instead of training, or `None`.
        require_accuracy: Test accuracy below which the command fails.
    """

    recipe: Recipe
    recipe_name: str
    data: str
    output: Path
    weights: str | None
    seed: int
    limit: int | None
    devices: int | None
    data_dir: Path | None
    download: bool
    overwrite: bool
    show_augmentations: Path | None
    require_accuracy: float


# What people change often has a flag of its own; the rest is --set.
_FLAGS = {
    "epochs": (int, "passes over the training images"),
    "batch_size": (int, "images of one step, over all devices"),
    "learning_rate": (float, "the highest learning rate, for reference_batch images an update"),
    "image_size": (int, "height and width in pixels"),
}


class _ListRecipes(argparse.Action):
    """Prints the recipes and ends, as `--help` does."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        for name, title in recipe_titles().items():
            print(f"{name:28} {title}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train a PoolFormer or another MetaFormer. What is not given comes from the "
        "recipe. The same command again goes on where a run was interrupted.",
    )
    parser.add_argument(
        "--recipe",
        help="digits, images, finetune, or for a MODEL of the papers MODEL_imagenet, such as "
        "caformer_s18_imagenet; by default images, digits without --data",
    )
    parser.add_argument(
        "--list-recipes", action=_ListRecipes, nargs=0, help="say what recipes there are, and end"
    )
    parser.add_argument(
        "--data",
        help="a folder with one folder of images for each class, or with such folders train/ and "
        "val/; a name in TensorFlow Datasets, such as imagenet2012; or digits",
    )
    parser.add_argument("--output", type=Path, help="folder for the results (runs/RECIPE)")
    for name, (kind, text) in _FLAGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    parser.add_argument("--precision", choices=PRECISIONS, help="arithmetic of the model")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change any other setting of the recipe, such as ema=0.9999, augmentation.mixup=0 or "
        "model.token_mixer=identity; again for each",
    )
    parser.add_argument(
        "--weights", help="what to start from: imagenet, a preset, a PyTorch checkpoint, .keras"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all chance (0)")
    parser.add_argument("--limit", type=int, help="use this many training images, for a quick look")
    parser.add_argument(
        "--devices", type=int, help="devices of this process (all GPUs, or one CPU)"
    )
    parser.add_argument(
        "--data-dir", type=Path, help="where TensorFlow Datasets keeps its data, if not its own"
    )
    parser.add_argument(
        "--download", action="store_true", help="let TensorFlow Datasets fetch what is not there"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="start anew where --output holds a run"
    )
    parser.add_argument(
        "--show-augmentations",
        type=Path,
        metavar="FILE.png",
        help="draw training images as the model will see them, and end",
    )
    parser.add_argument(
        "--require-accuracy",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="exit with 1 if the test accuracy is below, such as 0.97",
    )
    return parser


def read_command(arguments: Sequence[str] | None) -> Command:
    """Reads the command line.

    Raises:
        ValueError: if a value is out of its range, or a setting is unknown.
    """
    options = _parser().parse_args(arguments)
    name = options.recipe or ("images" if options.data else "digits")
    if not 0 <= options.require_accuracy <= 1:
        raise ValueError(
            "`require_accuracy` must be a share in [0, 1], such as 0.97. "
            f"Received: {options.require_accuracy}"
        )
    flags = [
        f"{flag}={getattr(options, flag)!r}"
        for flag in (*_FLAGS, "precision")
        if getattr(options, flag) is not None
    ]
    recipe = change(find_recipe(name), [*options.set, *flags])
    data = options.data or recipe.data
    if data is None:
        raise ValueError(
            f"`data` must be a folder of images for the recipe {name!r}. Received: nothing"
        )
    return Command(
        recipe=recipe,
        recipe_name=name,
        data=data,
        output=options.output or Path("runs") / name,
        **{
            field: getattr(options, field)
            for field in (
                "weights",
                "seed",
                "limit",
                "devices",
                "data_dir",
                "download",
                "overwrite",
                "show_augmentations",
                "require_accuracy",
            )
        },
    )
