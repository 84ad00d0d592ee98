import dataclasses

import pytest

from training.recipe import find_recipe, recipe_names


def test_lists_the_modules():
    assert recipe_names() == ["digits", "images", "poolformer_s12"]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"`recipe`.*'digits', 'images'.*Received: 'digit'"):
        find_recipe("digit")


@pytest.mark.parametrize("name", ["digits", "images", "poolformer_s12"])
def test_every_recipe_builds_a_model_on_pixels(name):
    recipe = find_recipe(name)
    channels = 1 if name == "digits" else 3
    shape = (recipe.image_size, recipe.image_size, channels)
    model = recipe.build(shape, 7)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 7)
    assert any(layer.name == "preprocessing" for layer in model.layers)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("epochs", 0),
        ("batch_size", -1),
        ("image_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("warmup", 1.0),
        ("label_smoothing", -0.1),
        ("weight_decay", -0.1),
        ("weight_decay", float("nan")),
    ],
)
def test_bad_numbers_are_named(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`.*Received: {value}"):
        dataclasses.replace(find_recipe("digits"), **{argument: value})
