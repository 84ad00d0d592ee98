import numpy as np
import pytest
import tensorflow as tf

from training.augmentation import CropAndFlip, RandomAffine

IMAGE = np.random.default_rng(0).uniform(0, 255, (8, 6, 3)).astype("float32")


@pytest.mark.parametrize("augmentation", [RandomAffine(10, 0.1, 1), CropAndFlip(0.25)])
def test_is_a_function_of_the_seed(augmentation):
    first, again, other = (
        augmentation(tf.constant(IMAGE), seed) for seed in ([1, 2], [1, 2], [1, 3])
    )
    assert first.shape == IMAGE.shape
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


def test_affine_without_range_changes_nothing():
    np.testing.assert_allclose(RandomAffine(0, 0, 0)(tf.constant(IMAGE), [1, 2]), IMAGE, atol=1e-3)


def test_affine_keeps_the_centre():
    image = np.zeros((9, 9, 1), "float32")
    image[4, 4] = 255
    for seed in range(20):
        changed = RandomAffine(20, 0.2, 0)(tf.constant(image), [0, seed]).numpy()
        assert changed.argmax() == image.argmax()
        np.testing.assert_allclose(changed[4, 4], 255, rtol=1e-3)


def test_affine_shifts_by_no_more_than_its_range():
    image = np.zeros((9, 9, 1), "float32")
    image[4, 4] = 255
    moved = set()
    for seed in range(40):
        changed = RandomAffine(0, 0, 1)(tf.constant(image), [0, seed]).numpy()[..., 0]
        rows, columns = np.indices(changed.shape)
        offset = [(axis * changed).sum() / changed.sum() - 4 for axis in (rows, columns)]
        assert np.abs(offset).max() <= 1.001
        moved.update((axis, offset[axis] > 0) for axis in (0, 1))
    assert len(moved) == 4


def test_crop_and_flip_shows_a_window_of_the_mirrored_image():
    shown = set()
    padded = np.pad(IMAGE, ((2, 2), (2, 2), (0, 0)), "reflect")  # a quarter of 8 and of 6
    windows = {
        (top, left, flip): padded[top : top + 8, left : left + 6][:, :: -1 if flip else 1]
        for top in range(5)
        for left in range(5)
        for flip in (False, True)
    }
    for seed in range(40):
        changed = CropAndFlip(0.25)(tf.constant(IMAGE), [0, seed]).numpy()
        (found,) = (key for key, window in windows.items() if np.array_equal(window, changed))
        shown.add(found)
    assert len({top for top, _, _ in shown}) == 5
    assert len({left for _, left, _ in shown}) == 5
    assert len({flip for _, _, flip in shown}) == 2
