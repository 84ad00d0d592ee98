"""Packages that only a part of the library needs."""

import importlib
from typing import Any


def optional_import(name: str, purpose: str, extra: str) -> Any:
    """Imports a module of an optional package.

    Args:
        name: Name of the module.
        purpose: What it is needed for, such as `"to read .safetensors files"`.
        extra: The extra of this package that installs it.

    Raises:
        ImportError: if it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.split(".")[0]
        if error.name != package:
            raise
        raise ImportError(
            f"The package {package!r} is needed {purpose}: pip install 'keras-poolformer[{extra}]'",
            name=package,
        ) from error
