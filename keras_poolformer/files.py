"""Files that are there complete or not at all."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`, which takes its place on success.

    When the block raises, the temporary file is removed and an older `target`
    stays as it was. The temporary name ends like `target`'s, since Keras and
    others read the format from it.

    Example:
    >>> with replacing(Path("runs/model.keras")) as path:
    ...     model.save(path)
    """
    # Not `tempfile`, whose files nobody but their owner may read.
    temporary = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
