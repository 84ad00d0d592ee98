"""What a recipe is, and how one is found by its name."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras

from training.augmentation import Augmentation
from training.fields import check_field, is_integer, is_number

OPTIMIZERS = ("adamw", "lamb")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


class ModelBuilder(Protocol):
    """Builds the model of a recipe, which takes pixels in [0, 255] in `channels_last`."""

    def __call__(
        self, input_shape: tuple[int, int, int], classes: int, **arguments: Any
    ) -> keras.Model: ...


@dataclass(frozen=True)
class Recipe:
    """How a model is built and trained. The defaults are the paper's.

    Attributes:
        build: Returns the model for an image shape and a number of classes.
        model: Further arguments of `build`.
        image_size: Height and width of the images, in pixels.
        epochs: Passes over the training images, the cool-down not counted.
        batch_size: Images of one step, over all devices and machines.
        learning_rate: The highest learning rate, for `reference_batch` images an update.
        reference_batch: The learning rate is scaled in proportion to the images of
            an update over this number; `None` for no scaling.
        augmentation: What is done to training images.
        crop_pct: Share of the resized short side that is kept for validation; `None` for
            the share that the model's paper keeps.
        optimizer: `"adamw"` or `"lamb"`.
        schedule: `"cosine"`, or `"constant"` after the warm-up.
        warmup_epochs: The first epochs, in which the learning rate rises step by step.
        warmup_learning_rate: Where it starts.
        final_learning_rate: Where the cosine ends.
        cooldown_epochs: Further epochs at that rate.
        weight_decay: Decoupled, for weights of rank two and more.
        clip_norm: Largest global norm of the gradients, or `None`.
        accumulation: Steps whose mean gradient makes one update.
        label_smoothing: Probability that the target spreads over all classes.
        ema: Momentum of the average of the weights that is validated and saved, such
            as 0.9999; `None` for none.
        freeze: Number of first stages, with the stem, whose weights stay.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`; the last with
            loss scaling.
        jit_compile: Whether XLA or torch.compile compiles the step; `"auto"` as Keras
            chooses.
        steps_per_execution: Steps that the backend does in one call.
        checkpoint_minutes: Time between two checkpoints within an epoch; there is one
            after every epoch in any case.
        data: Name of the data set to use when the user names none, or `None`.

    Raises:
        ValueError: if a value is out of its range.

    Reference: table 6 of [MetaFormer](https://arxiv.org/abs/2111.11418).
    """

    build: ModelBuilder
    image_size: int
    epochs: int
    batch_size: int
    learning_rate: float
    model: Mapping[str, Any] = field(default_factory=dict)
    reference_batch: int | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)
    crop_pct: float | None = 1.0
    optimizer: str = "adamw"
    schedule: str = "cosine"
    warmup_epochs: float = 5
    warmup_learning_rate: float = 1e-6
    final_learning_rate: float = 1e-5
    cooldown_epochs: int = 0
    weight_decay: float = 0.05
    clip_norm: float | None = None
    accumulation: int = 1
    label_smoothing: float = 0.1
    ema: float | None = None
    freeze: int = 0
    precision: str = "float32"
    jit_compile: bool | str = "auto"
    steps_per_execution: int = 1
    checkpoint_minutes: float = 15
    data: str | None = None

    def __post_init__(self) -> None:
        for name in ("image_size", "epochs", "batch_size", "accumulation", "steps_per_execution"):
            check_field(self, name, "a positive integer", lambda v: is_integer(v) and v > 0)
        for name in ("cooldown_epochs", "freeze"):
            check_field(self, name, "an integer, 0 or more", lambda v: is_integer(v) and v >= 0)
        check_field(
            self,
            "reference_batch",
            "a positive integer, such as 1024, or None",
            lambda v: v is None or (is_integer(v) and v > 0),
        )
        for name in ("learning_rate", "warmup_learning_rate", "final_learning_rate"):
            check_field(
                self, name, "positive, such as 1e-3", lambda v: is_number(v) and 0 < v < 1e308
            )
        check_field(
            self,
            "clip_norm",
            "positive, such as 1.0, or None",
            lambda v: v is None or (is_number(v) and v > 0),
        )
        for name in ("warmup_epochs", "weight_decay", "checkpoint_minutes"):
            check_field(self, name, "a number, 0 or more", lambda v: is_number(v) and v >= 0)
        check_field(
            self,
            "label_smoothing",
            "at least 0 and below 1",
            lambda v: is_number(v) and 0 <= v < 1,
        )
        check_field(
            self,
            "ema",
            "above 0 and below 1, such as 0.9999, or None",
            lambda v: v is None or (is_number(v) and 0 < v < 1),
        )
        check_field(
            self,
            "crop_pct",
            "above 0 and at most 1, such as 0.9, or None",
            lambda v: v is None or (is_number(v) and 0 < v <= 1),
        )
        for name, values in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("jit_compile", (True, False, "auto")),
        ):
            check_field(self, name, f"one of {values}", values.__contains__)
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"`warmup_epochs` must be fewer than the {self.epochs} epochs of the training. "
                f"Received: {self.warmup_epochs}"
            )

    @property
    def update_batch(self) -> int:
        """Images whose gradients make one update of the weights."""
        return self.batch_size * self.accumulation

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate, scaled to the images of an update."""
        if self.reference_batch is None:
            return self.learning_rate
        return self.learning_rate * self.update_batch / self.reference_batch

    @property
    def total_epochs(self) -> int:
        """Passes over the training images, with the cool-down."""
        return self.epochs + self.cooldown_epochs

    @property
    def model_arguments(self) -> tuple[str, ...]:
        """Names of the arguments that `model` may have: those of the builder."""
        own = inspect.signature(self.build).parameters
        names = [name for name, p in own.items() if p.kind is not p.VAR_KEYWORD]
        if len(names) < len(own):
            from keras_poolformer import MetaFormer

            names += list(inspect.signature(MetaFormer).parameters)
        given = ("input_shape", "classes", "input_tensor", "include_top", "dtype", "trainable")
        return tuple(sorted(set(names) - set(given)))


def recipe_titles() -> dict[str, str]:
    """Returns what each recipe is, in a line, by its name.

    There is one for each module of `training.recipes`, and those for ImageNet that the
    table of models gives.
    """
    from training import recipes
    from training.imagenet import TITLES

    names = [module.name for module in pkgutil.iter_modules(recipes.__path__)]
    modules = {name: importlib.import_module(f"training.recipes.{name}") for name in sorted(names)}
    titles = {name: str(module.__doc__).partition("\n")[0] for name, module in modules.items()}
    return {**titles, **TITLES}


def find_recipe(name: str) -> Recipe:
    """Returns the recipe with this name.

    Raises:
        ValueError: if there is none.
    """
    from training.imagenet import TITLES, find_imagenet_recipe
    from training.settings import nearest

    names = list(recipe_titles())
    if name not in names:
        raise ValueError(
            f"`recipe` must be one of {', '.join(names)}. Received: {name!r}{nearest(name, names)}"
        )
    if name in TITLES:
        return find_imagenet_recipe(name)
    module: Any = importlib.import_module(f"training.recipes.{name}")
    return module.RECIPE
