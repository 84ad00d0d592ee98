"""The builders of the paper's PoolFormers, one for each row of the table."""

from keras_poolformer.builders import make_builder
from keras_poolformer.variants import FAMILIES, VARIANTS

_POOLFORMER = FAMILIES["PoolFormer"]

PoolFormerS12 = make_builder(_POOLFORMER, "S12")
PoolFormerS24 = make_builder(_POOLFORMER, "S24")
PoolFormerS36 = make_builder(_POOLFORMER, "S36")
PoolFormerM36 = make_builder(_POOLFORMER, "M36")
PoolFormerM48 = make_builder(_POOLFORMER, "M48")

__all__ = [
    "VARIANTS",
    "PoolFormerM36",
    "PoolFormerM48",
    "PoolFormerS12",
    "PoolFormerS24",
    "PoolFormerS36",
]
