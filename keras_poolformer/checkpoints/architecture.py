"""What network a checkpoint is of, read off the shapes of its tensors."""

from dataclasses import dataclass
from typing import Any

from keras_poolformer.checkpoints.errors import CheckpointError
from keras_poolformer.checkpoints.layouts import detect_layout
from keras_poolformer.checkpoints.tensors import Checkpoint
from keras_poolformer.variants import VARIANTS, variant_of

MOST_STAGES = 16


@dataclass(frozen=True)
class Architecture:
    """The arguments of a MetaFormer that the shapes of its weights tell.

    Attributes:
        depths: Blocks of each stage.
        dims: Channels of each stage.
        mlp_ratios: Hidden channels of the MLPs over the channels, by stage.
        patch_sizes: Window of the stem and of the convolutions between stages.
        channels: Channels of the images.
        classes: Number of classes, or `None` without a classifier.
        has_layer_scale: Whether the blocks have LayerScale.
    """

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    mlp_ratios: tuple[float, ...]
    patch_sizes: tuple[int, int]
    channels: int
    classes: int | None
    has_layer_scale: bool

    @property
    def variant(self) -> str | None:
        """The PoolFormer of the paper with these stages, such as `"S12"`, or `None`."""
        return variant_of(self.depths, self.dims)

    @property
    def name(self) -> str:
        """Name for a model."""
        return "metaformer" if self.variant is None else f"poolformer_{self.variant.lower()}"

    def arguments(self) -> dict[str, Any]:
        """Returns arguments for `keras_poolformer.MetaFormer`."""
        scale = VARIANTS[self.variant].layer_scale_init_value if self.variant else 1e-5
        stem, downsample = self.patch_sizes
        return {
            "depths": list(self.depths),
            "dims": list(self.dims),
            "mlp_ratios": list(self.mlp_ratios),
            "stem_patch_size": stem,
            "downsample_patch_size": downsample,
            "layer_scale_init_value": scale if self.has_layer_scale else None,
            "include_top": self.classes is not None,
            "name": self.name,
            **({} if self.classes is None else {"classes": self.classes}),
        }


def infer_architecture(checkpoint: Checkpoint) -> Architecture:
    """Returns the network whose weights a checkpoint holds.

    Whether each weight is there and fits is not checked here.

    Raises:
        CheckpointError: if the layout or the stages cannot be told.
    """
    layout = detect_layout(checkpoint)

    def shape(path: str, rank: int) -> tuple[int, ...] | None:
        key = layout.key(path, stages=MOST_STAGES)
        tensor = checkpoint.tensors.get(key or "")
        found = None if tensor is None else tensor.shape
        if found is not None and (len(found) != rank or 0 in found):
            raise CheckpointError(
                f"The tensor {key!r} of the checkpoint must have rank {rank} and no empty axis. "
                f"Received: shape {found}"
            )
        return found

    depths: list[int] = []
    dims: list[int] = []
    ratios: list[float] = []
    while len(depths) < MOST_STAGES:
        stage = len(depths) + 1
        hidden = shape(f"stage{stage}_block1/mlp/fc1/kernel", 4)
        if hidden is None:
            break
        depth = 1
        while shape(f"stage{stage}_block{depth + 1}/mlp/fc1/kernel", 4) is not None:
            depth += 1
        depths.append(depth)
        dims.append(hidden[1])
        ratios.append(hidden[0] / hidden[1])
    stem = shape("stem/kernel", 4)
    if not depths or stem is None:
        key = layout.key("stage1_block1/mlp/fc1/kernel", 1)
        raise CheckpointError(f"The checkpoint has no first block: the tensor {key!r} is missing")
    downsample = shape("stage2_downsample/kernel", 4)
    head = shape("head/kernel", 2)
    return Architecture(
        depths=tuple(depths),
        dims=tuple(dims),
        mlp_ratios=tuple(ratios),
        patch_sizes=(stem[2], downsample[2] if downsample else 3),
        channels=stem[1],
        classes=head[0] if head else None,
        has_layer_scale=shape("stage1_block1/layer_scale1/gamma", 1) is not None,
    )


def describe(architecture: Architecture) -> str:
    """Returns the network in words."""
    name = (
        f"PoolFormer{architecture.variant}"
        if architecture.variant
        else f"MetaFormer of depths {architecture.depths} and dims {architecture.dims}"
    )
    head = f"{architecture.classes} classes" if architecture.classes else "no classifier"
    return f"{name}, {head}"
