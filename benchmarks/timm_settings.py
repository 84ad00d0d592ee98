"""The command line of `benchmarks.timm_training`; its defaults are the recipe `images`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

EMBEDDINGS = ("authors", "timm")


@dataclass(frozen=True)
class Settings:
    """A training; each attribute is an option of the command line.

    Attributes:
        depths: Blocks of each stage.
        dims: Channels of each stage.
        embeddings: How the kernels of the patch embeddings start: "authors" as the authors
            and this project have them, uniform within 1 / sqrt(fan-in); "timm" as timm has
            all kernels, normal with a deviation of 0.02.
        layer_scale: Start of LayerScale.
        drop_path: Rate of stochastic depth of the last block.
        image_size: Height and width of the images, in pixels.
        crop_pct: Share of the resized short side that is kept for validation.
        epochs: Passes over the training images.
        batch_size: Images of a step, an even number.
        lr: The highest learning rate.
        warmup_lr: Where the learning rate starts.
        final_lr: Where it ends.
        warmup_epochs: Epochs in which it rises, step by step.
        weight_decay: Of weights of rank two and more.
        smoothing: Of the labels.
        crop_scale: Range of the area of the random crop.
        flip: Probability that an image is mirrored.
        rand_augment: timm's name of the operations; "" for none.
        erasing: Probability that a box is erased.
        mixup: Parameter of its distribution Beta; 0 for none.
        cutmix: Parameter of its distribution Beta; 0 for none.
        seed: Of all chance.
        workers: Processes that read the images; 0 for none but this one.
        threads: Of PyTorch on the CPU; 0 for its own choice.
    """

    depths: tuple[int, ...] = (1, 1, 3, 1)
    dims: tuple[int, ...] = (32, 64, 128, 256)
    embeddings: str = "authors"
    layer_scale: float = 0.1
    drop_path: float = 0.05
    image_size: int = 64
    crop_pct: float = 1.0
    epochs: int = 20
    batch_size: int = 64
    lr: float = 2e-3
    warmup_lr: float = 1e-6
    final_lr: float = 2e-5
    warmup_epochs: int = 3
    weight_decay: float = 0.05
    smoothing: float = 0.1
    crop_scale: tuple[float, float] = (0.35, 1.0)
    flip: float = 0.5
    rand_augment: str = "rand-m9-mstd0.5-inc1"
    erasing: float = 0.25
    mixup: float = 0.2
    cutmix: float = 1.0
    seed: int = 0
    workers: int = 2
    threads: int = 0


def parse(arguments: Sequence[str] | None = None) -> tuple[Settings, Path, Path | None]:
    """Reads the command line: the settings, the folder of images, and that of the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.timm_training",
        description="Trains timm's PoolFormer on a folder of photographs, with timm's own tools.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--output", type=Path, help="folder for history.json and summary.json")
    for field in fields(Settings):
        option: dict[str, Any] = {"type": type(field.default), "help": _meaning(field.name)}
        if isinstance(field.default, tuple):
            count: int | str = 2 if field.name == "crop_scale" else "+"
            option |= {"type": type(field.default[0]), "nargs": count}
        parser.add_argument(f"--{field.name.replace('_', '-')}", default=field.default, **option)
    values = vars(parser.parse_args(arguments))
    data, output = values.pop("data"), values.pop("output")
    if len(values["depths"]) != len(values["dims"]):
        parser.error(
            f"--depths and --dims must be equally many. Received: {values['depths']} and "
            f"{values['dims']}"
        )
    if values["batch_size"] % 2:
        parser.error(f"--batch-size must be even. Received: {values['batch_size']}")
    if values["embeddings"] not in EMBEDDINGS:
        parser.error(
            f"--embeddings must be one of {EMBEDDINGS}. Received: {values['embeddings']!r}"
        )
    for part in ("train", "val"):
        if not (data / part).is_dir():
            parser.error(f"--data must be a folder with {part}/. Received: {data}")
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Settings(**{**values, **lists}), data, output


def _meaning(name: str) -> str:
    """What `Settings` says of an attribute, on one line."""
    text = (Settings.__doc__ or "").partition(f" {name}: ")[2].partition(".\n")[0]
    return " ".join(text.split())
