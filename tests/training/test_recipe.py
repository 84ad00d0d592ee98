import dataclasses

import pytest

from keras_poolformer.variants import MODELS, VARIANTS
from training.command_line import read_command
from training.models import published_model
from training.recipe import find_recipe, recipe_titles

# From section 4.1 of the first paper, section 3.1 of the second, and their official code: the
# images of an update, the highest learning rate, the optimizer and the epochs of warm-up.
TRAININGS = {
    "PoolFormer": (4096, 4e-3, "adamw", 5),
    "IdentityFormer": (4096, 4e-3, "adamw", 5),
    "RandFormer": (4096, 4e-3, "adamw", 5),
    "PoolFormerV2": (4096, 4e-3, "adamw", 5),
    "ConvFormer": (4096, 4e-3, "adamw", 20),
    "CAFormer": (4096, 8e-3, "lamb", 20),
}
# Stochastic depth and the classifier's dropout of each size: from scratch, and at 384.
RATES = {
    "PoolFormer": {
        "S12": (0.1, 0),
        "S24": (0.1, 0),
        "S36": (0.2, 0),
        "M36": (0.3, 0),
        "M48": (0.4, 0),
    },
    "RandFormer": {
        "S12": (0.1, 0),
        "S24": (0.1, 0),
        "S36": (0.2, 0),
        "M36": (0.3, 0),
        "M48": (0.3, 0),
    },
    "ConvFormer": {"S18": (0.2, 0), "S36": (0.3, 0), "M36": (0.4, 0), "B36": (0.6, 0)},
    "CAFormer": {"S18": (0.15, 0), "S36": (0.3, 0.4), "M36": (0.4, 0.4), "B36": (0.6, 0.5)},
}
RATES["IdentityFormer"] = RATES["PoolFormerV2"] = RATES["PoolFormer"]
RATES_384 = {
    "ConvFormer": {"S18": (0.3, 0.4), "S36": (0.5, 0.4), "M36": (0.8, 0.5), "B36": (0.8, 0.5)},
    "CAFormer": {"S18": (0.3, 0.4), "S36": (0.5, 0.4), "M36": (0.7, 0.4), "B36": (0.8, 0.5)},
}
SIZES = [(family, size) for family, sizes in RATES.items() for size in sizes]
SIZES_384 = [(family, size) for family, sizes in RATES_384.items() for size in sizes]
TINY = {"depths": [1, 1, 1, 1], "dims": [8, 8, 32, 32]}


def test_lists_the_modules_and_the_table_of_models():
    expected = ["digits", "finetune", "images"]
    expected += [f"{family}_{size}_imagenet".lower() for family, size in SIZES]
    expected += [f"{family}_{size}_imagenet_384".lower() for family, size in SIZES_384]
    names = {
        name
        for name in recipe_titles()
        # Further models of the first paper train as PoolFormer does.
        if not name.startswith("metaformer")
    }
    assert names == set(expected)
    assert {f"{family.model_name(size)}_imagenet" for family, size in MODELS.values()} <= set(
        recipe_titles()
    )


def test_the_command_line_lists_them(capsys):
    with pytest.raises(SystemExit) as ended:
        read_command(["--list-recipes"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(recipe_titles())
    assert (
        "caformer_s18_imagenet_384    CAFormer-S18 at 384 pixels from weights at 224; its paper "
        "reports 85.0 % top-1"
    ) in lines


def test_an_unknown_name_lists_the_known_ones_and_names_the_nearest():
    with pytest.raises(ValueError, match=r"`recipe`.*digits.*Received: 'digit'; did you mean 'dig"):
        find_recipe("digit")
    with pytest.raises(ValueError, match="did you mean 'caformer_s18_imagenet'"):
        find_recipe("caformer_s18_imagent")


@pytest.mark.parametrize("name", ["digits", "images", "finetune", "poolformer_s12_imagenet"])
def test_recipes_build_a_model_on_pixels(name):
    recipe = find_recipe(name)
    channels = 1 if name == "digits" else 3
    shape = (recipe.image_size, recipe.image_size, channels)
    model = recipe.build(shape, 7, dtype="float32", **recipe.model)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 7)
    assert any(layer.name == "preprocessing" for layer in model.layers)


def model_of(family, size, rates):
    drop_path_rate, head_dropout_rate = rates[family][size]
    return {
        "builder": f"{family}{size}",
        "drop_path_rate": drop_path_rate,
        "head_dropout_rate": head_dropout_rate,
    }


@pytest.mark.parametrize(("family", "size"), SIZES)
def test_imagenet_recipes_are_the_papers(family, size):
    recipe = find_recipe(f"{family}_{size}_imagenet".lower())
    assert recipe.model == model_of(family, size, RATES)
    assert recipe.crop_pct == (VARIANTS[size].crop_pct if family == "PoolFormer" else 1.0)
    batch, rate, optimizer, warmup = TRAININGS[family]
    large = dataclasses.replace(recipe, batch_size=batch)
    assert large.peak_learning_rate == pytest.approx(rate)
    assert (recipe.optimizer, recipe.warmup_epochs) == (optimizer, warmup)
    assert (recipe.epochs, recipe.cooldown_epochs, recipe.image_size) == (300, 10, 224)
    assert (recipe.schedule, recipe.data) == ("cosine", "imagenet2012")
    assert (recipe.warmup_learning_rate, recipe.final_learning_rate) == (1e-6, 1e-5)
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.ema) == (0.05, 0.1, None)
    assert recipe.clip_norm == (1.0 if optimizer == "lamb" else None)
    aug = recipe.augmentation
    assert (aug.mixup, aug.cutmix, aug.cutmix_share, aug.mix_probability) == (0.8, 1.0, 0.5, 1.0)
    assert (aug.rand_augment, aug.magnitude, aug.magnitude_std) == (2, 9, 0.5)
    assert (aug.erasing, aug.flip, aug.crop_scale) == (0.25, 0.5, (0.08, 1.0))


