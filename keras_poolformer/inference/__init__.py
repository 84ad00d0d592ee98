"""Trained MetaFormers rewritten for inference: the same function in fewer passes."""

from keras_poolformer.inference.fuse import fuse
from keras_poolformer.inference.fused_metaformer import FusedMetaFormer

__all__ = ["FusedMetaFormer", "fuse"]
