import numpy as np
from PIL import Image

from training.curves import save_curves

HISTORY = {
    "loss": [2.0, 1.0, 0.5],
    "val_loss": [1.8, 1.1, 0.7],
    "accuracy": [0.3, 0.6, 0.9],
    "val_accuracy": [0.4, 0.6, 0.8],
}


def test_draws_a_picture_of_both(tmp_path):
    target = tmp_path / "curves.png"
    save_curves(HISTORY, target, "title", "held out")
    assert list(tmp_path.iterdir()) == [target]
    first = np.array(Image.open(target).convert("RGB"))
    assert first.shape == (528, 1200, 3)
    # What it shows depends on every curve.
    for key in HISTORY:
        save_curves({**HISTORY, key: [0.1, 0.2, 0.3]}, target, "title", "held out")
        assert not np.array_equal(np.array(Image.open(target).convert("RGB")), first)


def test_one_epoch_is_enough(tmp_path):
    save_curves({key: [0.5] for key in HISTORY}, tmp_path / "curves.png", "title", "held out")
    assert (tmp_path / "curves.png").stat().st_size > 5_000
