"""PoolFormer and the MetaFormer architecture for Keras 3, on TensorFlow, JAX and PyTorch."""

from keras_poolformer import inference, layers
from keras_poolformer.checkpoints.errors import CheckpointError, DownloadError
from keras_poolformer.checkpoints.load import LoadReport, load_checkpoint
from keras_poolformer.checkpoints.presets import Preset, list_presets
from keras_poolformer.checkpoints.save import save_checkpoint
from keras_poolformer.class_names import Prediction, decode_predictions, imagenet_classes
from keras_poolformer.hybrids import (
    MetaFormerIdentityS12,
    MetaFormerPPAAS12,
    MetaFormerPPFFS12,
    MetaFormerPPPAS12,
    MetaFormerPPPFS12,
)
from keras_poolformer.image_file import ImageError, read_image
from keras_poolformer.macs import count_macs
from keras_poolformer.metaformer import MetaFormer
from keras_poolformer.poolformer import (
    PoolFormerM36,
    PoolFormerM48,
    PoolFormerS12,
    PoolFormerS24,
    PoolFormerS36,
)
from keras_poolformer.prediction import predict
from keras_poolformer.preprocessing import preprocess_input
from keras_poolformer.pretrained import load_model
from keras_poolformer.second_generation import (
    CAFormerB36,
    CAFormerM36,
    CAFormerS18,
    CAFormerS36,
    ConvFormerB36,
    ConvFormerM36,
    ConvFormerS18,
    ConvFormerS36,
    IdentityFormerM36,
    IdentityFormerM48,
    IdentityFormerS12,
    IdentityFormerS24,
    IdentityFormerS36,
    PoolFormerV2M36,
    PoolFormerV2M48,
    PoolFormerV2S12,
    PoolFormerV2S24,
    PoolFormerV2S36,
    RandFormerM36,
    RandFormerM48,
    RandFormerS12,
    RandFormerS24,
    RandFormerS36,
)
from keras_poolformer.transform import EvaluationTransform, evaluation_transform
from keras_poolformer.version import __version__

__all__ = [
    "CAFormerB36",
    "CAFormerM36",
    "CAFormerS18",
    "CAFormerS36",
    "CheckpointError",
    "ConvFormerB36",
    "ConvFormerM36",
    "ConvFormerS18",
    "ConvFormerS36",
    "DownloadError",
    "EvaluationTransform",
    "IdentityFormerM36",
    "IdentityFormerM48",
    "IdentityFormerS12",
    "IdentityFormerS24",
    "IdentityFormerS36",
    "ImageError",
    "LoadReport",
    "MetaFormer",
    "MetaFormerIdentityS12",
    "MetaFormerPPAAS12",
    "MetaFormerPPFFS12",
    "MetaFormerPPPAS12",
    "MetaFormerPPPFS12",
    "PoolFormerM36",
    "PoolFormerM48",
    "PoolFormerS12",
    "PoolFormerS24",
    "PoolFormerS36",
    "PoolFormerV2M36",
    "PoolFormerV2M48",
    "PoolFormerV2S12",
    "PoolFormerV2S24",
    "PoolFormerV2S36",
    "Prediction",
    "Preset",
    "RandFormerM36",
    "RandFormerM48",
    "RandFormerS12",
    "RandFormerS24",
    "RandFormerS36",
    "__version__",
    "count_macs",
    "decode_predictions",
    "evaluation_transform",
    "imagenet_classes",
    "inference",
    "layers",
    "list_presets",
    "load_checkpoint",
    "load_model",
    "predict",
    "preprocess_input",
    "read_image",
    "save_checkpoint",
]
