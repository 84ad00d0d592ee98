"""The builders of the first paper's other models: PoolFormer-S12 with other token mixers."""

from keras_poolformer.builders import make_builder
from keras_poolformer.variants import FAMILIES

MetaFormerIdentityS12 = make_builder(FAMILIES["MetaFormerIdentity"], "S12")
MetaFormerPPPAS12 = make_builder(FAMILIES["MetaFormerPPPA"], "S12")
MetaFormerPPAAS12 = make_builder(FAMILIES["MetaFormerPPAA"], "S12")
MetaFormerPPPFS12 = make_builder(FAMILIES["MetaFormerPPPF"], "S12")
MetaFormerPPFFS12 = make_builder(FAMILIES["MetaFormerPPFF"], "S12")
