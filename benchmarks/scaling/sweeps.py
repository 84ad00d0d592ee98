"""What is varied, and what time and memory should be proportional to."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.speed.job import Job
from keras_poolformer.variants import VARIANTS


@dataclass(frozen=True)
class Sweep:
    """One argument of a job that is varied while the others stay.

    Attributes:
        name: What is varied, in a word.
        unit: What an amount counts, for the axis of a picture.
        vary: The jobs, from one that has the other arguments.
        amount: Of a job: time and memory should be a constant and a multiple of it.
    """

    name: str
    unit: str
    vary: Callable[[Job], list[Job]]
    amount: Callable[[Job], float]


RESOLUTIONS = (128, 192, 256, 384, 512, 768, 1024)
BATCHES = (1, 2, 4, 8, 16, 32)
DEPTHS = ("S12", "S24", "S36")
"""Variants of the same channels. M36 and M48 have wider maps."""


SWEEPS = (
    Sweep(
        "resolution",
        "pixels of an image",
        lambda job: [replace(job, size=size, batch=1) for size in RESOLUTIONS],
        lambda job: job.size**2,
    ),
    Sweep(
        "batch",
        "images of a batch",
        lambda job: [replace(job, batch=batch) for batch in BATCHES],
        lambda job: job.batch,
    ),
    Sweep(
        "depth",
        "blocks",
        lambda job: [replace(job, variant=variant, batch=4) for variant in DEPTHS],
        lambda job: sum(VARIANTS[job.variant].depths),
    ),
)
"""All of them; the sizes not varied are a batch of 1 or 4 images of 224 pixels and S12."""
