"""What a straight port to Keras looks like, as those that exist: the layers that Keras has."""

from collections.abc import Callable
from typing import Any

import keras

from benchmarks.speed.job import Job
from benchmarks.speed.keras_steps import make_step
from keras_poolformer.layers import LayerScale
from keras_poolformer.variants import VARIANTS


def make(job: Job) -> Callable[[], Any]:
    """Returns a step of the straight port."""
    return make_step(build, job)


def build(job: Job) -> keras.Model:
    """Returns a PoolFormer of GroupNormalization, AveragePooling2D and 1x1 Conv2D."""
    variant, layers = VARIANTS[job.variant], keras.layers
    # On PyTorch Keras copies channels_last maps to channels_first, so a port there has those.
    layout = "channels_first" if keras.config.backend() == "torch" else "channels_last"
    axis = 1 if layout == "channels_first" else -1

    def convolution(x: Any, filters: int, size: int, stride: int, padding: int) -> Any:
        if padding:
            x = layers.ZeroPadding2D(padding, data_format=layout)(x)
        return layers.Conv2D(filters, size, stride, data_format=layout)(x)

    def scaled(x: Any) -> Any:
        return LayerScale(variant.layer_scale_init_value or 1.0, data_format=layout)(x)

    def norm(x: Any) -> Any:
        return layers.GroupNormalization(1, axis=axis, epsilon=1e-5)(x)

    image = x = keras.Input((job.size, job.size, 3))
    if layout == "channels_first":
        x = layers.Permute((3, 1, 2))(x)
    for stage, (depth, dim) in enumerate(zip(variant.depths, variant.dims, strict=True)):
        x = convolution(x, dim, *((7, 4, 2) if stage == 0 else (3, 2, 1)))
        for _ in range(depth):
            y = norm(x)
            pooled = layers.AveragePooling2D(3, 1, "same", data_format=layout)(y)
            x = x + scaled(pooled - y)
            y = convolution(norm(x), 4 * dim, 1, 1, 0)
            y = convolution(layers.Activation("gelu")(y), dim, 1, 1, 0)
            x = x + scaled(y)
    x = layers.GlobalAveragePooling2D(data_format=layout)(norm(x))
    return keras.Model(image, layers.Dense(1000, dtype="float32")(x))
