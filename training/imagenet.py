"""The papers' trainings on ImageNet-1k: one recipe, and what each family changes in it."""

from typing import Any

from keras_poolformer.checkpoints.presets import PRESETS
from keras_poolformer.variants import MODELS
from training.augmentation import Augmentation
from training.models import published_model
from training.recipe import Recipe

# From scratch at 224 pixels, where a family departs from PoolFormer: section 3.1 of the second
# paper and the scripts of its official code.
_SECOND = {"batch_size": 4096, "learning_rate": 4e-3, "reference_batch": 4096}
_FROM_SCRATCH: dict[str, dict[str, Any]] = {
    "IdentityFormer": _SECOND,
    "RandFormer": _SECOND,
    "PoolFormerV2": _SECOND,
    "ConvFormer": {**_SECOND, "warmup_epochs": 20},
    # The LAMB of the official code clips the gradients to a global norm of 1 itself.
    "CAFormer": {
        **_SECOND,
        "warmup_epochs": 20,
        "optimizer": "lamb",
        "learning_rate": 8e-3,
        "clip_norm": 1.0,
    },
}
# At 384 pixels from the weights at 224: the optimizer, and for each size the rates of
# stochastic depth and of the classifier's dropout.
_AT_384: dict[str, tuple[dict[str, Any], dict[str, tuple[float, float]]]] = {
    "ConvFormer": (
        {"learning_rate": 5e-5},
        {"S18": (0.3, 0.4), "S36": (0.5, 0.4), "M36": (0.8, 0.5), "B36": (0.8, 0.5)},
    ),
    "CAFormer": (
        {"learning_rate": 1e-4, "optimizer": "lamb", "clip_norm": 1.0},
        {"S18": (0.3, 0.4), "S36": (0.5, 0.4), "M36": (0.7, 0.4), "B36": (0.8, 0.5)},
    ),
}


def imagenet_recipe(builder: str) -> Recipe:
    """Returns the recipe that the paper trains a model with from scratch.

    The learning rate is that of the paper's batch and scaled to any other; PoolFormer's
    4e-3 for 4,096 images is 1e-3 for the 1,024 of its official code.

    Args:
        builder: The model's builder, such as `"PoolFormerS12"`.
    """
    family, size = MODELS[builder]
    variant = family.variants[size]
    values = {"batch_size": 1024, "learning_rate": 1e-3, "reference_batch": 1024}
    return Recipe(
        build=published_model,
        model={
            "builder": builder,
            "drop_path_rate": variant.drop_path_rate,
            "head_dropout_rate": variant.head_dropout_rate,
        },
        data="imagenet2012",
        image_size=224,
        crop_pct=variant.crop_pct,
        epochs=300,
        cooldown_epochs=10,
        precision="mixed_bfloat16",
        **{**values, **_FROM_SCRATCH.get(family.name, {})},
    )


def imagenet_384_recipe(builder: str) -> Recipe:
    """Returns the recipe that the second paper fine-tunes a model with at 384 pixels.

    It is meant to start from the weights at 224 pixels.

    Args:
        builder: The model's builder, such as `"CAFormerS18"`.
    """
    family, size = MODELS[builder]
    values, rates = _AT_384[family.name]
    drop_path_rate, head_dropout_rate = rates[size]
    return Recipe(
        build=published_model,
        model={
            "builder": builder,
            "drop_path_rate": drop_path_rate,
            "head_dropout_rate": head_dropout_rate,
        },
        data="imagenet2012",
        image_size=384,
        crop_pct=family.variants[size].crop_pct,
        augmentation=Augmentation(mixup=0, cutmix=0),
        epochs=30,
        warmup_epochs=0,
        schedule="constant",
        batch_size=1024,
        reference_batch=1024,
        ema=0.9999,
        precision="mixed_bfloat16",
        **values,
    )


def _entries() -> dict[str, tuple[Any, str, str]]:
    entries: dict[str, tuple[Any, str, str]] = {}
    for builder, (family, size) in MODELS.items():
        name, top1 = family.model_name(size), family.variants[size].top1
        entries[f"{name}_imagenet"] = (
            imagenet_recipe,
            builder,
            f"{family.name}-{size} on ImageNet-1k from scratch; its paper reports {top1} % top-1",
        )
        if family.name in _AT_384:
            entries[f"{name}_imagenet_384"] = (
                imagenet_384_recipe,
                builder,
                f"{family.name}-{size} at 384 pixels from weights at 224; its paper reports "
                f"{PRESETS[f'{name}.sail_in1k_384'].top1} % top-1",
            )
    return entries


_ENTRIES = _entries()

TITLES = {name: title for name, (_, _, title) in _ENTRIES.items()}
"""What each of these recipes is, in a line, by its name."""


def find_imagenet_recipe(name: str) -> Recipe:
    """Returns the recipe with a name of `TITLES`."""
    make, builder, _ = _ENTRIES[name]
    return make(builder)
