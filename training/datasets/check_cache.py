"""The file that keeps what a check of images found, so that the next run need not check."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_poolformer.files import replacing

_FORMAT = 2


@dataclass
class CheckCache:
    """What is known of images.

    Attributes:
        path: A JSON file, or `None` to keep nothing.
        images: By the name of an image: its size, what else tells that it has changed, and
            the two parts of its `Result`.
        records: By the place of a split: the id and the trouble of each broken image.
    """

    path: Path | None
    images: dict[str, list[Any]] = field(default_factory=dict)
    records: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> "CheckCache":
        """Reads the file, if it is there.

        Raises:
            ValueError: if it is another kind of file.
        """
        if path is None or not path.is_file():
            return cls(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] == _FORMAT:
                return cls(path, content["images"], content["records"])
        except (ValueError, KeyError, TypeError):
            pass
        raise ValueError(
            "`cache` must be a file that a check of images wrote; remove it to have one written. "
            f"Received: {str(path)!r}"
        )

    def save(self) -> None:
        """Writes the file."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"format": _FORMAT, "images": self.images, "records": self.records}
        with replacing(self.path) as path:
            path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
