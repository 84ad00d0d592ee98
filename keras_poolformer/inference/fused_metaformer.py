"""The model that a fusion returns."""

import math
import re
from typing import Any

import keras

from keras_poolformer.image_input import check_images
from keras_poolformer.layers.data_format import DataFormat
from keras_poolformer.layers.patch_embedding import PatchEmbedding

BLOCK = re.compile(r"stage(?P<stage>\d+)_block\d+_mlp")


@keras.saving.register_keras_serializable(package="keras_poolformer")
class FusedMetaFormer(keras.Model):
    """A MetaFormer for inference, made by `keras_poolformer.inference.fuse`.

    Takes and returns what the `MetaFormer` did, as in inference also where
    `training=True`. Like any functional model it is saved as a graph of its layers.

    Attributes:
        pyramid_outputs, depths, dims, classes, include_preprocessing, data_format:
            Those of the `MetaFormer`.
    """

    @property
    def pyramid_outputs(self) -> dict[str, Any]:
        """The raw output of every stage, by the logarithm of its stride: `"P2"`, ..."""
        stride, maps = 1, {}
        for layer in self.layers:
            if isinstance(layer, PatchEmbedding):
                stride *= layer.strides[0]
            elif BLOCK.fullmatch(layer.name):
                maps[f"P{math.log2(stride):g}"] = layer.output  # the last one of a stage stays
        if self.data_format == "channels_last":
            return maps
        return {
            level: keras.layers.Permute((3, 1, 2), dtype=y.dtype)(y) for level, y in maps.items()
        }

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        matches = [BLOCK.fullmatch(layer.name) for layer in self.layers]
        stages = [int(match["stage"]) for match in matches if match]
        return tuple(stages.count(stage) for stage in sorted(set(stages)))

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(layer.filters for layer in self._embeddings)

    @property
    def classes(self) -> int | None:
        """Number of classes, `None` without the classifier."""
        return next((layer.units for layer in self.layers if layer.name == "head"), None)

    @property
    def include_preprocessing(self) -> bool:
        """Whether the model takes pixels in [0, 255]."""
        return any(layer.name == "preprocessing" for layer in self.layers)

    @property
    def data_format(self) -> DataFormat:
        """Layout of images and feature maps."""
        is_first = any(layer.name == "to_channels_last" for layer in self.layers)
        return "channels_first" if is_first else "channels_last"

    @property
    def _embeddings(self) -> list[PatchEmbedding]:
        return [layer for layer in self.layers if isinstance(layer, PatchEmbedding)]

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Classifies images, or returns their features."""
        channels = self.input_shape[3 if self.data_format == "channels_last" else 1]
        smallest = math.prod(layer.strides[0] for layer in self._embeddings)
        check_images(inputs.shape, self.data_format, smallest, channels)
        return super().call(inputs, training=False, mask=mask)
