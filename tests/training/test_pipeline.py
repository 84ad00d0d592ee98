import numpy as np
import pytest
from PIL import Image

from training import pipeline
from training.augmentation import CropAndFlip
from training.datasets.dataset import Split
from training.datasets.folder import load_folder
from training.pipeline import evaluation_batches, training_batches


def unchanged(image, seed):
    return image


def numbered(images):
    """A split whose image i has the grey level i everywhere."""
    levels = np.arange(images, dtype="uint8")[:, None, None, None]
    return Split(np.broadcast_to(levels, (images, 4, 4, 1)), np.arange(images) % 3)


def order(batches):
    return [[int(image[0, 0, 0]) for image in images] for images, _ in batches.as_numpy_iterator()]


def test_evaluation_keeps_order_pixels_and_labels():
    split = numbered(7)
    batches = list(evaluation_batches(split, 3, (4, 4, 1), 3).as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [3, 3, 1]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, split.images)
    np.testing.assert_array_equal(labels, np.eye(3)[split.labels])


def test_training_has_full_batches_in_a_new_seeded_order(monkeypatch):
    def epochs(seed):
        batches = training_batches(numbered(10), 3, (4, 4, 1), 4, unchanged, seed)
        assert len(batches) == 2
        return [order(batches), order(batches)]

    first, second = epochs(0)
    for epoch in (first, second):
        assert [len(batch) for batch in epoch] == [4, 4]
        assert len({level for batch in epoch for level in batch}) == 8
    assert first != second
    assert epochs(0) == [first, second]
    assert epochs(1) != [first, second]


def test_training_labels_follow_their_images():
    batches = training_batches(numbered(10), 3, (4, 4, 1), 5, unchanged, 0)
    for images, labels in batches.as_numpy_iterator():
        np.testing.assert_array_equal(labels.argmax(-1), images[:, 0, 0, 0] % 3)


def test_augmentation_differs_by_image_and_epoch():
    images = np.tile(np.arange(64, dtype="uint8").reshape(1, 8, 8, 1), (8, 1, 1, 1))
    batches = training_batches(
        Split(images, np.zeros(8, int)), 2, (8, 8, 1), 8, CropAndFlip(0.25), 0
    )
    first, second = (next(batches.as_numpy_iterator())[0] for _ in range(2))
    assert len({image.tobytes() for image in first}) > 4
    assert {image.tobytes() for image in first} != {image.tobytes() for image in second}


def test_more_images_than_fit_into_memory_give_the_same(image_folder, monkeypatch):
    split = load_folder(image_folder).train
    cached = list(evaluation_batches(split, 3, (8, 8, 3), 4).as_numpy_iterator())
    monkeypatch.setattr(pipeline, "CACHE_BYTES", 0)
    read = list(evaluation_batches(split, 3, (8, 8, 3), 4).as_numpy_iterator())
    for one, other in zip(cached, read, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    batches = training_batches(split, 3, (8, 8, 3), 18, unchanged, 0)
    (epoch,) = batches.as_numpy_iterator()
    levels = epoch[0].mean((1, 2, 3)) // 60
    np.testing.assert_array_equal(epoch[1].argmax(-1), [{0: 1, 1: 0, 2: 2}[x] for x in levels])


@pytest.mark.parametrize("size", [(20, 40), (40, 20), (31, 37), (5, 10)])
def test_images_are_resized_to_cover_and_cut_in_the_middle(tmp_path, size):
    # Thirds of the longer side: black, grey, white. The middle must stay in the middle.
    long_side = int(np.argmax(size))
    level = np.floor((np.arange(size[long_side]) + 0.5) * 3 / size[long_side]) * 100
    pixels = level[:, None] if long_side == 0 else level[None]
    pixels = np.broadcast_to(pixels, size)[..., None].repeat(3, -1).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "image.png")
    split = Split(np.array([str(tmp_path / "image.png")]), np.array([0]))
    ((images, _),) = evaluation_batches(split, 2, (16, 16, 3), 1).as_numpy_iterator()
    assert images.shape == (1, 16, 16, 3)
    profile = images[0].mean((1 - long_side, 2))
    assert abs(profile.mean() - 100) < 8
    np.testing.assert_allclose(profile, 200 - profile[::-1], atol=12)
    np.testing.assert_array_equal(images, np.rint(images))


def test_grey_and_transparent_files_become_rgb(tmp_path):
    Image.new("L", (8, 8), 90).save(tmp_path / "grey.png")
    Image.new("RGBA", (8, 8), (10, 20, 30, 40)).save(tmp_path / "alpha.png")
    paths = np.array([str(tmp_path / "grey.png"), str(tmp_path / "alpha.png")])
    ((images, _),) = evaluation_batches(
        Split(paths, np.array([0, 1])), 2, (8, 8, 3), 2
    ).as_numpy_iterator()
    np.testing.assert_array_equal(images[:, 0, 0], [[90, 90, 90], [10, 20, 30]])
