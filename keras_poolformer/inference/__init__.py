"""Trained MetaFormers rewritten for inference: the same function in fewer passes."""

from keras_poolformer.inference.export import ExportReport, export
from keras_poolformer.inference.fuse import fuse
from keras_poolformer.inference.fused_metaformer import FusedMetaFormer
from keras_poolformer.inference.stream_scale import scale_stream, stream_exponents

__all__ = ["ExportReport", "FusedMetaFormer", "export", "fuse", "scale_stream", "stream_exponents"]
