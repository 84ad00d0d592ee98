"""Checks of the fields of recipes."""

from collections.abc import Callable
from typing import Any


def is_integer(value: Any) -> bool:
    """Returns whether a value is an integer, which a truth value is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Returns whether a value is a number; an infinite one is."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def check_field(
    owner: Any, name: str, wanted: str, is_right: Callable[[Any], bool], prefix: str = ""
) -> None:
    """Makes sure that a field has a value that it can have.

    Args:
        owner: What has the field.
        name: Name of the field.
        wanted: What its value must be, for the message.
        is_right: Whether a value is that.
        prefix: What the message puts before the name, such as `"augmentation."`.

    Raises:
        ValueError: if the value is another.
    """
    value = getattr(owner, name)
    if not is_right(value):
        raise ValueError(f"`{prefix}{name}` must be {wanted}. Received: {value!r}")
