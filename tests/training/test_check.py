import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_poolformer.transform import EvaluationTransform
from tests.backends import only_under
from tests.training.plain_augmentation import PlainAugmentation
from training import decoding
from training.datasets import check
from training.datasets.check import check_dataset, check_images
from training.datasets.dataset import Split, load_dataset
from training.datasets.folder import class_folders, load_folder, read_split
from training.pipeline import TrainingPipeline, evaluation_batches

pytestmark = only_under("tensorflow", "images are read by TensorFlow under every backend")


def picture(height=12, width=10, channels=3):
    generator = np.random.default_rng(height * width)
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(generator.integers(0, 256, shape).astype("uint8"))


def save_cmyk(path):
    picture(channels=4).convert("CMYK").save(path)


def save_symbolic_link(path):
    target = path.parent.parent.parent / "elsewhere.jpg"
    picture().save(target)
    path.symlink_to(target)


def save_turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(path, exif=exif)


WHOLE = {
    "plain.jpg": (lambda path: picture().save(path, quality=90), True),
    "progressive.jpg": (lambda path: picture().save(path, progressive=True), True),
    "full_colour.jpg": (lambda path: picture().save(path, subsampling=0), True),
    "grey.jpg": (lambda path: picture(channels=1).save(path), True),
    "turned.jpg": (save_turned, True),
    "one_pixel.jpg": (lambda path: picture(1, 1).save(path), True),
    "wide.jpg": (lambda path: picture(3, 20_000).save(path), True),
    "link.jpg": (save_symbolic_link, True),
    "inks.jpg": (save_cmyk, False),
    "wrongly_named.jpg": (lambda path: picture().save(path, "PNG"), False),
    "wide.png": (lambda path: picture(2, 20_000).save(path), False),
    "tall.png": (lambda path: picture(20_000, 1).save(path), False),
    "alpha.png": (lambda path: picture(channels=4).save(path), False),
    "palette.png": (lambda path: picture().quantize(16).save(path), False),
    "black_and_white.png": (lambda path: picture().convert("1").save(path), False),
    "grey_alpha.png": (lambda path: picture(channels=4).convert("LA").save(path), False),
    "colours.webp": (lambda path: picture().save(path, lossless=True), False),
    "colours.tif": (lambda path: picture().save(path), False),
    "colours.bmp": (lambda path: picture().save(path), False),
    "animated.gif": (
        lambda path: picture().save(
            path, save_all=True, append_images=[ImageOps.invert(picture())]
        ),
        False,
    ),
}


def cut(path):
    picture(64, 64).save(path)
    path.write_bytes(path.read_bytes()[:900])


BROKEN = {
    "empty.jpg": (lambda path: path.write_bytes(b""), "it is empty"),
    "text.jpg": (lambda path: path.write_text("not an image"), "of no format that Pillow knows"),
    "cut.jpg": (cut, "truncated"),
    "cut.png": (cut, "truncated"),
    "depth.tif": (
        lambda path: Image.fromarray(np.ones((9, 9), "float32")).save(path),
        "the range of its values is not known (mode F)",
    ),
    "loop.jpg": (lambda path: path.symlink_to(path), "it cannot be read: Too many levels"),
    "lost.jpg": (lambda path: path.symlink_to(path.parent / "gone"), "it cannot be read: No such"),
}


def folder_of(root, files):
    """Writes the files into the class "Füchse und Wölfe", beside a class of one image."""
    (root / "Füchse und Wölfe").mkdir(parents=True)
    (root / "other").mkdir()
    picture().save(root / "other" / "image.png")
    for name, (save, _) in files.items():
        save(root / "Füchse und Wölfe" / name)
    return load_split(root)


def load_split(root):
    classes = class_folders(root)
    return read_split(root, classes), classes


def pixels_of(path):
    return np.asarray(Image.open(path).convert("RGB"))


def resized(pixels, size):
    return np.asarray(PlainAugmentation().resize(pixels, *size, None))


