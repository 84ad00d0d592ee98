"""How far the outputs of a file are from those of its Keras model."""

import numpy as np

# Probabilities are written in float32: a difference of their logarithms below this is
# rounding, not the file's.
_ROUNDING = 5e-7


def signal_to_noise(expected: np.ndarray, received: np.ndarray, output: str) -> float:
    """Returns the ratio of signal to noise of (N, ...) outputs, in dB.

    Of probabilities it is that of the logits behind them, their logarithms less the
    mean: probabilities near 0 and 1 hide what became of the network.

    Args:
        expected: Outputs of the Keras model.
        received: Outputs of the file.
        output: `"probabilities"`, `"logits"` or `"features"`.
    """
    expected, received = expected.astype("float64"), received.astype("float64")
    if output == "probabilities":
        expected, received = _logits(expected), _logits(received)
    noise = received - expected
    if output == "probabilities":
        noise = np.where(np.abs(noise) < _ROUNDING, 0.0, noise)
    power = float(np.sum(noise**2))
    if not np.isfinite(power):
        return -np.inf
    return 10 * np.log10(max(float(np.sum(expected**2)), 1e-30) / max(power, 1e-30))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    logarithms = np.log(np.maximum(probabilities, 1e-30))
    return logarithms - logarithms.mean(-1, keepdims=True)
