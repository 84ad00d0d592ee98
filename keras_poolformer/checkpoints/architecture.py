"""What network a checkpoint is of, read off the shapes of its tensors."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from keras_poolformer.checkpoints.errors import CheckpointError
from keras_poolformer.checkpoints.frame import Frame
from keras_poolformer.checkpoints.layouts import Layout, detect_layout
from keras_poolformer.checkpoints.tensors import Checkpoint
from keras_poolformer.layers.self_attention import SelfAttention
from keras_poolformer.layers.token_mixers import TOKEN_MIXERS
from keras_poolformer.variants import FAMILIES, Family, Variant, bare_mixer

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
            the tensors tells the identity from pooling: `"PoolFormer"` stands for
            `"MetaFormerIdentity"` too, and `"PoolFormerV2"` for `"IdentityFormer"`.
        token_mixers: The token mixer of each stage.
        has_projection_bias: Whether attention ends with a bias.
        embedding_stage: Stage before which a position embedding is added, or `None`.
        image_size: Height and width of the images, where weights belong to one size,
            else `None`.
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
    has_projection_bias: bool
    embedding_stage: int | None
    image_size: tuple[int, int] | None
    has_res_scale: tuple[bool, ...]
    has_mlp_head: bool

    @property
    def variant(self) -> str | None:
        """The size of the family with these stages, such as `"S12"`, or `None`."""
        family = FAMILIES[self.family]
        if _mixers(family) != self.token_mixers:
            return None
        for name, variant in family.variants.items():
            if (variant.depths, variant.dims) == (self.depths, self.dims):
                return name
        return None

    @property
    def name(self) -> str:
        """Name for a model."""
        if self.variant is None:
            return "metaformer"
        return FAMILIES[self.family].model_name(self.variant)

    @property
    def input_shape(self) -> tuple[int | None, int | None, int] | None:
        """Shape of the images, where it is not the default, else `None`."""
        if self.image_size is not None:
            return (*self.image_size, self.channels)
        if self.channels == 3:
            return None
        size = 224 if self.classes is not None else None
        return (size, size, self.channels)

    def arguments(self) -> dict[str, Any]:
        """Returns arguments for `keras_poolformer.MetaFormer`."""
        family = FAMILIES[self.family]
        known: Variant | None = family.variants.get(self.variant or "")
        scale = (known and known.layer_scale_init_value) or 1e-5
        stem, downsample = self.patch_sizes
        second: dict[str, Any] = {}
        if family.generation == 2:
            second = {
                "res_scale_init_value": [1.0 if scaled else None for scaled in self.has_res_scale],
                "head": "mlp" if self.has_mlp_head else "linear",
            }
        mixers: list[Any] = list(self.token_mixers)
        if self.has_projection_bias:
            attention = partial(SelfAttention, use_projection_bias=True)
            mixers = [attention if mixer == "self_attention" else mixer for mixer in mixers]
        shape = self.input_shape
        return {
            **family.arguments,
            **second,
            "token_mixer": mixers,
            "position_embedding_stage": self.embedding_stage,
            **({} if shape is None else {"input_shape": shape}),
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
    frame = _frame(layout, checkpoint)

    def shape(path: str, *ranks: int) -> tuple[int, ...] | None:
        key = layout.key(path, frame)
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
    is_second = shape("stem_norm/gamma", 1) is not None
    # Matrices in the official code of the second generation and beside attention.
    ranks = (2, 4) if is_second else (4,)
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
        key = layout.key("stage1_block1/mlp/fc1/kernel", frame)
        raise CheckpointError(f"The checkpoint has no first block: the tensor {key!r} is missing")
    downsample = shape("stage2_downsample/kernel", 4)
    mlp_head = shape("head/fc2/kernel", 2)
    head = shape("head/kernel", 2) or mlp_head
    stages = range(1, len(depths) + 1)
    # Matrices over the positions, and where a position embedding is added: by stage.
    matrices: dict[int, tuple[int, ...]] = {}
    found: list[str | None] = []
    for stage in stages:
        mixer = None
        for name, part, rank in _MIXERS:
            weight = shape(f"stage{stage}_block1/{part}", rank)
            if mixer is None and weight is not None:
                mixer = name
                if name in ("random_mixing", "spatial_fully_connected"):
                    matrices[stage] = weight
        found.append(mixer)
    family = _family(found, generation=2 if is_second else 1)
    weightless = "identity" if "identity" in _mixers(FAMILIES[family]) else "pooling"
    embedding = None
    if frame.embedding_stage is not None:
        embedding = shape(f"stage{frame.embedding_stage}_position_embedding/embedding", 4)
    return Architecture(
        depths=tuple(depths),
        dims=tuple(dims),
        mlp_ratios=tuple(ratios),
        patch_sizes=(stem[2], downsample[2] if downsample else 3),
        channels=stem[1],
        classes=head[0] if head else None,
        has_layer_scale=shape("stage1_block1/layer_scale1/gamma", 1) is not None,
        family=family,
        token_mixers=tuple(mixer or weightless for mixer in found),
        has_projection_bias=any(
            shape(f"stage{stage}_block1/token_mixer/proj/bias", 1) is not None for stage in stages
        ),
        embedding_stage=frame.embedding_stage,
        image_size=_image_size(frame.embedding_stage, embedding, matrices),
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
    ("spatial_fully_connected", "token_mixer/kernel", 2),
)
_WEIGHTLESS = ("identity", "pooling")


def _frame(layout: Layout, checkpoint: Checkpoint) -> Frame:
    for stage in range(1, MOST_STAGES + 1):
        frame = Frame(MOST_STAGES, stage)
        path = f"stage{stage}_position_embedding/embedding"
        if layout.key(path, frame) in checkpoint.tensors:
            return frame
    return Frame(MOST_STAGES)


def _mixers(family: Family) -> tuple[str, ...]:
    """Returns the names of a family's token mixers."""
    names = {layer.__name__: name for name, layer in TOKEN_MIXERS.items()}
    return tuple(names[bare_mixer(mixer)[0]] for mixer in family.token_mixers)