@pytest.mark.parametrize(("family", "size"), SIZES_384)
def test_fine_tuning_at_384_is_the_papers(family, size):
    recipe = find_recipe(f"{family}_{size}_imagenet_384".lower())
    assert recipe.model == model_of(family, size, RATES_384)
    assert (recipe.image_size, recipe.crop_pct) == (384, 1.0)
    assert (recipe.epochs, recipe.cooldown_epochs, recipe.warmup_epochs) == (30, 0, 0)
    assert (recipe.schedule, recipe.batch_size, recipe.ema) == ("constant", 1024, 0.9999)
    rate, optimizer = {"ConvFormer": (5e-5, "adamw"), "CAFormer": (1e-4, "lamb")}[family]
    assert (recipe.peak_learning_rate, recipe.optimizer) == (pytest.approx(rate), optimizer)
    aug = recipe.augmentation
    assert (aug.mixup, aug.cutmix, aug.rand_augment, aug.erasing) == (0, 0, 2, 0.25)
    assert (recipe.weight_decay, recipe.label_smoothing) == (0.05, 0.1)


@pytest.mark.parametrize("family", RATES)
def test_training_builds_every_family(family):
    size = list(RATES[family])[-1]
    recipe = find_recipe(f"{family}_{size}_imagenet".lower())
    config = recipe.build((64, 64, 3), 7, dtype="float32", **recipe.model, **TINY).get_config()
    theirs = MODELS[f"{family}{size}"][0].arguments.get("token_mixer", "pooling")
    mixers = config["token_mixer"]
    assert (
        tuple(mixers) == theirs if isinstance(theirs, tuple) else mixers in (theirs, [theirs] * 4)
    )
    assert config["drop_path_rate"] == recipe.model["drop_path_rate"]
    assert config["head_dropout_rate"] == recipe.model["head_dropout_rate"]
    assert config["include_preprocessing"]
    assert config["name"] == f"{family}_{size}".lower()


def test_the_rates_of_a_model_are_its_papers_unless_others_are_given():
    model = published_model((64, 64, 3), 2, builder="CAFormerB36", **TINY)
    config = model.get_config()
    assert (config["drop_path_rate"], config["head_dropout_rate"]) == (0.6, 0.5)
    none = published_model((32, 32, 3), 2, drop_path_rate=0, **TINY)
    assert none.get_config()["drop_path_rate"] == 0
    message = (
        r"`model\.builder` must be one of PoolFormerS12.*Received: 'CAFormerS12'; did you mean"
    )
    with pytest.raises(ValueError, match=message):
        published_model((32, 32, 3), 2, builder="CAFormerS12")


def test_a_pooling_of_another_size_takes_the_place_of_the_models_own():
    model = published_model((64, 64, 3), 2, builder="PoolFormerV2S12", pool_size=5, **TINY)
    assert model.get_layer("stage4_block1").token_mixer.pool_size == 5
    model = published_model((64, 64, 3), 2, builder="CAFormerS18", pool_size=5, **TINY)
    assert type(model.get_layer("stage4_block1").token_mixer).__name__ == "SelfAttention"


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
