"""The 1,797 handwritten digits that come inside scikit-learn: no download."""

import numpy as np

from training.datasets.dataset import Dataset, Split, split_off

TEST_IMAGES = 360
VALIDATION_IMAGES = 144


def load_digits() -> Dataset:
    """Returns the digits: grey images of 8 x 8 pixels, a fifth of them held out.

    The 17 grey levels, 0 to 16 in the source, are spread over [0, 255].

    Reference: [Optical Recognition of Handwritten Digits](
        https://doi.org/10.24432/C50P49), its test set.
    """
    from sklearn import datasets

    source = datasets.load_digits()
    pixels = np.rint(source.images * (255 / 16)).astype("uint8")[..., None]
    everything = Split(pixels, source.target.astype("int64"))
    rest, test = split_off(everything, TEST_IMAGES)
    train, validation = split_off(rest, VALIDATION_IMAGES)
    return Dataset(
        name="handwritten digits of scikit-learn",
        class_names=tuple(str(name) for name in source.target_names),
        channels=1,
        train=train,
        validation=validation,
        test=test,
    )
