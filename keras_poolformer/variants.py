"""The models of the two papers as data: one table, a row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from keras_poolformer.layers.channel_layer_norm import ChannelLayerNorm
from keras_poolformer.layers.normalization import GroupNorm1


@dataclass(frozen=True)
class Variant:
    """What distinguishes one model of a family from another.

    Attributes:
        depths: Blocks of each stage.
        dims: Channels of each stage.
        layer_scale_init_value: Initial value of the LayerScale factors, `None` for none.
        drop_path_rate: Rate of stochastic depth in the paper's training.
        crop_pct: Share of the resized short side that the evaluation crop keeps.
        parameters: Number of weights with 1,000 classes, at 224 pixels.
        top1: ImageNet-1k top-1 accuracy in per cent that the paper reports.
        head_dropout_rate: Rate of the classifier's dropout in the paper's training.
    """

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    layer_scale_init_value: float | None
    drop_path_rate: float
    crop_pct: float
    parameters: int
    top1: float
    head_dropout_rate: float = 0.0


@dataclass(frozen=True)
class Family:
    """Models that differ in their size only.

    Attributes:
        name: As the paper writes it.
        variants: The sizes, by name.
        arguments: Arguments of `keras_poolformer.MetaFormer` that all sizes share.
        mixing: The token mixers, in words.
        reference: Where the paper describes it.
    """

    name: str
    variants: Mapping[str, Variant]
    arguments: Mapping[str, Any]
    mixing: str
    reference: str

    def model_name(self, size: str) -> str:
        """Returns the name of a model, such as `"poolformer_s12"`."""
        return f"{self.name}_{size}".lower()


# Tables 1, 2 and 6 of the paper; LayerScale as in the official code.
_SMALL, _MEDIUM = (64, 128, 320, 512), (96, 192, 384, 768)
VARIANTS = {
    "S12": Variant((2, 2, 6, 2), _SMALL, 1e-5, 0.1, 0.9, 11_915_176, 77.2),
    "S24": Variant((4, 4, 12, 4), _SMALL, 1e-5, 0.1, 0.9, 21_388_968, 80.3),
    "S36": Variant((6, 6, 18, 6), _SMALL, 1e-6, 0.2, 0.9, 30_862_760, 81.4),
    "M36": Variant((6, 6, 18, 6), _MEDIUM, 1e-6, 0.3, 0.95, 56_172_520, 82.1),
    "M48": Variant((8, 8, 24, 8), _MEDIUM, 1e-6, 0.4, 0.95, 73_473_448, 82.5),
}
"""The PoolFormers of the first paper."""


def _sized_as_poolformer(
    parameters: Sequence[int],
    top1: Sequence[float],
    drop_path_rates: Sequence[float] | None = None,
) -> Mapping[str, Variant]:
    rates = drop_path_rates or [first.drop_path_rate for first in VARIANTS.values()]
    rows = zip(VARIANTS.items(), rates, parameters, top1, strict=True)
    return {
        size: Variant(first.depths, first.dims, None, rate, 1.0, count, accuracy)
        for (size, first), rate, count, accuracy in rows
    }


_LIKE_POOLFORMERV2 = (11_891_712, 21_341_464, 30_791_216, 56_077_168, 73_346_056)
# Frozen matrices of 196 x 196 numbers in the third stage and 49 x 49 in the fourth.
_FROZEN = tuple(v.depths[2] * 196**2 + v.depths[3] * 49**2 for v in VARIANTS.values())

# What all of the second generation share. Its norms have no bias, but the last one.
_GROUP_NORM = partial(GroupNorm1, epsilon=1e-6, center=False)
_LAYER_NORM = partial(ChannelLayerNorm, epsilon=1e-6, center=False)
_SECOND_GENERATION = {
    "norm": _GROUP_NORM,
    "activation": "star_relu",
    "mlp_bias": False,
    "res_scale_init_value": (None, None, 1.0, 1.0),
    "stem_norm": _LAYER_NORM,
    "downsample_norm": _LAYER_NORM,
    "final_norm": "layer_norm",
    "norm_after_pool": True,
    "patch_init_std": 0.02,
}
_CONVOLUTION, _ATTENTION = "separable_convolution", "self_attention"

_FIRST_PAPER = (
    "[MetaFormer Is Actually What You Need for Vision](\n"
    "        https://arxiv.org/abs/2111.11418), tables 1 and 2"
)
_SECOND_PAPER = "[MetaFormer Baselines for Vision](https://arxiv.org/abs/2210.13452)"

FAMILIES = {
    family.name: family
    for family in (
        Family("PoolFormer", VARIANTS, {}, "3x3 average pooling", _FIRST_PAPER),
        Family(
            "IdentityFormer",
            _sized_as_poolformer(_LIKE_POOLFORMERV2, (74.6, 78.2, 79.3, 80.0, 80.4)),
            {**_SECOND_GENERATION, "token_mixer": "identity"},
            "none",
            _SECOND_PAPER,
        ),
        Family(
            "RandFormer",
            _sized_as_poolformer(
                [a + b for a, b in zip(_LIKE_POOLFORMERV2, _FROZEN, strict=True)],
                (76.6, 78.2, 79.5, 81.2, 81.4),
                # Not PoolFormer's 0.4 for the largest, in the script that trained it.
                (0.1, 0.1, 0.2, 0.3, 0.3),
            ),
            {
                **_SECOND_GENERATION,
                "token_mixer": ("identity", "identity", "random_mixing", "random_mixing"),
            },
            "a frozen random matrix in the\n"
            "    last two stages, which ties the model to one size of image",
            _SECOND_PAPER,
        ),
        Family(
            "PoolFormerV2",
            _sized_as_poolformer(_LIKE_POOLFORMERV2, (78.0, 80.7, 81.6, 82.2, 82.6)),
            {**_SECOND_GENERATION, "token_mixer": "pooling"},
            "3x3 average pooling",
            _SECOND_PAPER,
        ),
        Family(
            "ConvFormer",
            {
                "S18": Variant((3, 3, 9, 3), _SMALL, None, 0.2, 1.0, 26_774_448, 83.0),
                "S36": Variant((3, 12, 18, 3), _SMALL, None, 0.3, 1.0, 40_012_152, 84.1),
                "M36": Variant(
                    (3, 12, 18, 3), (96, 192, 384, 576), None, 0.4, 1.0, 57_051_640, 84.5
                ),
                "B36": Variant(
                    (3, 12, 18, 3), (128, 256, 512, 768), None, 0.6, 1.0, 99_882_616, 84.8
                ),
            },
            {
                **_SECOND_GENERATION,
                "token_mixer": _CONVOLUTION,
                "norm": _LAYER_NORM,
                "head": "mlp",
            },
            "7x7 separable convolutions",
            _SECOND_PAPER,
        ),
        Family(
            "CAFormer",
            {
                "S18": Variant((3, 3, 9, 3), _SMALL, None, 0.15, 1.0, 26_341_656, 83.6),
                "S36": Variant((3, 12, 18, 3), _SMALL, None, 0.3, 1.0, 39_297_102, 84.5, 0.4),
                "M36": Variant(
                    (3, 12, 18, 3), (96, 192, 384, 576), None, 0.4, 1.0, 56_204_878, 85.2, 0.4
                ),
                "B36": Variant(
                    (3, 12, 18, 3), (128, 256, 512, 768), None, 0.6, 1.0, 98_753_614, 85.5, 0.5
                ),
            },
            {
                **_SECOND_GENERATION,
                "token_mixer": (_CONVOLUTION, _CONVOLUTION, _ATTENTION, _ATTENTION),
                "norm": _LAYER_NORM,
                "head": "mlp",
            },
            "7x7 separable convolutions in\n"
            "    the first two stages, self-attention in the other two",
            _SECOND_PAPER,
        ),
    )
}
"""Every family, by name."""

MODELS = {
    f"{family.name}{size}": (family, size)
    for family in FAMILIES.values()
    for size in family.variants
}
"""The family and the size of every model, by the name of its builder, such as `"CAFormerS18"`."""


def variant_of(depths: Sequence[int], dims: Sequence[int]) -> str | None:
    """Returns the name of the PoolFormer with these stages, such as `"S12"`, or `None`."""
    for name, variant in VARIANTS.items():
        if variant.depths == tuple(depths) and variant.dims == tuple(dims):
            return name
    return None


class Described(Protocol):
    """What is asked of a MetaFormer to tell which one it is."""

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    norm_after_pool: bool
    token_mixers: tuple[Any, ...]


def variant_of_model(model: Described) -> str | None:
    """Returns the size of the PoolFormer that a MetaFormer is, such as `"S12"`, or `None`.

    The second generation has the same stages; its last norm follows the pooling.
    """
    return None if model.norm_after_pool else variant_of(model.depths, model.dims)


def name_of(model: Described) -> str | None:
    """Returns the name of the builder that makes a MetaFormer like this one, or `None`."""
    for family in FAMILIES.values():
        is_first = family.name == "PoolFormer"
        mixers = family.arguments.get("token_mixer", "pooling")
        mixers = mixers if isinstance(mixers, tuple) else (mixers,) * len(model.depths)
        if model.norm_after_pool == is_first or not (is_first or model.token_mixers == mixers):
            continue
        for size, variant in family.variants.items():
            if (variant.depths, variant.dims) == (model.depths, model.dims):
                return f"{family.name}{size}"
    return None
