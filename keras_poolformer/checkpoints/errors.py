"""What can go wrong with a checkpoint."""

from collections.abc import Sequence

SHOWN = 8
"""Names that a message lists of one kind; the rest is counted."""

LONGEST = 120
"""Characters of a name that a message shows."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not fit the model."""


class DownloadError(OSError):
    """A preset that could not be downloaded."""


def listed(names: Sequence[str]) -> str:
    """Returns the first of `names` and how many more there are.

    A file's own names are data of strangers: they are cut, and shown with what
    a terminal would take for commands escaped.
    """
    shown = [ascii(name[:LONGEST])[1:-1] + "..." * (len(name) > LONGEST) for name in names[:SHOWN]]
    more = len(names) - SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
