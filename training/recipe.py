"""What a recipe is, and how one is found by its name."""

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from training.augmentation import Augmentation


class ModelBuilder(Protocol):
    """Builds the model of a recipe, which takes pixels in [0, 255] in `channels_last`."""

    def __call__(self, input_shape: tuple[int, int, int], classes: int) -> keras.Model: ...


@dataclass(frozen=True)
class Recipe:
    """How a model is built and trained.

    Attributes:
        build: Returns the model for an image shape and a number of classes.
        image_size: Height and width of the images, in pixels.
        augmentation: What is done to training images.
        epochs: Passes over the training images.
        batch_size: Images of one step.
        learning_rate: The highest learning rate.
        warmup: Share of the steps, the first ones, in which the learning rate rises.
        weight_decay: Of AdamW, for weights of rank two and more.
        label_smoothing: Probability that the target spreads over all classes.
        data: Name of the data set to use when the user names none, or `None`.

    Raises:
        ValueError: if a number is out of its range.
    """

    build: ModelBuilder
    image_size: int
    augmentation: Augmentation
    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float = 0.1
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    data: str | None = None

    def __post_init__(self) -> None:
        for argument in ("image_size", "epochs", "batch_size"):
            value = getattr(self, argument)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{argument}` must be a positive integer. Received: {value!r}")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(
                f"`learning_rate` must be positive, such as 1e-3. Received: {self.learning_rate}"
            )
        for argument in ("warmup", "label_smoothing"):
            value = getattr(self, argument)
            if not 0 <= value < 1:
                raise ValueError(
                    f"`{argument}` must be at least 0 and below 1. Received: {value!r}"
                )
        if not self.weight_decay >= 0:
            raise ValueError(f"`weight_decay` must not be negative. Received: {self.weight_decay}")


def recipe_names() -> list[str]:
    """Returns the names of all recipes: the modules of `training.recipes`."""
    from training import recipes

    return sorted(module.name for module in pkgutil.iter_modules(recipes.__path__))


def find_recipe(name: str) -> Recipe:
    """Returns the recipe with this name.

    Raises:
        ValueError: if there is none.
    """
    if name not in recipe_names():
        raise ValueError(f"`recipe` must be one of {recipe_names()}. Received: {name!r}")
    module: Any = importlib.import_module(f"training.recipes.{name}")
    return module.RECIPE
