"""Photographs at 64 pixels: a small PoolFormer that a CPU trains, with the paper's recipe.

python -m training.train --recipe images --data FOLDER --output runs/images

Measured on two shared CPU cores with JAX: about 180 images a second, so a minute an epoch
of 10,000. The accuracy of a whole training is not measured. The crop and the mixing are
milder than the paper's, whose 300 epochs need them more.
"""

from training.augmentation import Augmentation
from training.models import metaformer
from training.recipe import Recipe

RECIPE = Recipe(
    build=metaformer,
    model={
        "depths": (2, 2, 4, 2),
        "dims": (32, 64, 128, 256),
        "layer_scale_init_value": 0.1,
        "drop_path_rate": 0.05,
        "name": "poolformer_images",
    },
    image_size=64,
    augmentation=Augmentation(crop_scale=(0.35, 1.0), mixup=0.2),
    epochs=30,
    warmup_epochs=3,
    batch_size=64,
    learning_rate=2e-3,
    final_learning_rate=2e-5,
)
