import json

import pytest

from training.recipe import find_recipe
from training.settings import change, describe, parse_value, show


def test_fields_augmentations_and_arguments_of_the_model():
    recipe = change(
        find_recipe("images"),
        [
            "epochs=7",
            "ema=0.99",
            "clip_norm=none",
            "augmentation.mixup=0",
            "augmentation.crop_scale=(0.5, 1)",
            "model.token_mixer=identity",
            "model.dims=[8, 16, 32, 64]",
        ],
    )
    assert (recipe.epochs, recipe.ema, recipe.clip_norm) == (7, 0.99, None)
    assert recipe.augmentation.mixup == 0
    assert recipe.augmentation.crop_scale == (0.5, 1)
    assert recipe.augmentation.cutmix == find_recipe("images").augmentation.cutmix
    assert recipe.model["token_mixer"] == "identity"
    assert recipe.model["dims"] == [8, 16, 32, 64]
    assert recipe.model["depths"] == find_recipe("images").model["depths"]


@pytest.mark.parametrize(
    ("setting", "nearest"),
    [
        ("epoch=3", "epochs"),
        ("augmentation.mixp=0", "augmentation.mixup"),
        ("model.token_mixr=identity", "model.token_mixer"),
    ],
)
def test_an_unknown_key_names_the_nearest(setting, nearest):
    with pytest.raises(ValueError, match=f"`set` must name.*did you mean '{nearest}'"):
        change(find_recipe("images"), [setting])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "`set` must be key=value.*Received: 'epochs'"),
        ("epochs=1.5", "`epochs` must be a positive integer. Received: 1.5"),
        ("augmentation.flip=2", r"`augmentation\.flip` must be a probability"),
        ("build=x", "`set` must name a setting"),
        ("model.input_shape=3", "`set` must name a setting"),
    ],
)
def test_bad_settings(setting, message):
    with pytest.raises(ValueError, match=message):
        change(find_recipe("images"), [setting])


def test_values():
    texts = ["1", "1e-3", "None", "true", "pooling", "(1, 2)", "'a'", "1 +"]
    assert [parse_value(text) for text in texts] == [
        1,
        1e-3,
        None,
        True,
        "pooling",
        (1, 2),
        "a",
        "1 +",
    ]


def test_description_is_plain_and_tells_recipes_apart():
    recipe = find_recipe("images")
    plain = describe(recipe)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["build"] == "training.models.metaformer"
    assert plain["augmentation"]["crop_ratio"] == [3 / 4, 4 / 3]
    for setting in ("epochs=13", "augmentation.mixup=0.1", "model.pool_size=5"):
        assert describe(change(recipe, [setting])) != plain
    assert "mixup=" in show(recipe)
    assert "epochs=" in show(recipe)


def test_a_layer_is_described_by_its_configuration():
    import dataclasses

    from keras_poolformer.layers import Pooling

    recipe = dataclasses.replace(find_recipe("images"), model={"token_mixer": Pooling(5)})
    assert describe(recipe)["model"]["token_mixer"]["config"]["pool_size"] == 5
