"""What the commands of this package share: their options, and how results are written."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_poolformer.files import replacing


def make_parser(command: str, documentation: str | None) -> argparse.ArgumentParser:
    """Returns a parser whose help has the first line of a module's documentation.

    Args:
        command: Name of the package that is run.
        documentation: Of its module.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {command}",
        description=(documentation or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Adds `--threads`, by default all cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    parser.add_argument("--threads", type=int, default=cores, help="cores of each process")


def require_at_least_one(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Checks numbers of the command line.

    Raises:
        ValueError: if one is below 1.
    """
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"`--{name}` must be at least 1. Received: {getattr(options, name)}")


def write(folder: Path, name: str, content: dict[str, Any], text: str) -> None:
    """Writes what was measured as `name`.json and as a Markdown table, and says so."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, lines in (("json", json.dumps(content, indent=1)), ("md", text)):
        with replacing(folder / f"{name}.{suffix}") as path:
            path.write_text(lines + "\n", encoding="utf-8")
    print(f"Written: {folder}/{name}.json, {name}.md", file=sys.stderr)
