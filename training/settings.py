"""Recipes that are changed from the command line, and what is written of them."""

import ast
import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from training.recipe import Recipe

_WORDS = {"none": None, "true": True, "false": False}


def nearest(name: str, names: Iterable[str]) -> str:
    """Returns a question such as `"; did you mean 'epochs'?"`, or nothing."""
    found = difflib.get_close_matches(name, list(names), 1, 0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def setting_names(recipe: Recipe) -> list[str]:
    """Returns all keys of `--set`: fields, `augmentation.` fields and `model.` arguments."""
    fields = [field.name for field in dataclasses.fields(recipe)]
    return [
        *(name for name in fields if name not in ("build", "model", "augmentation")),
        *(f"augmentation.{field.name}" for field in dataclasses.fields(recipe.augmentation)),
        *(f"model.{name}" for name in recipe.model_arguments),
    ]


def change(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Returns the recipe with some values changed.

    Args:
        recipe: What to start from.
        settings: Texts `key=value`. The key is a field of `Recipe`,
            `augmentation.` and a field of `Augmentation`, or `model.` and an argument
            of the model; the value a Python literal, `none`, `true`, `false` or a word.

    Raises:
        ValueError: if a text has another form, a key is unknown, or a value is out of
            its range.

    Example:
    >>> change(recipe, ["epochs=100", "augmentation.mixup=0", "model.token_mixer=identity"])
    """
    fields: dict[str, Any] = {}
    augmentation: dict[str, Any] = {}
    model = dict(recipe.model)
    names = setting_names(recipe)
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"`set` must be key=value, such as epochs=100. Received: {text!r}")
        if key not in names:
            raise ValueError(
                f"`set` must name a setting of the recipe: {', '.join(names)}. "
                f"Received: {key!r}{nearest(key, names)}"
            )
        group, _, name = key.rpartition(".")
        target = {"": fields, "augmentation": augmentation, "model": model}[group]
        target[name] = parse_value(value)
    if augmentation:
        fields["augmentation"] = dataclasses.replace(recipe.augmentation, **augmentation)
    return dataclasses.replace(recipe, model=model, **fields)


def parse_value(text: str) -> Any:
    """Returns what a text means: a Python literal, a word for none or a truth, or itself."""
    if text.strip().lower() in _WORDS:
        return _WORDS[text.strip().lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def describe(recipe: Recipe) -> dict[str, Any]:
    """Returns the recipe as plain values, as they are printed, saved and compared.

    Two trainings with equal descriptions, data, seed and start do the same.
    """
    plain = dataclasses.asdict(dataclasses.replace(recipe, model=dict(recipe.model)))
    plain["build"] = f"{recipe.build.__module__}.{recipe.build.__qualname__}"  # type: ignore[attr-defined]
    return {key: _plain(value) for key, value in plain.items()}


def _plain(value: Any) -> Any:
    """JSON knows no tuples and no layers."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    import keras

    return keras.saving.serialize_keras_object(value)


def show(recipe: Recipe) -> str:
    """Returns the recipe for the terminal: one line a group of values."""
    plain = describe(recipe)
    lines = []
    for group in ("model", "augmentation"):
        values = plain.pop(group)
        lines.append(f"{group}: " + ", ".join(f"{key}={value}" for key, value in values.items()))
    del plain["build"]
    lines.insert(0, "recipe: " + ", ".join(f"{key}={value}" for key, value in plain.items()))
    return "\n".join(lines)
