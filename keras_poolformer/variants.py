"""The PoolFormers of the paper as data: one table, a row each."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """What distinguishes one PoolFormer from another.

    Attributes:
        depths: Blocks of each stage.
        dims: Channels of each stage.
        layer_scale_init_value: Initial value of the LayerScale factors.
        drop_path_rate: Rate of stochastic depth in the paper's training.
        crop_pct: Share of the resized short side that the evaluation crop keeps.
        parameters: Number of weights with 1,000 classes.
        top1: ImageNet-1k top-1 accuracy in per cent that the paper reports.
    """

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    layer_scale_init_value: float
    drop_path_rate: float
    crop_pct: float
    parameters: int
    top1: float


# Tables 1, 2 and 6 of the paper; LayerScale as in the official code.
_SMALL, _MEDIUM = (64, 128, 320, 512), (96, 192, 384, 768)
VARIANTS = {
    "S12": Variant((2, 2, 6, 2), _SMALL, 1e-5, 0.1, 0.9, 11_915_176, 77.2),
    "S24": Variant((4, 4, 12, 4), _SMALL, 1e-5, 0.1, 0.9, 21_388_968, 80.3),
    "S36": Variant((6, 6, 18, 6), _SMALL, 1e-6, 0.2, 0.9, 30_862_760, 81.4),
    "M36": Variant((6, 6, 18, 6), _MEDIUM, 1e-6, 0.3, 0.95, 56_172_520, 82.1),
    "M48": Variant((8, 8, 24, 8), _MEDIUM, 1e-6, 0.4, 0.95, 73_473_448, 82.5),
}


def variant_of(depths: Sequence[int], dims: Sequence[int]) -> str | None:
    """Returns the name of the variant with these stages, such as `"S12"`, or `None`."""
    for name, variant in VARIANTS.items():
        if variant.depths == tuple(depths) and variant.dims == tuple(dims):
            return name
    return None
