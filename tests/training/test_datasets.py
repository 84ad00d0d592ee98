import numpy as np
import pytest

from training.datasets.dataset import Split, load_dataset, split_off
from training.datasets.folder import class_folders, load_folder, read_split


def rows(split):
    return {image.tobytes() for image in split.images}


def test_digits_are_three_disjoint_parts_of_the_source(digits):
    from sklearn import datasets

    source = datasets.load_digits()
    parts = (digits.train, digits.validation, digits.test)
    assert [len(part) for part in parts] == [1293, 144, 360]
    assert digits.class_names == tuple("0123456789")
    everything = sorted(
        (image.tobytes(), int(label))
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    )
    pixels = np.rint(source.images * 15.9375).astype("uint8")
    assert everything == sorted(
        (image.tobytes(), int(label)) for image, label in zip(pixels, source.target, strict=True)
    )
    # No digit occurs twice in the source, so equal rows would be a leak.
    assert len(rows(digits.test) | rows(digits.train) | rows(digits.validation)) == 1797


def test_digits_are_stratified(digits):
    for part in (digits.train, digits.validation, digits.test):
        counts = np.bincount(part.labels, minlength=10)
        assert np.abs(counts - len(part) / 10).max() <= 0.03 * len(part) / 10 + 1.5


def test_splits_are_the_same_every_time(digits):
    again = load_dataset("digits")
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(again, part).images, getattr(digits, part).images)


def test_split_off_is_no_plain_cut(digits):
    rest, part = split_off(digits.train, 93)
    assert len(rest) == 1200
    assert not np.array_equal(part.images, digits.train.images[-93:])


def test_limit_keeps_every_class_and_the_held_out_images(digits):
    limited = digits.limit(25)
    assert len(limited.train) == 25
    assert set(np.bincount(limited.train.labels)) == {2, 3}
    assert rows(limited.train) <= rows(digits.train)
    assert limited.test is digits.test
    assert digits.limit(10_000) is digits
    assert len(digits.limit(1290).train) == 1290


def test_limit_below_one_image_a_class(digits):
    with pytest.raises(ValueError, match=r"`limit`.*10 classes. Received: 9"):
        digits.limit(9)


def test_folder_with_train_and_val(image_folder):
    dataset = load_folder(image_folder)
    assert dataset.class_names == ("a", "b", "c")
    assert dataset.channels == 3
    assert (len(dataset.train), len(dataset.test)) == (18, 6)
    for part, name in ((dataset.train, "train"), (dataset.test, "val")):
        for path, label in zip(part.images, part.labels, strict=True):
            assert path.startswith(str(image_folder / name / dataset.class_names[label]))


def test_folder_of_classes_is_split_the_same_way_every_time(tmp_path, write_images):
    write_images(tmp_path, ["x", "y"], 10)
    dataset, again = load_folder(tmp_path), load_folder(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (16, 4)
    assert sorted(dataset.test.labels) == [0, 0, 1, 1]
    assert not set(dataset.train.images) & set(dataset.test.images)
    np.testing.assert_array_equal(dataset.test.images, again.test.images)


@pytest.mark.parametrize("name", ["validation", "test"])
def test_other_names_of_the_held_out_part(image_folder, name):
    (image_folder / "val").rename(image_folder / name)
    dataset = load_dataset(image_folder)
    assert (len(dataset.train), len(dataset.test)) == (18, 6)
    assert all(path.startswith(str(image_folder / name)) for path in dataset.test.images)


def test_val_comes_before_test(image_folder, write_images):
    write_images(image_folder / "test", ["a", "b", "c"], 1)
    assert len(load_dataset(image_folder).test) == 6


def test_an_existing_folder_comes_before_a_name(image_folder, monkeypatch):
    monkeypatch.chdir(image_folder.parent)
    assert load_dataset("photos").class_names == ("a", "b", "c")
    image_folder.rename(image_folder.parent / "mnist")
    assert load_dataset("mnist").class_names == ("a", "b", "c")


def test_links_hidden_files_and_names_that_are_not_ascii(tmp_path, write_images):
    write_images(tmp_path / "data", ["größe 1", "日本"], 3)
    (first, second) = (tmp_path / "data" / name for name in ("größe 1", "日本"))
    write_images(tmp_path / "elsewhere", ["x"], 1)
    (first / "linked.png").symlink_to(tmp_path / "elsewhere" / "x" / "0.png")
    (first / "lost.png").symlink_to(tmp_path / "nowhere.png")  # named by the check
    (first / "loop").symlink_to(first)
    (first / "._0.png").write_bytes(b"of a file system")
    (first / "folder.png").mkdir()
    (tmp_path / "data" / "drei").symlink_to(tmp_path / "elsewhere" / "x")
    classes = class_folders(tmp_path / "data")
    assert classes == ("drei", "größe 1", "日本")
    split = read_split(tmp_path / "data", classes)
    assert list(split.labels) == [0, 1, 1, 1, 1, 1, 2, 2, 2]
    names = ["0.png", "1.png", "2.png", "linked.png", "lost.png"]
    assert list(split.images[1:6]) == [str(first / name) for name in names]
    assert split.name(8) == str(second / "2.png")


def test_take_keeps_what_is_known_of_the_images():
    images = np.array(["a.jpg", "b.png", "c.jpg"], object)
    split = Split(images, np.arange(3), tensorflow_reads=np.array([True, False, True]))
    part = split.take([2, 1])
    assert list(part.images) == ["c.jpg", "b.png"]
    assert list(part.tensorflow_reads) == [True, False]
    assert part.names is None


def test_images_of_every_suffix_are_found_and_nothing_else(tmp_path, write_images):
    suffixes = ("jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff")
    for suffix in suffixes:
        write_images(tmp_path / suffix, ["x", "y"], 2, form=suffix)
    for name in ("x", "y"):
        (tmp_path / "all" / name).mkdir(parents=True)
        for suffix in suffixes:
            for file in (tmp_path / suffix / name).iterdir():
                file.rename(tmp_path / "all" / name / f"{file.stem}{suffix}.{suffix.upper()}")
        (tmp_path / "all" / name / "notes.txt").write_text("no image")
    dataset = load_folder(tmp_path / "all")
    assert len(dataset.train) + len(dataset.test) == 32


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"`data`.*nowhere.*no folder"):
        load_dataset(tmp_path / "nowhere")


def test_folder_without_classes(tmp_path):
    with pytest.raises(ValueError, match=r"`data`.*two classes or more.*no folder"):
        load_folder(tmp_path)


def test_folder_with_a_single_class(tmp_path, write_images):
    write_images(tmp_path, ["only"], 3)
    with pytest.raises(ValueError, match=r"`data`.*two classes or more.*only 'only'"):
        load_folder(tmp_path)


def test_class_without_images(tmp_path, write_images):
    write_images(tmp_path, ["a", "b"], 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"`data`.*\.jpg.*empty.*none"):
        load_folder(tmp_path)


def test_class_with_one_image(tmp_path, write_images):
    write_images(tmp_path, ["a"], 3)
    write_images(tmp_path, ["b"], 1)
    with pytest.raises(ValueError, match=r"`data`.*two images or more.*has 1"):
        load_folder(tmp_path)


def test_val_with_other_classes(image_folder):
    (image_folder / "val" / "c").rename(image_folder / "val" / "d")
    with pytest.raises(ValueError, match=r"`data`.*same classes.*\['c', 'd'\]"):
        load_folder(image_folder)
