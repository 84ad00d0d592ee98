"""The layers of the MetaFormer family, one idea a file."""

from keras_poolformer.layers.layer_scale import LayerScale
from keras_poolformer.layers.metaformer_block import MetaFormerBlock
from keras_poolformer.layers.mlp import ChannelMLP
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.layers.patch_embedding import PatchEmbedding
from keras_poolformer.layers.pooling import AveragePool2D
from keras_poolformer.layers.stochastic_depth import StochasticDepth
from keras_poolformer.layers.token_mixers import Pooling

__all__ = [
    "AveragePool2D",
    "ChannelMLP",
    "GroupNorm1",
    "LayerScale",
    "MetaFormerBlock",
    "PatchEmbedding",
    "Pooling",
    "StochasticDepth",
]
