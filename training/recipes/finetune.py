"""A published model, PoolFormer-S12 by default, on one's own photographs at 224 pixels.

python -m training.train --recipe finetune --data FOLDER --weights imagenet

`--set model.builder=CAFormerS18` takes another model, and for example
`--weights caformer_s18.sail_in22k_ft_in1k_384 --image-size 384` another publication of it.

Meant for a GPU; neither its time nor its accuracy is measured. The crop is milder than
in the paper's training, images are not mixed and the learning rate is small, since few
photographs and good weights to start from are the usual case. The size of the images is
free, but for RandFormer: its frozen matrices belong to the 224 pixels of the published
weights.
"""

from training.augmentation import Augmentation
from training.models import published_model
from training.recipe import Recipe

RECIPE = Recipe(
    build=published_model,
    model={"builder": "PoolFormerS12"},
    image_size=224,
    crop_pct=None,
    augmentation=Augmentation(crop_scale=(0.35, 1.0), mixup=0, cutmix=0),
    epochs=30,
    warmup_epochs=1,
    batch_size=32,
    learning_rate=1e-4,
    final_learning_rate=1e-6,
)
