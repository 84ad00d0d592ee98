"""The builders of the second generation: the same blocks with other parts."""

from keras_poolformer.builders import make_builder
from keras_poolformer.variants import FAMILIES

IdentityFormerS12 = make_builder(FAMILIES["IdentityFormer"], "S12")
IdentityFormerS24 = make_builder(FAMILIES["IdentityFormer"], "S24")
IdentityFormerS36 = make_builder(FAMILIES["IdentityFormer"], "S36")
IdentityFormerM36 = make_builder(FAMILIES["IdentityFormer"], "M36")
IdentityFormerM48 = make_builder(FAMILIES["IdentityFormer"], "M48")

RandFormerS12 = make_builder(FAMILIES["RandFormer"], "S12")
RandFormerS24 = make_builder(FAMILIES["RandFormer"], "S24")
RandFormerS36 = make_builder(FAMILIES["RandFormer"], "S36")
RandFormerM36 = make_builder(FAMILIES["RandFormer"], "M36")
RandFormerM48 = make_builder(FAMILIES["RandFormer"], "M48")

PoolFormerV2S12 = make_builder(FAMILIES["PoolFormerV2"], "S12")
PoolFormerV2S24 = make_builder(FAMILIES["PoolFormerV2"], "S24")
PoolFormerV2S36 = make_builder(FAMILIES["PoolFormerV2"], "S36")
PoolFormerV2M36 = make_builder(FAMILIES["PoolFormerV2"], "M36")
PoolFormerV2M48 = make_builder(FAMILIES["PoolFormerV2"], "M48")

ConvFormerS18 = make_builder(FAMILIES["ConvFormer"], "S18")
ConvFormerS36 = make_builder(FAMILIES["ConvFormer"], "S36")
ConvFormerM36 = make_builder(FAMILIES["ConvFormer"], "M36")
ConvFormerB36 = make_builder(FAMILIES["ConvFormer"], "B36")

CAFormerS18 = make_builder(FAMILIES["CAFormer"], "S18")
CAFormerS36 = make_builder(FAMILIES["CAFormer"], "S36")
CAFormerM36 = make_builder(FAMILIES["CAFormer"], "M36")
CAFormerB36 = make_builder(FAMILIES["CAFormer"], "B36")
