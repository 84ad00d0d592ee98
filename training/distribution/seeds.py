"""Seeds that differ between devices but are the same whenever a run goes on."""

from collections.abc import Sequence

import numpy as np


def derived_seed(*parts: int) -> int:
    """Returns a seed in [0, 2**31) that depends on all the numbers, such as seed and rank.

    Sums would not do: the next seed of one device is then another device's first.
    """
    return int(np.random.SeedSequence([part % 2**32 for part in parts]).generate_state(1)[0] >> 1)


def seed_of_device(state: Sequence[int], device: int) -> np.ndarray:
    """Returns the state of a `keras.random.SeedGenerator` on one of several devices.

    Args:
        state: Seed and count of the first device, whose state stays as it is.
        device: Number of the device among all.
    """
    seed, count = (int(part) for part in state)
    return np.array([derived_seed(seed, device) if device else seed, count])
