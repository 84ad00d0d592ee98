import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from keras_poolformer.image_file import read_image
from keras_poolformer.transform import EvaluationTransform
from tests.training.plain_augmentation import PlainAugmentation
from training import decoding
from training.datasets.check import check_images
from training.datasets.dataset import Split
from training.datasets.folder import load_folder
from training.pipeline import TrainingPipeline, evaluation_batches, weighted_batches
from training.worker import Worker

PLAIN = PlainAugmentation()
RANDOM = PlainAugmentation(crops=True, noise=9.0, mixup=0.8)


def numbered(images, size=(4, 4)):
    """A split whose image i has the grey level i everywhere."""
    levels = np.arange(images, dtype="uint8")[:, None, None, None]
    return Split(np.broadcast_to(levels, (images, *size, 1)), np.arange(images) % 3)


def pipeline_of(split, batch_size=4, augmentation=PLAIN, seed=0, shape=(4, 4, 1), **arguments):
    return TrainingPipeline(split, 3, shape, batch_size, augmentation, seed, **arguments)


def arrays(batches):
    """All images and labels of batches: (steps, rows, ...)."""
    parts = zip(*batches.as_numpy_iterator(), strict=True)
    return tuple(np.stack(part) for part in parts)


def levels(batches):
    return arrays(batches)[0][:, :, 0, 0, 0].astype(int)


# === An epoch ===


def test_an_epoch_has_each_image_once_but_for_the_incomplete_batch():
    pipeline = pipeline_of(numbered(11))
    batches = pipeline.epoch(0)
    assert (pipeline.steps, len(batches), int(batches.cardinality())) == (2, 2, 2)
    assert batches.element_spec[0].shape == (4, 4, 4, 1)
    assert batches.element_spec[1].shape == (4, 3)
    order = levels(batches)
    assert order.shape == (2, 4)
    assert len(set(order.flat)) == 8


def test_labels_and_pixels_belong_together():
    images, labels = arrays(pipeline_of(numbered(10), 5).epoch(3))
    assert images.dtype == labels.dtype == np.float32
    np.testing.assert_array_equal(labels.argmax(-1), images[:, :, 0, 0, 0] % 3)
    np.testing.assert_array_equal(labels.sum(-1), 1)