# Of each generation, the family whose other parts go with a token mixer; first what decides.
_WITH = {
    1: {
        "self_attention": "MetaFormerPPAA",
        "spatial_fully_connected": "MetaFormerPPFF",
        None: "PoolFormer",
    },
    2: {
        "self_attention": "CAFormer",
        "separable_convolution": "ConvFormer",
        "random_mixing": "RandFormer",
        None: "PoolFormerV2",
    },
}


def _family(mixers: list[str | None], generation: int) -> str:
    """Returns the family with these token mixers; `None` stands for one without weights.

    Where there is none, that with the parts that go with them.
    """
    close = next(name for mixer, name in _WITH[generation].items() if mixer in (*mixers, None))
    exact = [
        family.name
        for family in FAMILIES.values()
        if family.generation == generation
        and [None if m in _WEIGHTLESS else m for m in _mixers(family)] == mixers
    ]
    return exact[0] if exact and close not in exact else close


def _image_size(
    embedding_stage: int | None,
    embedding: tuple[int, ...] | None,
    matrices: dict[int, tuple[int, ...]],
) -> tuple[int, int] | None:
    """Returns the size of the images that weights belong to, `None` if any or not to be told.

    The convolutions are taken for those of all published models, with strides of 4 and 2.
    """
    if embedding_stage is not None and embedding is not None:
        stride = 2 ** (embedding_stage + 1)
        return (embedding[2] * stride, embedding[3] * stride)
    for stage, (tokens, _) in matrices.items():
        side = math.isqrt(tokens)
        if side * side == tokens:
            return (side * 2 ** (stage + 1),) * 2
    return None


def describe(architecture: Architecture) -> str:
    """Returns the network in words."""
    name = (
        f"{architecture.family}{architecture.variant}"
        if architecture.variant
        else f"MetaFormer of depths {architecture.depths} and dims {architecture.dims}"
    )
    head = f"{architecture.classes} classes" if architecture.classes else "no classifier"
    return f"{name}, {head}"
