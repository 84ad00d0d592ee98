"""What network a checkpoint is of, read off the shapes of its tensors."""

from dataclasses import dataclass
from typing import Any

from keras_poolformer.checkpoints.errors import CheckpointError
from keras_poolformer.checkpoints.layouts import detect_layout
from keras_poolformer.checkpoints.tensors import Checkpoint
from keras_poolformer.variants import FAMILIES, Variant

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
        family: The family whose parts the blocks have, such as `"CAFormer"`. Nothing in
            the tensors tells IdentityFormer from PoolFormerV2, which is named then.
        token_mixers: The token mixer of each stage.
        has_res_scale: Whether the blocks have ResScale, by stage.
        has_mlp_head: Whether the classifier has a hidden layer.
    """

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    mlp_ratios: tuple[float, ...]
    patch_sizes: tuple[int, int]
    channels: int
    classes: int | None
    has_layer_scale: bool
    family: str
    token_mixers: tuple[str, ...]
    has_res_scale: tuple[bool, ...]
    has_mlp_head: bool

    @property
    def variant(self) -> str | None:
        """The size of the family with these stages, such as `"S12"`, or `None`."""
        for name, variant in FAMILIES[self.family].variants.items():
            if (variant.depths, variant.dims) == (self.depths, self.dims):
                return name
        return None

    @property
    def name(self) -> str:
        """Name for a model."""
        if self.variant is None:
            return "metaformer"
        return FAMILIES[self.family].model_name(self.variant)

    def arguments(self) -> dict[str, Any]:
        """Returns arguments for `keras_poolformer.MetaFormer`."""
        family = FAMILIES[self.family]
        known: Variant | None = family.variants.get(self.variant or "")
        scale = (known and known.layer_scale_init_value) or 1e-5
        stem, downsample = self.patch_sizes
        second: dict[str, Any] = {}
        if self.family != "PoolFormer":
            second = {
                **family.arguments,
                "token_mixer": list(self.token_mixers),
                "res_scale_init_value": [1.0 if scaled else None for scaled in self.has_res_scale],
                "head": "mlp" if self.has_mlp_head else "linear",
            }
        return {
            **second,
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

    def shape(path: str, *ranks: int) -> tuple[int, ...] | None:
        key = layout.key(path, stages=MOST_STAGES)
        tensor = checkpoint.tensors.get(key or "")
        found = None if tensor is None else tensor.shape
        if found is not None and (len(found) not in ranks or 0 in found):
            wanted = " or ".join(map(str, ranks))
            raise CheckpointError(
                f"The tensor {key!r} of the checkpoint must have rank {wanted} and no empty axis. "
                f"Received: shape {found}"
            )
        return found

    depths: list[int] = []
    dims: list[int] = []
    ratios: list[float] = []
    # Matrices in the official code of the second generation and beside attention.
    ranks = (2, 4) if shape("stem_norm/gamma", 1) else (4,)
    while len(depths) < MOST_STAGES:
        stage = len(depths) + 1
        hidden = shape(f"stage{stage}_block1/mlp/fc1/kernel", *ranks)
        if hidden is None:
            break
        depth = 1
        while shape(f"stage{stage}_block{depth + 1}/mlp/fc1/kernel", *ranks) is not None:
            depth += 1
        depths.append(depth)
        dims.append(hidden[1])
        ratios.append(hidden[0] / hidden[1])
    stem = shape("stem/kernel", 4)
    if not depths or stem is None:
        key = layout.key("stage1_block1/mlp/fc1/kernel", 1)
        raise CheckpointError(f"The checkpoint has no first block: the tensor {key!r} is missing")
    downsample = shape("stage2_downsample/kernel", 4)
    mlp_head = shape("head/fc2/kernel", 2)
    head = shape("head/kernel", 2) or mlp_head
    stages = range(1, len(depths) + 1)
    mixers = tuple(
        next(
            (
                mixer
                for mixer, part, rank in _MIXERS
                if shape(f"stage{stage}_block1/{part}", rank) is not None
            ),
            "pooling",
        )
        for stage in stages
    )
    return Architecture(
        depths=tuple(depths),
        dims=tuple(dims),
        mlp_ratios=tuple(ratios),
        patch_sizes=(stem[2], downsample[2] if downsample else 3),
        channels=stem[1],
        classes=head[0] if head else None,
        has_layer_scale=shape("stage1_block1/layer_scale1/gamma", 1) is not None,
        family=_family(mixers) if len(ranks) == 2 else "PoolFormer",
        token_mixers=mixers,
        has_res_scale=tuple(
            shape(f"stage{s}_block1/res_scale1/gamma", 1) is not None for s in stages
        ),
        has_mlp_head=mlp_head is not None,
    )


# The token mixers that have weights, one of these, and its rank.
_MIXERS = (
    ("self_attention", "token_mixer/qkv/kernel", 2),
    ("separable_convolution", "token_mixer/dwconv/kernel", 4),
    ("random_mixing", "token_mixer/mixing", 2),
)


def _family(mixers: tuple[str, ...]) -> str:
    """Returns the family of the second generation that has these token mixers."""
    if "self_attention" in mixers:
        return "CAFormer"
    if "separable_convolution" in mixers:
        return "ConvFormer"
    return "RandFormer" if "random_mixing" in mixers else "PoolFormerV2"


def describe(architecture: Architecture) -> str:
    """Returns the network in words."""
    name = (
        f"{architecture.family}{architecture.variant}"
        if architecture.variant
        else f"MetaFormer of depths {architecture.depths} and dims {architecture.dims}"
    )
    head = f"{architecture.classes} classes" if architecture.classes else "no classifier"
    return f"{name}, {head}"
