import numpy as np
import pytest

from tflite.signal_to_noise import signal_to_noise


def test_ratio():
    expected = np.array([[3.0, 4.0]])
    assert signal_to_noise(expected, 1.1 * expected, "logits") == pytest.approx(20)
    assert signal_to_noise(expected, 1.001 * expected, "features") == pytest.approx(60)
    assert signal_to_noise(expected, expected, "logits") > 300


def test_what_is_no_number_is_no_signal():
    assert signal_to_noise(np.ones((1, 2)), np.array([[np.nan, 1]]), "logits") == -np.inf


def test_probabilities_are_compared_as_logits():
    logits = np.random.default_rng(0).standard_normal((4, 10)) * 3
    noisy = logits + 0.01 * np.random.default_rng(1).standard_normal((4, 10))

    def softmax(z):
        return (np.exp(z) / np.exp(z).sum(-1, keepdims=True)).astype("float32")

    def centred(z):
        return z - z.mean(-1, keepdims=True)

    expected = signal_to_noise(centred(logits), centred(noisy), "logits")
    received = signal_to_noise(softmax(logits), softmax(noisy), "probabilities")
    assert received == pytest.approx(expected, abs=0.1)


def test_the_rounding_of_probabilities_is_no_noise():
    nearly_even = np.full((1, 10), 0.1, "float32")
    nearly_even[0, 0] += 1e-4
    rounded = np.nextafter(nearly_even, np.float32(1))
    assert signal_to_noise(nearly_even, rounded, "probabilities") > 100
