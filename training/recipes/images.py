"""Photographs at 64 pixels: a small PoolFormer that a CPU trains.

python -m training.train --data FOLDER --output runs/images

Measured on two shared CPU cores with TensorFlow: 0.7 s a step of 64 images, so about
two minutes an epoch of 10,000. The accuracy of a whole training is not measured.
"""

import keras

from keras_poolformer import MetaFormer
from training.augmentation import CropAndFlip
from training.recipe import Recipe


def build(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Returns a PoolFormer of four stages with a total stride of 16."""
    return MetaFormer(
        depths=(2, 2, 4, 2),
        dims=(32, 64, 128, 256),
        stem_patch_size=3,
        stem_stride=2,
        stem_padding=1,
        layer_scale_init_value=0.1,
        drop_path_rate=0.1,
        include_preprocessing=True,
        input_shape=input_shape,
        classes=classes,
        data_format="channels_last",
        name="poolformer_images",
    )


RECIPE = Recipe(
    build=build,
    image_size=64,
    augmentation=CropAndFlip(shift=0.125),
    epochs=40,
    batch_size=64,
    learning_rate=2e-3,
)
