"""Random images to compare a model and a file on, where no photographs are at hand."""

import numpy as np


def natural_images(count: int, height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    """Returns (N, H, W, C) pixels, whole numbers from 0 to 255, with the statistics of photographs.

    As in photographs, the amplitude falls with the frequency (a spectrum of 1 / f) and
    the channels are alike. White noise is not enough: averages over its pixels are
    all the same, so that the norms and the poolings of a network have nothing to do.
    """
    draw = np.random.default_rng(seed)
    noise = draw.standard_normal((count, height, width, channels))
    noise += 2 * draw.standard_normal((count, height, width, 1))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf  # the mean is set below
    spectrum = np.fft.rfft2(noise, axes=(1, 2)) / frequency[..., None]
    images = np.fft.irfft2(spectrum, s=(height, width), axes=(1, 2))
    images /= np.maximum(images.std((1, 2, 3), keepdims=True), 1e-6)
    brightness = draw.uniform(90, 160, (count, 1, 1, 1))
    return np.round(np.clip(brightness + 55 * images, 0, 255))
