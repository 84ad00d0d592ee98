"""PoolFormer-S12 on one's own photographs at 224 pixels, best from trained weights.

python -m training.train --recipe poolformer_s12 --data FOLDER --weights S12.keras

Neither its time nor its accuracy is measured. Meant for a GPU.
"""

import keras

from keras_poolformer import PoolFormerS12
from training.augmentation import CropAndFlip
from training.recipe import Recipe


def build(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Returns a PoolFormer-S12 with the paper's stochastic depth."""
    return PoolFormerS12(
        include_preprocessing=True,
        input_shape=input_shape,
        classes=classes,
        drop_path_rate=0.1,
        data_format="channels_last",
    )


RECIPE = Recipe(
    build=build,
    image_size=224,
    augmentation=CropAndFlip(shift=0.125),
    epochs=30,
    batch_size=32,
    learning_rate=1e-4,
)
