"""The paper's training on ImageNet-1k, which its five sizes share."""

from keras_poolformer.variants import VARIANTS
from training.models import poolformer
from training.recipe import Recipe


def imagenet_recipe(variant: str) -> Recipe:
    """Returns the recipe of section 4.1 of the paper for a size, such as `"S12"`.

    The paper takes 4e-3 for 4,096 images an update, which is the rate here for that batch.
    """
    return Recipe(
        build=poolformer,
        model={"variant": variant},
        data="imagenet2012",
        image_size=224,
        crop_pct=VARIANTS[variant].crop_pct,
        epochs=300,
        cooldown_epochs=10,
        warmup_epochs=5,
        batch_size=1024,
        learning_rate=1e-3,
        reference_batch=1024,
        precision="mixed_bfloat16",
    )
