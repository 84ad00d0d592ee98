"""The images on which a training is measured, over all workers, each exactly once."""

from typing import Any, cast

from training.distribution import Workers
from training.pipeline import Worker, weighted_batches
from training.recipe import Recipe


class Validation:
    """Batches of images that count in the metrics as often as the data set holds them.

    Args:
        split: The images and their classes.
        recipe: Says how many images a batch holds and how much of them is seen.
        classes: Number of classes.
        image_shape: Height, width and channels of the images in the batches.
        workers: The processes and devices that share the work.

    Attributes:
        batches: What `fit` and `evaluate` take.
        steps: Batches of each worker.
    """

    def __init__(
        self,
        split: Any,
        recipe: Recipe,
        classes: int,
        image_shape: tuple[int, int, int],
        workers: Workers,
    ) -> None:
        batch = min(recipe.batch_size, -(-len(split) // workers.replicas) * workers.replicas)
        worker = Worker(workers.rank, workers.count)
        self.steps = -(-len(split) // batch)
        padding = self.steps * batch / len(split)
        crop_pct = cast(float, recipe.crop_pct)  # the model's, where the recipe has none
        batches = weighted_batches(split, classes, image_shape, batch, crop_pct, worker)
        # Keras divides the weighted losses by the number of rows, padding included. Accuracies
        # are shares of the sum of the weights, which their common factor does not change.
        self.batches = workers.feed(batches.map(lambda x, y, weight: (x, y, weight * padding)))