@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_every_kind_of_image_becomes_its_pixels(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(decoding, "KEPT_BYTES", kept)
    split, classes = folder_of(tmp_path / "data", WHOLE)
    assert len(split) == len(WHOLE) + 1
    split, broken = check_images(split, classes, verbose=0)
    assert broken == []
    names = [path.rsplit("/", 1)[1] for path in split.images[:-1]]
    assert dict(zip(names, split.tensorflow_reads, strict=False)) == {
        name: reads for name, (_, reads) in WHOLE.items()
    }
    expected = [resized(pixels_of(path), (12, 10)) for path in split.images]
    pipeline = TrainingPipeline(split, 2, (12, 10, 3), len(split), PlainAugmentation(), 0)
    ((images, _),) = pipeline.epoch(0).as_numpy_iterator()
    order = np.random.default_rng([0, 0]).permutation(len(split))
    for image, index in zip(images, order, strict=True):
        np.testing.assert_allclose(image, expected[index], atol=1e-3, err_msg=split.name(index))
    ((images, _),) = evaluation_batches(split, 2, (12, 10, 3), len(split)).as_numpy_iterator()
    transform = EvaluationTransform(12, 10)
    for image, path in zip(images, split.images, strict=True):
        np.testing.assert_array_equal(image, transform(Image.open(path)), err_msg=path)


def test_unchecked_images_become_the_same_pixels(tmp_path):
    split, classes = folder_of(tmp_path / "data", WHOLE)
    batches = []
    for part in (split, check_images(split, classes, verbose=0)[0]):
        pipeline = TrainingPipeline(part, 2, (12, 10, 3), len(split), PlainAugmentation(), 3)
        batches.append(next(pipeline.epoch(0).as_numpy_iterator())[0])
    np.testing.assert_allclose(batches[0], batches[1], atol=1e-3)


def test_broken_images_are_named_and_left_out(tmp_path, capsys):
    split, classes = folder_of(tmp_path, {**WHOLE, **BROKEN})
    assert len(split) == len(WHOLE) + len(BROKEN) + 1
    whole, broken = check_images(split, classes, most_broken=0.5, verbose=0)
    assert len(whole) == len(WHOLE) + 1
    assert {path.rsplit("/", 1)[1] for path, _ in broken} == set(BROKEN)
    for path, reason in broken:
        assert BROKEN[path.rsplit("/", 1)[1]][1] in reason
        assert path not in whole.images
    assert capsys.readouterr().out == ""
    assert [path.endswith("other/image.png") for path in whole.images[whole.labels == 1]] == [True]


def test_too_many_broken_images(tmp_path, write_images):
    write_images(tmp_path, ["a", "b"], 20)
    for i in range(12):
        (tmp_path / "a" / f"{i}.png").write_bytes(b"")
    dataset = load_folder(tmp_path)
    with pytest.raises(
        ValueError, match=r"at most 5% are broken. Received: 32 images, \d+ of them"
    ):
        check_dataset(dataset, verbose=0)
    split, classes = load_split(tmp_path)
    with pytest.raises(
        ValueError, match=r"40 images, 12 of them.*/a/0.png: it is empty;.*and 2 more"
    ):
        check_images(split, classes, most_broken=0.29, verbose=0)
    assert len(check_images(split, classes, most_broken=0.3, verbose=0)[1]) == 12


def test_a_class_that_is_broken_as_a_whole(tmp_path, write_images):
    write_images(tmp_path, ["many"], 50)
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "x.jpg").write_bytes(b"")
    split, classes = load_split(tmp_path)
    with pytest.raises(
        ValueError, match=r"whole images in every class.*'gone'.*x.jpg: it is empty"
    ):
        check_images(split, classes, verbose=0)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_no_share(share):
    with pytest.raises(ValueError, match=rf"`most_broken` must be a share.*Received: {share}"):
        check_images(Split(np.zeros(0), np.zeros(0)), (), most_broken=share)


