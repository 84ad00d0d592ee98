"""The models of the two papers as data: one table, a row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import keras

from keras_poolformer.layers.channel_layer_norm import ChannelLayerNorm
from keras_poolformer.layers.layer_spec import LayerFactory, LayerSpec
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.layers.self_attention import SelfAttention
from keras_poolformer.layers.token_mixers import TOKEN_MIXERS


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
        name: As the paper writes it, or the official code; the builders' is this with
            the size.
        variants: The sizes, by name.
        arguments: Arguments of `keras_poolformer.MetaFormer` that all sizes share.
        mixing: The token mixers, in words.
        reference: Where the paper describes it.
        generation: Of which of the two papers it is, 1 or 2.
        prefix: Name of a model before its size; by default the family's, in small
            letters.
    """

    name: str
    variants: Mapping[str, Variant]
    arguments: Mapping[str, Any]
    mixing: str
    reference: str
    generation: int = 2
    prefix: str = ""

    @property
    def token_mixers(self) -> tuple[LayerSpec, ...]:
        """The token mixer of each of the four stages."""
        mixers = self.arguments["token_mixer"]
        return mixers if isinstance(mixers, tuple) else (mixers,) * 4

    def builder_name(self, size: str) -> str:
        """Returns the name of a builder, such as `"PoolFormerS12"`."""
        return f"{self.name}{size}"

    def model_name(self, size: str) -> str:
        """Returns the name of a model, such as `"poolformer_s12"`."""
        return f"{self.prefix or self.name}_{size}".lower()


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
_FULLY_CONNECTED = "spatial_fully_connected"

# The hybrids with attention are the only models of the first paper with this norm.
_BESIDE_ATTENTION = partial(ChannelLayerNorm, epsilon=1e-5)
_ATTENTION_OF_HYBRIDS = partial(SelfAttention, use_projection_bias=True)


def _like_s12(
    letters: str, mixing: str, crop_pct: float, parameters: int, top1: float, **arguments: Any
) -> Family:
    """Returns a model of the first paper that is PoolFormer-S12 but for these parts."""
    s12 = replace(VARIANTS["S12"], crop_pct=crop_pct, parameters=parameters, top1=top1)
    prefix = f"metaformer_{letters}"
    return Family(f"MetaFormer{letters}", {"S12": s12}, arguments, mixing, _ABLATIONS, 1, prefix)


_FIRST_PAPER = (
    "[MetaFormer Is Actually What You Need for Vision](\n"
    "        https://arxiv.org/abs/2111.11418), tables 1 and 2"
)
_ABLATIONS = (
    "[MetaFormer Is Actually What You Need for Vision](\n"
    "        https://arxiv.org/abs/2111.11418), table 5"
)
_SECOND_PAPER = "[MetaFormer Baselines for Vision](https://arxiv.org/abs/2210.13452)"

FAMILIES = {
    family.name: family
    for family in (
        Family(
            "PoolFormer",
            VARIANTS,
            {"token_mixer": "pooling"},
            "3x3 average pooling",
            _FIRST_PAPER,
            generation=1,
        ),
        _like_s12("Identity", "none", 0.9, 11_915_176, 74.3, token_mixer="identity"),
        _like_s12(
            "PPPA",
            "3x3 average pooling, in\n"
            "    the last stage self-attention behind a position embedding",
            *(0.95, 14_038_440, 78.3),
            token_mixer=("pooling", "pooling", "pooling", _ATTENTION_OF_HYBRIDS),
            norm=_BESIDE_ATTENTION,
            position_embedding_stage=4,
        ),
        _like_s12(
            "PPAA",
            "3x3 average pooling, in\n"
            "    the last two stages self-attention behind a position embedding",
            *(0.95, 16_535_592, 81.0),
            token_mixer=("pooling", "pooling", _ATTENTION_OF_HYBRIDS, _ATTENTION_OF_HYBRIDS),
            norm=_BESIDE_ATTENTION,
            position_embedding_stage=3,
        ),
        _like_s12(
            "PPPF",
            "3x3 average pooling, in\n"
            "    the last stage a fully-connected layer over the positions, which ties the model\n"
            "    to one size of image",
            *(0.9, 11_919_978, 77.5),
            token_mixer=("pooling", "pooling", "pooling", _FULLY_CONNECTED),
        ),
        _like_s12(
            "PPFF",
            "3x3 average pooling, in\n"
            "    the last two stages a fully-connected layer over the positions, which ties the\n"
            "    model to one size of image",
            *(0.95, 12_150_474, 77.9),
            token_mixer=("pooling", "pooling", _FULLY_CONNECTED, _FULLY_CONNECTED),
        ),
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
    family.builder_name(size): (family, size)
    for family in FAMILIES.values()
    for size in family.variants
}
"""The family and the size of every model, by the name of its builder, such as `"CAFormerS18"`."""


class Described(Protocol):
    """What is asked of a MetaFormer to tell which one it is."""

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    norm_after_pool: bool
    token_mixers: tuple[Any, ...]


def row_of(model: Described) -> tuple[Family, str] | None:
    """Returns the family and the size that a MetaFormer is of, or `None`.

    A network with the stages of a PoolFormer and token mixers of no family counts as
    that PoolFormer.
    """
    mixers = [bare_mixer(mixer) for mixer in model.token_mixers]
    poolformer = None
    for family in FAMILIES.values():
        if model.norm_after_pool != (family.generation == 2):
            continue
        for size, variant in family.variants.items():
            if (variant.depths, variant.dims) != (model.depths, model.dims):
                continue
            if mixers == [bare_mixer(mixer) for mixer in family.token_mixers]:
                return family, size
            if family.name == "PoolFormer":
                poolformer = family, size
    return poolformer


def name_of(model: Described) -> str | None:
    """Returns the name of the builder that makes a MetaFormer like this one, or `None`."""
    row = row_of(model)
    return None if row is None else row[0].builder_name(row[1])


def bare_mixer(mixer: LayerSpec) -> tuple[str, dict[str, Any]]:
    """Returns the class and the configuration of a token mixer, however it was written.

    Equal for equal mixers: without the name of the layer and its dtype policy.
    """
    written: Any = mixer
    if not isinstance(mixer, Mapping):
        layer = LayerFactory(mixer, TOKEN_MIXERS, "token_mixer").template
        written = keras.saving.serialize_keras_object(layer)
    given = ("name", "dtype", "trainable")
    own = {key: value for key, value in written["config"].items() if key not in given}
    return written["class_name"], own
