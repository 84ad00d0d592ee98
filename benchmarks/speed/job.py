"""What is timed."""

from dataclasses import dataclass

TASKS = ("inference", "training")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Job:
    """A step of a network.

    Attributes:
        task: "inference", or "training": forward, backward and AdamW.
        batch: Images of a step.
        precision: "float32", or "bfloat16" for mixed precision.
        variant: The PoolFormer, such as "S12".
        size: Height and width of the images, in pixels.
        threads: Of the processor.
    """

    task: str
    batch: int
    precision: str = "float32"
    variant: str = "S12"
    size: int = 224
    threads: int = 2

    @property
    def name(self) -> str:
        """The job in a few words."""
        return f"{self.task}, batch {self.batch}, {self.precision}"
