"""PoolFormer and the MetaFormer architecture for Keras 3, on TensorFlow, JAX and PyTorch."""

from keras_poolformer import layers
from keras_poolformer.checkpoints.errors import CheckpointError, DownloadError
from keras_poolformer.checkpoints.load import LoadReport, load_checkpoint
from keras_poolformer.checkpoints.presets import Preset, list_presets
from keras_poolformer.checkpoints.save import save_checkpoint
from keras_poolformer.metaformer import MetaFormer
from keras_poolformer.poolformer import (
    PoolFormerM36,
    PoolFormerM48,
    PoolFormerS12,
    PoolFormerS24,
    PoolFormerS36,
)
from keras_poolformer.pretrained import load_model
from keras_poolformer.version import __version__

__all__ = [
    "CheckpointError",
    "DownloadError",
    "LoadReport",
    "MetaFormer",
    "PoolFormerM36",
    "PoolFormerM48",
    "PoolFormerS12",
    "PoolFormerS24",
    "PoolFormerS36",
    "Preset",
    "__version__",
    "layers",
    "list_presets",
    "load_checkpoint",
    "load_model",
    "save_checkpoint",
]
