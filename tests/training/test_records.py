"""Training from TensorFlow Datasets, with data sets that are made here."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_poolformer.image_file import read_image
from keras_poolformer.transform import EvaluationTransform
from tests.backends import only_under
from tests.training.plain_augmentation import PlainAugmentation
from training.datasets import tfds as tfds_datasets
from training.datasets.check import check_dataset
from training.datasets.dataset import Split, load_dataset
from training.datasets.records import RecordSplit
from training.datasets.sample import sample_photographs
from training.pipeline import TrainingPipeline, evaluation_batches, weighted_batches
from training.tfds_images import read_tfds
from training.worker import Worker

tfds = pytest.importorskip("tensorflow_datasets")

pytestmark = only_under("tensorflow", "images are read by TensorFlow under every backend")

CLASSES = ["rat", "cat", "dog"]
TRAIN, HELD_OUT = 45, 11
DAMAGED = {8: 500, 9: 40}
"""Numbers of two images, a JPEG and a PNG, and the bytes that are left of them."""


def encoded(number, size=(14, 12)):
    """An image whose mean grey level is 2 `number`; JPEG or PNG in turn, one in four of inks."""
    target, pixels = io.BytesIO(), np.full((*size, 3), 2 * number, "uint8")
    image = Image.fromarray(pixels)
    if number % 4 == 3:
        image = image.convert("CMYK")
    image.save(target, "PNG" if number % 4 == 1 else "JPEG", quality=100)
    return target.getvalue()


def builder_class(class_name, features, examples):
    """A data set of TensorFlow Datasets that writes `examples(split)` in three files a split."""

    class Builder(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in examples}

        def _generate_examples(self, split):
            yield from enumerate(examples[split])

    Builder.name = class_name
    return Builder


def labelled(numbers):
    return [{"image": encoded(i), "label": i % 3} for i in numbers]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    label = tfds.features.ClassLabel(names=CLASSES)
    photographs = {"image": tfds.features.Image(shape=(None, None, 3)), "label": label}
    grey = {"image": tfds.features.Image(shape=(6, 5, 1)), "label": label, "id": np.int64}
    tiny = [
        {"image": np.full((6, 5, 1), 3 * i, "uint8"), "label": i % 3, "id": i} for i in range(20)
    ]
    split = {"train": labelled(range(TRAIN))}
    held_out = labelled(range(TRAIN, TRAIN + HELD_OUT))
    damaged = labelled(range(TRAIN))
    for number, keep in DAMAGED.items():
        damaged[number]["image"] = damaged[number]["image"][:keep]
    data = {
        "photographs": (photographs, {**split, "validation": held_out, "test": held_out[:3]}),
        "one_part": (photographs, split),
        "only_test": (photographs, {"test": held_out}),
        "damaged": (photographs, {"train": damaged, "test": held_out}),
        "tiny_grey": (grey, {"train": tiny, "test": tiny[:9]}),
        "boxes": (
            {"image": photographs["image"], "boxes": label},
            {"train": [{"image": encoded(1), "boxes": 0}] * 3},
        ),
        "deep": (
            {"image": tfds.features.Image(shape=(4, 4, 1), dtype=np.uint16), "label": label},
            {"train": [{"image": np.zeros((4, 4, 1), "uint16"), "label": 0}] * 3},
        ),
    }
    config = tfds.download.DownloadConfig(num_shards=3)
    with tfds.core.registered.skip_registration():
        for name, (features, examples) in data.items():
            builder = builder_class(name, features, examples)(data_dir=folder)
            builder.download_and_prepare(download_config=config)
    return folder


def numbers(images):
    """Which images they are."""
    return np.rint(images.mean((-1, -2, -3)) / 2).astype(int)


@pytest.fixture
def streamed(folder, monkeypatch):
    """The photographs, as if they did not fit into memory."""
    monkeypatch.setattr(tfds_datasets, "MEMORY_BYTES", 100)
    return load_dataset("photographs", data_dir=folder)


def pipeline_of(split, batch_size=8, augmentation=None, seed=0, **arguments):
    augmentation = augmentation or PlainAugmentation()
    return TrainingPipeline(split, 3, (6, 5, 3), batch_size, augmentation, seed, **arguments)


def epoch_of(pipeline, epoch, first_step=0):
    parts = zip(*pipeline.epoch(epoch, first_step).as_numpy_iterator(), strict=True)
    return tuple(np.stack(part) for part in parts)


# === Which data set ===


def test_what_fits_is_read_into_memory_as_files(folder):
    dataset = load_dataset("photographs", data_dir=folder)
    assert (dataset.name, dataset.class_names, dataset.channels) == (
        "photographs",
        tuple(CLASSES),
        3,
    )
    assert (len(dataset.train), len(dataset.validation)) == (TRAIN, HELD_OUT)
    assert dataset.test is dataset.validation
    assert isinstance(dataset.train, Split)
    # The names and the order are those of the evaluation.
    evaluated = list(read_tfds("photographs", None, 3, data_dir=folder).images)
    assert [image.name for image in evaluated] == list(dataset.test.names)
    assert [image.source for image in evaluated] == list(dataset.test.images)
    assert [image.label for image in evaluated] == list(dataset.test.labels)
    checked, broken = check_dataset(dataset, verbose=0)
    assert broken == []
    assert checked.train.tensorflow_reads.sum() == sum(i % 2 == 0 for i in range(TRAIN))
    images, labels = epoch_of(pipeline_of(checked.train, TRAIN), 0)
    assert sorted(numbers(images[0])) == list(range(TRAIN))
    np.testing.assert_array_equal(labels[0].argmax(-1), numbers(images[0]) % 3)


def test_small_images_of_one_size_are_read_as_pixels(folder):
    dataset = load_dataset("tiny_grey", data_dir=folder)
    assert dataset.channels == 1
    assert dataset.train.images.shape == (20, 6, 5, 1)
    assert dataset.train.images.dtype == np.uint8
    levels = dataset.train.images[:, 0, 0, 0]
    assert sorted(levels) == [3 * i for i in range(20)]
    np.testing.assert_array_equal(dataset.train.labels, levels // 3 % 3)
    assert len(dataset.test) == 9


def test_larger_ones_are_read_from_their_files(streamed):
    assert isinstance(streamed.train, RecordSplit)
    assert (len(streamed.train), len(streamed.test)) == (TRAIN, HELD_OUT)
    assert streamed.test is streamed.validation
    checked, broken = check_dataset(streamed, verbose=0)
    assert checked.train is streamed.train
    assert broken == []


@pytest.mark.parametrize("memory", [1 << 30, 100])
def test_without_a_held_out_part_a_fifth_is_held_out(folder, monkeypatch, memory):
    monkeypatch.setattr(tfds_datasets, "MEMORY_BYTES", memory)
    dataset = load_dataset("one_part", data_dir=folder)
    assert (len(dataset.train), len(dataset.test)) == (36, 9)
    parts = [
        numbers(np.concatenate([images for images, _ in batches.as_numpy_iterator()]))
        for batches in (
            evaluation_batches(part, 3, (6, 5, 3), 8) for part in (dataset.train, dataset.test)
        )
    ]
    assert sorted(np.concatenate(parts)) == list(range(TRAIN))


def test_limit_takes_the_first(streamed):
    limited = streamed.limit(10)
    assert len(limited.train) == 10
    assert limited.test is streamed.test
    ((images, _),) = evaluation_batches(limited.train, 3, (6, 5, 3), 10).as_numpy_iterator()
    ((whole, _),) = evaluation_batches(streamed.train, 3, (6, 5, 3), TRAIN).as_numpy_iterator()
    np.testing.assert_array_equal(images, whole[:10])
    with pytest.raises(ValueError, match=r"`limit`.*3 classes. Received: 2"):
        streamed.limit(2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar10", r"must be prepared. Received: 'cifar10'.*Pass --download to fetch"),
        ("no_such_data", r"must be a folder, or the name of.*'no_such_data'"),
        ("only_test", r"must have a split 'train'.*'only_test', which has test"),
        ("boxes", r"must have the features 'image' and 'label'.*'boxes'"),
        ("deep", r"1 or 3 channels and values of type uint8.*'deep'"),
        (
            "imagenet2012",
            r"must be prepared.*by hand, into \S+/downloads/manual: .*ILSVRC2012_img_train.tar and "
            r"ILSVRC2012_img_val.tar.*image-net.org.*--data-dir \S+ --download",
        ),
    ],
)
def test_errors(folder, name, message):
    with pytest.raises(ValueError, match=message):
        load_dataset(name, data_dir=folder)


def test_imagenet_without_its_files(tmp_path):
    with pytest.raises(
        ValueError, match=rf"by hand, into {tmp_path}/downloads/manual: .*_train.tar"
    ):
        load_dataset("imagenet2012", data_dir=tmp_path, download=True)


def test_nothing_is_fetched_unless_asked(tmp_path, monkeypatch):
    def fetch(*arguments, **options):
        raise AssertionError("fetched")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fetch)
    with pytest.raises(ValueError, match="must be prepared"):
        load_dataset("mnist", data_dir=tmp_path)


# === Broken images in record files ===


@pytest.fixture
def damaged(folder, monkeypatch):
    monkeypatch.setattr(tfds_datasets, "MEMORY_BYTES", 100)
    return load_dataset("damaged", data_dir=folder)


def test_broken_records_are_named_counted_and_left_out(damaged, tmp_path, capsys):
    cache = tmp_path / "files.json"
    checked, broken = check_dataset(damaged, cache)
    assert len(broken) == 2
    for name, reason in broken:
        assert re.fullmatch(r"damaged-train\.tfrecord-0000\d-of-00003__\d+", name)
        assert "Truncated" in reason or "of no format" in reason
    assert f"2 broken images are left out: {broken[0][0]}: " in capsys.readouterr().out
    assert len(checked.train) == TRAIN - 2
    whole = set(range(TRAIN)) - set(DAMAGED)
    ((images, labels),) = evaluation_batches(checked.train, 3, (6, 5, 3), TRAIN).as_numpy_iterator()
    assert set(numbers(images)) == whole
    np.testing.assert_array_equal(labels.argmax(-1), numbers(images) % 3)
    pipeline = pipeline_of(checked.train, 43)
    assert set(numbers(epoch_of(pipeline, 0)[0][0])) == whole
    weighted = weighted_batches(checked.train, 3, (6, 5, 3), 8)
    assert sum(int(weights.sum()) for _, _, weights in weighted.as_numpy_iterator()) == TRAIN - 2


def test_records_are_checked_once(damaged, tmp_path, monkeypatch):
    cache = tmp_path / "files.json"
    first = check_dataset(damaged, cache, verbose=0)
    monkeypatch.setattr(RecordSplit, "identified", None)  # cannot be read any more
    assert check_dataset(damaged, cache, verbose=0) == first


def test_too_many_broken_records_stop_the_run(damaged):
    with pytest.raises(ValueError, match=r"at most 3% are broken. Received: 45 images, 2 of"):
        check_dataset(damaged, most_broken=0.03, verbose=0)


# === Epochs of record files ===


def test_an_epoch_of_records(streamed):
    pipeline = pipeline_of(streamed.train)
    assert (pipeline.steps, len(pipeline.epoch(0))) == (5, 5)
    images, labels = epoch_of(pipeline, 0)
    order = numbers(images).reshape(-1)
    assert len(set(order)) == 40
    np.testing.assert_array_equal(labels.argmax(-1), numbers(images) % 3)
    again, other = epoch_of(pipeline, 0)[0], epoch_of(pipeline, 1)[0]
    np.testing.assert_array_equal(again, images)
    assert np.mean(numbers(other).reshape(-1) == order) < 0.2


def test_the_order_ignores_the_global_seed(streamed):
    orders = []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        orders.append(numbers(epoch_of(pipeline_of(streamed.train, seed=3), 5)[0]))
    np.testing.assert_array_equal(orders[0], orders[1])


def test_record_files_are_shuffled_beyond_the_buffer(streamed):
    split = replace(streamed.train, shuffle_buffer=1)
    first, second = (
        numbers(epoch_of(pipeline_of(split), epoch)[0]).reshape(-1) for epoch in (0, 2)
    )
    assert not np.array_equal(first, second)


def test_records_go_on_at_any_step(streamed):
    random = PlainAugmentation(crops=True, noise=5.0, mixup=0.5)
    images, labels = epoch_of(pipeline_of(streamed.train, 8, random), 1)
    tail = epoch_of(pipeline_of(streamed.train, 8, random), 1, 3)
    np.testing.assert_array_equal(tail[0], images[3:])
    np.testing.assert_array_equal(tail[1], labels[3:])


def test_workers_have_the_rows_of_the_batches_of_one(streamed):
    random = PlainAugmentation(crops=True, noise=5.0, mixup=0.5)
    images, _ = epoch_of(pipeline_of(streamed.train, 8, random), 0, 1)
    for rank in range(4):
        worker = Worker(rank, 4)
        part, _ = epoch_of(pipeline_of(streamed.train, 8, random, worker=worker), 0, 1)
        np.testing.assert_array_equal(part, images[:, worker.rows(8, True)])


def test_records_are_evaluated_with_the_pixels_of_the_transform(folder, streamed):
    batches = list(evaluation_batches(streamed.test, 3, (6, 5, 3), 4, 0.9).as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [4, 4, 3]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    transform = EvaluationTransform(6, 5, 0.9)
    source = list(read_tfds("photographs", None, 3, data_dir=folder).images)
    expected = [transform(read_image(image.source, upright=False)) for image in source]
    np.testing.assert_array_equal(images, expected)
    assert list(labels.argmax(-1)) == [image.label for image in source]


def test_records_without_random_crop_are_cut_as_for_evaluation(streamed):
    whole = PlainAugmentation(crop_scale=None)
    images, _ = epoch_of(pipeline_of(streamed.test, HELD_OUT, whole), 0)
    ((expected, _),) = evaluation_batches(streamed.test, 3, (6, 5, 3), 11).as_numpy_iterator()
    order = np.argsort(numbers(images[0]))
    np.testing.assert_array_equal(images[0][order], expected[np.argsort(numbers(expected))])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_record_has_weight_one_over_all_workers(streamed, count):
    seen = []
    for rank in range(count):
        batches = weighted_batches(streamed.test, 3, (6, 5, 3), 8, worker=Worker(rank, count))
        assert int(batches.cardinality()) == 2
        for images, _, weights in batches.as_numpy_iterator():
            assert len(images) == 8 // count
            seen += list(numbers(images)[weights == 1])
    assert sorted(seen) == list(range(TRAIN, TRAIN + HELD_OUT))


def test_samples(streamed, folder, digits, image_folder):
    files = load_dataset("photographs", data_dir=folder).train
    for split in (streamed.train, files, load_dataset(image_folder).train):
        images = sample_photographs(split, 3, 0)
        assert len({image.tobytes() for image in images}) == 3
        assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images)
        again = sample_photographs(split, 3, 0)
        assert [image.tobytes() for image in again] == [image.tobytes() for image in images]
    assert [image.shape for image in sample_photographs(digits.train, 2, 0)] == [(8, 8, 1)] * 2
