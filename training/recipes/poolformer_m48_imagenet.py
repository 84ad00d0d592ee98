"""PoolFormer-M48 on ImageNet-1k from scratch, as the paper trains it.

python -m training.train --recipe poolformer_m48_imagenet --data imagenet2012

The paper reports 82.5 % top-1 after 300 epochs with 4,096 images an update at 4e-3, which is
the rate here for that batch. Neither the time nor the accuracy is measured by this project.
"""

from training.imagenet import imagenet_recipe

RECIPE = imagenet_recipe("M48")
