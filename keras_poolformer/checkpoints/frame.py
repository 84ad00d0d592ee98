"""The part of a network that shifts the names of all its weights."""

import re
from collections.abc import Collection
from dataclasses import dataclass

EMBEDDING = re.compile(r"stage(?P<stage>[1-9]\d*)_position_embedding/embedding")
"""Path of a position embedding in a MetaFormer."""


@dataclass(frozen=True)
class Frame:
    """What of a network decides on the names of all its weights.

    Attributes:
        stages: Number of stages.
        embedding_stage: Stage, from 1, before which a position embedding is added, or
            `None`.
    """

    stages: int
    embedding_stage: int | None = None

    @classmethod
    def of(cls, paths: Collection[str]) -> "Frame":
        """Returns the frame of the MetaFormer whose weights have these paths."""
        stages = 1 + sum(path.endswith("_downsample/kernel") for path in paths)
        found = [match for path in paths if (match := EMBEDDING.fullmatch(path))]
        return cls(stages, int(found[0]["stage"]) if found else None)

    def network(self, stage: int) -> int:
        """Returns the place of a stage, from 0, in the official list `network`.

        The strided convolutions stand between the stages there, and a position embedding
        before the stage that it belongs to.
        """
        shift = self.embedding_stage is not None and stage + 1 >= self.embedding_stage
        return 2 * stage + shift

    def downsample(self, stage: int) -> int:
        """Returns the place of the strided convolution before a stage in that list."""
        return self.network(stage - 1) + 1
