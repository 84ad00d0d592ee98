"""Photographs at 64 pixels: a small PoolFormer that a CPU trains, with the paper's recipe.

python -m training.train --recipe images --data FOLDER --output runs/images

Measured on two CPU cores that another training shared: 14 to 24 minutes and 48 to 50 % top-1
on imagenette (docs/results.md). The crop and the mixing are milder than the paper's, whose
300 epochs need them more.
"""

from training.augmentation import Augmentation
from training.models import metaformer
from training.recipe import Recipe

RECIPE = Recipe(
    build=metaformer,
    model={
        "depths": (1, 1, 3, 1),
        "dims": (32, 64, 128, 256),
        "layer_scale_init_value": 0.1,
        "drop_path_rate": 0.05,
        "name": "poolformer_images",
    },
    image_size=64,
    augmentation=Augmentation(crop_scale=(0.35, 1.0), mixup=0.2),
    epochs=20,
    warmup_epochs=3,
    batch_size=64,
    learning_rate=2e-3,
    final_learning_rate=2e-5,
)
