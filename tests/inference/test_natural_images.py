"""Images like photographs: what a comparison of two networks needs."""

import itertools

import numpy as np

from keras_poolformer.inference.natural_images import natural_images


def test_pixels():
    images = natural_images(3, 24, 40, 3)
    assert images.shape == (3, 24, 40, 3)
    np.testing.assert_array_equal(images, images.astype("uint8"))
    assert images.std((1, 2, 3)).min() > 30
    assert len({round(image.mean()) for image in images}) == 3


def test_the_seed_decides():
    np.testing.assert_array_equal(natural_images(1, 8, 8, 1, 3), natural_images(1, 8, 8, 1, 3))
    assert (natural_images(1, 8, 8, 1, 3) != natural_images(1, 8, 8, 1, 4)).any()


def test_amplitude_falls_with_the_frequency():
    spectrum = np.abs(np.fft.rfft2(natural_images(16, 128, 128, 1)[..., 0])).mean(0)
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128))
    octaves = [
        spectrum[(low <= frequency) & (frequency < 2 * low)].mean()
        for low in (1 / 32, 1 / 16, 1 / 8)
    ]
    for lower, higher in itertools.pairwise(octaves):
        assert 1.6 < lower / higher < 2.4


def test_channels_are_alike():
    red, green, _ = natural_images(1, 64, 64, 3)[0].reshape(-1, 3).T
    assert np.corrcoef(red, green)[0, 1] > 0.6


def test_the_smallest_image():
    assert np.isfinite(natural_images(2, 1, 1, 3)).all()
