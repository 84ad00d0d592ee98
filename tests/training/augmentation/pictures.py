"""Images on which operations can go wrong: smooth, noisy, of few values, of one value."""

import numpy as np


def _smooth(height, width):
    rows, columns = np.indices((height, width)) / max(height, width)
    colors = [80 + 120 * rows, 40 + 150 * columns, 200 - 100 * rows * columns]
    return np.stack(colors, -1) + 20 * np.sin(12 * columns + 7 * rows)[..., None]


_generator = np.random.default_rng(0)

PICTURES = {
    "smooth": _smooth(48, 40),
    "noise": _generator.integers(0, 256, (30, 41, 3)),
    "two values": _generator.integers(0, 2, (16, 16, 3)) * 100 + 50,
    "one value": np.full((9, 9, 3), 77),
    "dark": _smooth(24, 24) / 8,
}
PICTURES = {name: np.clip(value, 0, 255).astype("uint8") for name, value in PICTURES.items()}
