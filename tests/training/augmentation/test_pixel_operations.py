"""keras-cv stands behind one module: it is imported late, and nobody hears of it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

SCRIPT = """
import sys, warnings
from training.quiet import quiet
warnings.simplefilter("default")
with quiet():  # of TensorFlow's own messages
    import tensorflow as tf
from training.augmentation import Augmentation, pixel_operations
image = tf.ones((9, 9, 3))
Augmentation(rand_augment=0).augment(image, [0, 0])
assert "keras_cv" not in sys.modules
@tf.function
def change(x):
    x = pixel_operations.posterize(x, tf.constant(2))
    return pixel_operations.auto_contrast(pixel_operations.solarize(x, 100.0))
change(image)
assert "keras_cv" in sys.modules
"""


def test_keras_cv_is_imported_late_and_in_silence():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (result.stdout, result.stderr) == ("", "")
    assert result.returncode == 0
