"""PoolFormer-S24 on ImageNet-1k from scratch, as the paper trains it.

python -m training.train --recipe poolformer_s24_imagenet --data imagenet2012

The paper reports 80.3 % top-1 after 300 epochs with 4,096 images an update at 4e-3, which is
the rate here for that batch. Neither the time nor the accuracy is measured by this project.
"""

from training.models import poolformer
from training.recipe import Recipe

RECIPE = Recipe(
    build=poolformer,
    model={"variant": "S24"},
    data="imagenet2012",
    image_size=224,
    crop_pct=0.9,
    epochs=300,
    cooldown_epochs=10,
    warmup_epochs=5,
    batch_size=1024,
    learning_rate=1e-3,
    reference_batch=1024,
    precision="mixed_bfloat16",
)