def test_results_are_kept_as_long_as_the_files_stay(tmp_path, write_images, monkeypatch):
    data, cache = tmp_path / "data", tmp_path / "run" / "files.json"
    write_images(data, ["a", "b"], 20, form="jpg")
    (data / "a" / "0.jpg").write_bytes(b"")
    split, classes = load_split(data)
    looked_at = []
    look = check.decode
    monkeypatch.setattr(check, "decode", lambda file: looked_at.append(file) or look(file))

    def checked():
        looked_at.clear()
        return check_images(split, classes, cache, verbose=0)

    first, broken = checked()
    assert len(looked_at) == 40
    second, again = checked()
    assert looked_at == []
    assert broken == again == [(str(data / "a" / "0.jpg"), "it is empty")]
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.tensorflow_reads, second.tensorflow_reads)
    Image.new("RGB", (9, 9)).save(data / "a" / "0.jpg")
    status = os.stat(data / "b" / "1.jpg")
    os.utime(data / "b" / "1.jpg", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    _, broken = checked()
    assert sorted(looked_at) == [str(data / "a" / "0.jpg"), str(data / "b" / "1.jpg")]
    assert broken == []
    # Another part of the data in the same file.
    check_images(split.take([3]), classes, cache, verbose=0)
    assert len(json.loads(cache.read_text())["images"]) == 40
    assert sorted(path.name for path in cache.parent.iterdir()) == ["files.json"]


def test_results_are_kept_when_the_check_is_interrupted(tmp_path, write_images, monkeypatch):
    write_images(tmp_path / "data", ["a", "b"], 3)
    split, classes = load_split(tmp_path / "data")
    look = check.decode

    def stops(file):
        if file == split.images[4]:
            raise KeyboardInterrupt
        return look(file)

    monkeypatch.setattr(check, "decode", stops)
    with pytest.raises(KeyboardInterrupt):
        check_images(split, classes, tmp_path / "files.json", verbose=0)
    assert len(json.loads((tmp_path / "files.json").read_text())["images"]) == 4


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 0, "images": {}}'])
def test_a_file_of_another_kind(tmp_path, write_images, content):
    write_images(tmp_path / "data", ["a", "b"], 1)
    (tmp_path / "files.json").write_text(content)
    split, classes = load_split(tmp_path / "data")
    with pytest.raises(ValueError, match=r"`cache` must be.*remove it.*files.json"):
        check_images(split, classes, tmp_path / "files.json", verbose=0)


def test_a_data_set_is_checked_as_a_whole(image_folder, capsys):
    # One part of 18 images, one of 6 that serves twice.
    (image_folder / "train" / "a" / "0.png").write_bytes(b"")
    dataset, broken = check_dataset(load_folder(image_folder), most_broken=0.1)
    assert (len(dataset.train), len(dataset.validation)) == (17, 6)
    assert dataset.test is dataset.validation
    assert len(broken) == 1
    output = capsys.readouterr().out
    assert f"1 broken images are left out: {image_folder}/train/a/0.png: it is empty" in output


def test_pixels_in_memory_are_in_order():
    digits = load_dataset("digits")
    dataset, broken = check_dataset(digits, verbose=0)
    assert broken == []
    assert dataset.train is digits.train


def test_files_in_memory_are_checked_too(tmp_path):
    split, classes = folder_of(tmp_path, {"a.jpg": WHOLE["plain.jpg"], **BROKEN})
    readable = split.take([i for i in range(len(split)) if os.path.isfile(split.images[i])])
    content = np.empty(len(readable), object)
    content[:] = [Path(path).read_bytes() for path in readable.images]
    names = np.array([f"train[{i}]" for i in range(len(readable))], object)
    cache = tmp_path / "files.json"
    for _ in range(2):
        whole, broken = check_images(
            Split(content, readable.labels, names), classes, cache, most_broken=1, verbose=0
        )
        assert [name for name, _ in broken] == [f"train[{i}]" for i in range(1, 6)]
        assert list(whole.names) == ["train[0]", "train[6]"]
        assert list(whole.tensorflow_reads) == [True, False]
    pipeline = TrainingPipeline(whole, 2, (12, 10, 3), 2, PlainAugmentation(), 0)
    ((images, labels),) = pipeline.epoch(0).as_numpy_iterator()
    for image, label in zip(images, labels.argmax(-1), strict=True):
        path = readable.images[[0, 6][label]]
        np.testing.assert_allclose(image, pixels_of(path), atol=1e-3)
