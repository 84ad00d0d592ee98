import dataclasses

import pytest

from keras_poolformer.variants import VARIANTS
from training.recipe import find_recipe, recipe_names

IMAGENET = [f"poolformer_{variant.lower()}_imagenet" for variant in VARIANTS]


def test_lists_the_modules():
    assert recipe_names() == sorted(["digits", "finetune", "images", *IMAGENET])


def test_an_unknown_name_lists_the_known_ones_and_names_the_nearest():
    with pytest.raises(ValueError, match=r"`recipe`.*digits.*Received: 'digit'; did you mean 'dig"):
        find_recipe("digit")


@pytest.mark.parametrize("name", ["digits", "images", "finetune", "poolformer_s12_imagenet"])
def test_recipes_build_a_model_on_pixels(name):
    recipe = find_recipe(name)
    channels = 1 if name == "digits" else 3
    shape = (recipe.image_size, recipe.image_size, channels)
    model = recipe.build(shape, 7, dtype="float32", **recipe.model)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 7)
    assert any(layer.name == "preprocessing" for layer in model.layers)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_imagenet_recipes_are_the_papers(variant):
    recipe = find_recipe(f"poolformer_{variant.lower()}_imagenet")
    assert recipe.model == {"variant": variant}
    assert recipe.crop_pct == VARIANTS[variant].crop_pct
    assert (recipe.epochs, recipe.cooldown_epochs, recipe.warmup_epochs) == (300, 10, 5)
    # The paper's own runs: 4,096 images at 4e-3.
    large = dataclasses.replace(recipe, batch_size=4096)
    assert large.peak_learning_rate == pytest.approx(4e-3)
    assert (recipe.warmup_learning_rate, recipe.final_learning_rate) == (1e-6, 1e-5)
    assert (recipe.optimizer, recipe.weight_decay, recipe.label_smoothing) == ("adamw", 0.05, 0.1)
    assert (recipe.clip_norm, recipe.ema) == (None, None)
    aug = recipe.augmentation
    assert (aug.mixup, aug.cutmix, aug.cutmix_share, aug.mix_probability) == (0.8, 1.0, 0.5, 1.0)
    assert (aug.rand_augment, aug.magnitude, aug.magnitude_std) == (2, 9, 0.5)
    assert (aug.erasing, aug.flip, aug.crop_scale) == (0.25, 0.5, (0.08, 1.0))


def test_the_variants_drop_path_rate_is_the_papers():
    from training.models import poolformer

    model = poolformer((32, 32, 3), 2, variant="S12")
    assert model.get_config()["drop_path_rate"] == 0.1
    assert poolformer((32, 32, 3), 2, drop_path_rate=0).get_config()["drop_path_rate"] == 0
    with pytest.raises(ValueError, match=r"`model\.variant` must be one of S12.*Received: 'S13'"):
        poolformer((32, 32, 3), 2, variant="S13")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("epochs", 0),
        ("epochs", True),
        ("batch_size", -1),
        ("image_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("warmup_epochs", -1),
        ("warmup_epochs", 60),
        ("label_smoothing", -0.1),
        ("weight_decay", -0.1),
        ("weight_decay", float("nan")),
        ("optimizer", "sgd"),
        ("schedule", "step"),
        ("precision", "float64"),
        ("ema", 1.0),
        ("accumulation", 0),
        ("clip_norm", 0),
        ("crop_pct", 0),
        ("freeze", -1),
        ("jit_compile", "yes"),
        ("reference_batch", 0),
        ("checkpoint_minutes", -1),
    ],
)
def test_bad_values_are_named(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`.*Received: {value!r}"):
        dataclasses.replace(find_recipe("digits"), **{argument: value})
