"""A published PoolFormer, S12 by default, on one's own photographs at 224 pixels.

python -m training.train --recipe finetune --data FOLDER --weights imagenet
python -m training.train --recipe finetune --data FOLDER --weights imagenet --set model.variant=M36

Meant for a GPU; neither its time nor its accuracy is measured. The crop is milder than
in the paper's training, images are not mixed and the learning rate is small, since few
photographs and good weights to start from are the usual case.
"""

from training.augmentation import Augmentation
from training.models import poolformer
from training.recipe import Recipe

RECIPE = Recipe(
    build=poolformer,
    model={"variant": "S12"},
    image_size=224,
    crop_pct=0.9,
    augmentation=Augmentation(crop_scale=(0.35, 1.0), mixup=0, cutmix=0),
    epochs=30,
    warmup_epochs=1,
    batch_size=32,
    learning_rate=1e-4,
    final_learning_rate=1e-6,
)
