"""What an exported file is, for programs and for people."""

from dataclasses import dataclass
from pathlib import Path

TOLERANCE = 1e-4
"""Largest relative difference between the outputs of a file and of Keras."""


@dataclass(frozen=True)
class ExportReport:
    """What a file takes and gives, and how it was checked.

    Attributes:
        file: The file.
        bytes: Its size; of an OpenVINO model with that of the weights beside it.
        input: Its images, such as `"image float32 (batch, 224, 224, 3)"`.
        pixels: `"0 to 255"` or `"normalised"`: what is in the images.
        output: What it gives, such as `"probabilities float32 (batch, 1000)"`.
        operations: How often each operation stands in the graph.
        runtime: What ran it for the check.
        difference: The largest relative difference from Keras's outputs of an image.
        images: How many images were compared.
    """

    file: Path
    bytes: int
    input: str
    pixels: str
    output: str
    operations: dict[str, int]
    runtime: str
    difference: float
    images: int

    def __str__(self) -> str:
        return (
            f"File             {self.file} ({self.bytes / 1e6:.2f} MB)\n"
            f"Input            {self.input}, {self.pixels}\n"
            f"Output           {self.output}\n"
            f"Graph            {sum(self.operations.values())} operations of "
            f"{len(self.operations)} kinds\n"
            f"Checked          with {self.runtime} on {self.images} images: a relative "
            f"difference of {self.difference:.1e} from Keras, {TOLERANCE:.0e} allowed"
        )
