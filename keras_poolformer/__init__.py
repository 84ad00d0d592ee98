"""PoolFormer and the MetaFormer architecture for Keras 3, on TensorFlow, JAX and PyTorch."""

from keras_poolformer import layers
from keras_poolformer.metaformer import MetaFormer
from keras_poolformer.poolformer import (
    PoolFormerM36,
    PoolFormerM48,
    PoolFormerS12,
    PoolFormerS24,
    PoolFormerS36,
)
from keras_poolformer.version import __version__

__all__ = [
    "MetaFormer",
    "PoolFormerM36",
    "PoolFormerM48",
    "PoolFormerS12",
    "PoolFormerS24",
    "PoolFormerS36",
    "__version__",
    "layers",
]
