"""The layers of the MetaFormer family, one idea a file."""

from keras_poolformer.layers.batch_norm import BatchNorm
from keras_poolformer.layers.channel_layer_norm import ChannelLayerNorm
from keras_poolformer.layers.depthwise_convolution import DepthwiseConvolution
from keras_poolformer.layers.layer_scale import LayerScale
from keras_poolformer.layers.metaformer_block import MetaFormerBlock
from keras_poolformer.layers.mlp import ChannelMLP
from keras_poolformer.layers.mlp_head import MLPHead
from keras_poolformer.layers.normalization import GroupNorm1
from keras_poolformer.layers.patch_embedding import PatchEmbedding
from keras_poolformer.layers.pooling import AveragePool2D
from keras_poolformer.layers.position_embedding import PositionEmbedding
from keras_poolformer.layers.random_mixing import RandomMixing
from keras_poolformer.layers.res_scale import ResScale
from keras_poolformer.layers.self_attention import SelfAttention
from keras_poolformer.layers.separable_convolution import SeparableConvolution
from keras_poolformer.layers.spatial_fully_connected import SpatialFullyConnected
from keras_poolformer.layers.squared_relu import SquaredReLU
from keras_poolformer.layers.star_relu import StarReLU
from keras_poolformer.layers.stochastic_depth import StochasticDepth
from keras_poolformer.layers.token_mixers import Pooling

__all__ = [
    "AveragePool2D",
    "BatchNorm",
    "ChannelLayerNorm",
    "ChannelMLP",
    "DepthwiseConvolution",
    "GroupNorm1",
    "LayerScale",
    "MLPHead",
    "MetaFormerBlock",
    "PatchEmbedding",
    "Pooling",
    "PositionEmbedding",
    "RandomMixing",
    "ResScale",
    "SelfAttention",
    "SeparableConvolution",
    "SpatialFullyConnected",
    "SquaredReLU",
    "StarReLU",
    "StochasticDepth",
]
