"""Broken images: what is said of them, and how many are put up with."""

MOST_BROKEN = 0.05
"""Share of broken images that is put up with."""

Broken = list[tuple[str, str]]
"""The name and the trouble of each."""


def listed(broken: Broken) -> str:
    """Returns the first ten, in words."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in broken[:10])
    return shown + (f"; and {len(broken) - 10} more" if len(broken) > 10 else "")


def require_few(broken: Broken, images: int, most_broken: float) -> None:
    """Makes sure that not too many of so many images are broken.

    Raises:
        ValueError: if they are, or `most_broken` is no share.
    """
    if not 0 <= most_broken <= 1:
        raise ValueError(f"`most_broken` must be a share in [0, 1]. Received: {most_broken}")
    if len(broken) > most_broken * images:
        raise ValueError(
            f"`data` must be images of which at most {most_broken:.0%} are broken. Received: "
            f"{images} images, {len(broken)} of them broken: {listed(broken)}"
        )