def test_the_order_depends_on_seed_and_epoch_alone():
    pipeline = pipeline_of(numbered(64))
    first, second = levels(pipeline.epoch(0)), levels(pipeline.epoch(1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(levels(pipeline.epoch(0)), first)
    np.testing.assert_array_equal(levels(pipeline_of(numbered(64)).epoch(1)), second)
    assert not np.array_equal(levels(pipeline_of(numbered(64), seed=1).epoch(0)), first)
    # A random order of 64 images keeps one image in its place, on average.
    assert np.sum(first.reshape(-1) == np.arange(64)) < 6


def test_every_image_and_batch_has_chance_of_its_own():
    same = Split(
        np.tile(np.arange(64, dtype="uint8").reshape(8, 8, 1), (8, 1, 1, 1)), np.arange(8) % 3
    )
    noisy = PlainAugmentation(crops=True, noise=9.0)
    pipeline = pipeline_of(same, 8, noisy)
    epochs = [arrays(pipeline.epoch(epoch))[0][0] for epoch in (0, 1)]
    assert len({image.tobytes() for images in epochs for image in images}) == 16
    mixing = pipeline_of(numbered(16), 4, PlainAugmentation(mixup=1.0))
    _, labels = arrays(mixing.epoch(0))
    shares = {round(float(batch.max(-1).min()), 4) for batch in labels if batch.max() < 1}
    assert len(shares) > 1


def test_mixing_needs_both_a_probability_and_a_kind():
    for augmentation in (
        PlainAugmentation(mixup=1.0, mix_probability=0.0),
        PlainAugmentation(mixup=0.0, cutmix=0.0),
    ):
        _, labels = arrays(pipeline_of(numbered(8), 4, augmentation).epoch(0))
        np.testing.assert_array_equal(labels.max(-1), 1)
    _, labels = arrays(pipeline_of(numbered(8), 8, PlainAugmentation(cutmix=1.0)).epoch(0))
    assert labels.max(-1).min() < 1


@pytest.mark.parametrize("source", ["pixels", "files"])
def test_an_epoch_goes_on_at_any_step(source, image_folder):
    if source == "pixels":
        split, shape = numbered(25), (4, 4, 1)
    else:
        split, shape = load_folder(image_folder).train, (8, 8, 3)
    pipeline = pipeline_of(split, 4, RANDOM, shape=shape)
    images, labels = arrays(pipeline.epoch(2))
    for step in (1, pipeline.steps - 1):
        tail = pipeline_of(split, 4, RANDOM, shape=shape).epoch(2, step)
        assert len(tail) == pipeline.steps - step
        np.testing.assert_array_equal(arrays(tail)[0], images[step:])
        np.testing.assert_array_equal(arrays(tail)[1], labels[step:])
    assert list(pipeline.epoch(2, pipeline.steps)) == []


def test_first_step_beyond_the_epoch():
    with pytest.raises(ValueError, match=r"`first_step`.*at most 2.*Received: 3"):
        pipeline_of(numbered(8)).epoch(0, 3)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("augmentation", [RANDOM, PlainAugmentation(noise=3.0)])
def test_workers_have_the_rows_of_the_batches_of_one(count, augmentation):
    split = numbered(50)
    images, labels = arrays(pipeline_of(split, 16, augmentation).epoch(1, 1))
    together = np.full_like(images, -1), np.full_like(labels, -1)
    for rank in range(count):
        worker = Worker(rank, count)
        part = pipeline_of(split, 16, augmentation, worker=worker).epoch(1, 1)
        rows = worker.rows(16, mixed=True)
        assert part.element_spec[0].shape[0] == 16 // count
        for whole, own in zip(together, arrays(part), strict=True):
            assert np.all(whole[:, rows] == -1)
            whole[:, rows] = own
    np.testing.assert_array_equal(together[0], images)
    np.testing.assert_array_equal(together[1], labels)


def test_fewer_images_than_a_batch_are_one_batch_of_all():
    pipeline = pipeline_of(numbered(7), 64)
    assert (pipeline.steps, pipeline.batch_size) == (1, 7)
    assert sorted(levels(pipeline.epoch(0))[0]) == list(range(7))
    for arguments in ({"worker": Worker(0, 2)}, {"multiple_of": 2}):
        with pytest.raises(ValueError, match=r"`batch_size`.*7 images fill.*Received: 64"):
            pipeline_of(numbered(7), 64, **arguments)


def test_functions_are_traced_once_and_epochs_leave_nothing_behind():
    traces = []

    class Counting(PlainAugmentation):
        def augment(self, image, seed):
            traces.append(seed)
            return super().augment(image, seed)

    pipeline = pipeline_of(numbered(8), 4, Counting(mixup=1.0))
    epochs = []
    for epoch in range(6):
        batches = pipeline.epoch(epoch)
        assert sum(1 for _ in batches) == 2
        epochs.append(weakref.ref(batches))
        del batches
    gc.collect()
    assert len(traces) == 1
    assert not any(epoch() is not None for epoch in epochs)


def test_without_random_crop_images_are_cut_as_for_evaluation(image_folder):
    split = load_folder(image_folder).train
    pipeline = pipeline_of(split, 6, PlainAugmentation(crop_scale=None), shape=(8, 8, 3))
    expected = {
        EvaluationTransform(8, 8)(read_image(path, upright=False)).tobytes()
        for path in split.images
    }
    for _ in range(2):  # from the files, and from memory
        images, _ = arrays(pipeline.epoch(0))
        assert {
            image.astype("uint8").tobytes() for image in images.reshape(-1, 8, 8, 3)
        } == expected


# === Evaluation ===


def test_evaluation_keeps_order_pixels_and_labels():
    split = numbered(7)
    batches = list(evaluation_batches(split, 3, (4, 4, 1), 3).as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [3, 3, 1]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert images.dtype == labels.dtype == np.float32
    np.testing.assert_array_equal(images, split.images)
    np.testing.assert_array_equal(labels, np.eye(3)[split.labels])


@pytest.mark.parametrize("kept", [0, 1 << 20])
@pytest.mark.parametrize("crop_pct", [1.0, 0.8])
def test_evaluation_has_the_pixels_of_the_transform(tmp_path, monkeypatch, rng, kept, crop_pct):
    monkeypatch.setattr(decoding, "KEPT_BYTES", kept)
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.png", "c.gif", "d.jpg")]
    for path, size in zip(paths, [(31, 37), (40, 20), (5, 10), (9, 9)], strict=True):
        pixels = rng.integers(0, 256, (*size, 3)).astype("uint8")
        Image.fromarray(pixels).save(path)
    transform = EvaluationTransform(9, 9, crop_pct)
    expected = np.stack([transform(read_image(path, upright=False)) for path in paths])
    split = Split(np.array(paths, object), np.zeros(4, int))
    batches = evaluation_batches(split, 2, (9, 9, 3), 4, crop_pct)
    for _ in range(2):
        ((images, _),) = batches.as_numpy_iterator()
        np.testing.assert_array_equal(images, expected)


def test_kept_pixels_are_read_once(image_folder):
    split = load_folder(image_folder).test
    batches = evaluation_batches(split, 3, (8, 8, 3), 4)
    first = [images for images, _ in batches.as_numpy_iterator()]
    for path in split.images:
        Image.new("RGB", (8, 8)).save(path)
    second = [images for images, _ in batches.as_numpy_iterator()]
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_in_memory_are_resized_as_files_are(rng, channels):
    pixels = rng.integers(0, 256, (2, 12, 10, channels)).astype("uint8")
    ((images, _),) = evaluation_batches(
        Split(pixels, np.zeros(2, int)), 2, (6, 6, channels), 2
    ).as_numpy_iterator()
    transform = EvaluationTransform(6, 6)
    pictures = [Image.fromarray(image.squeeze()) for image in pixels]
    expected = np.stack([transform(picture)[..., :channels] for picture in pictures])
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(("images", "count"), [(7, 1), (8, 1), (7, 2), (9, 2), (3, 4)])
def test_every_image_has_weight_one_over_all_workers(images, count):
    split, seen = numbered(images), []
    for rank in range(count):
        batches = weighted_batches(split, 3, (4, 4, 1), 4, worker=Worker(rank, count))
        assert int(batches.cardinality()) == -(-images // 4)
        for pixels, labels, weights in batches.as_numpy_iterator():
            assert (len(pixels), weights.dtype) == (4 // count, np.float32)
            assert set(weights) <= {0, 1}
            level = pixels[:, 0, 0, 0].astype(int)
            np.testing.assert_array_equal(labels.argmax(-1), level % 3)
            assert set(level[weights == 0]) <= {images - 1}
            seen += list(level[weights == 1])
    assert sorted(seen) == list(range(images))


def test_weighted_batches_must_be_shared_evenly():
    with pytest.raises(ValueError, match=r"`batch_size`.*multiple of the 2.*Received: 5"):
        weighted_batches(numbered(8), 3, (4, 4, 1), 5, worker=Worker(0, 2))


def test_real_photographs(imagenette):
    dataset = load_folder(imagenette)
    generator = np.random.default_rng(0)
    split = dataset.train.take(generator.permutation(len(dataset.train))[:64])
    split, broken = check_images(split, dataset.class_names, verbose=0)
    assert broken == []
    assert split.tensorflow_reads.all()
    # A part of a JPEG is decoded alone; but for its outermost columns, that shows nowhere.
    parts = []
    for part in (split, replace(split, tensorflow_reads=None)):
        crops = TrainingPipeline(part, 10, (64, 64, 3), 64, PlainAugmentation(crops=True), 0)
        parts.append(next(crops.epoch(0).as_numpy_iterator())[0])
    np.testing.assert_array_equal(parts[0][:, :, 1:-1], parts[1][:, :, 1:-1])
    assert np.abs(parts[0] - parts[1]).mean() < 0.05
    pipeline = TrainingPipeline(split, 10, (128, 128, 3), 64, PLAIN, 0)
    ((images, labels),) = pipeline.epoch(0).as_numpy_iterator()
    read = {
        (int(label), image.astype("uint8").tobytes())
        for image, label in zip(images, labels.argmax(-1), strict=True)
    }
    assert read == {
        (int(label), np.asarray(Image.open(path).convert("RGB")).tobytes())
        for path, label in zip(split.images, split.labels, strict=True)
    }
