import pytest

from training.labelled_images import read_folder


@pytest.fixture
def photos(tmp_path, write_images):
    write_images(tmp_path / "photos", ["a", "c", "b"], 3)
    return tmp_path / "photos"


def test_class_folders(photos):
    data = read_folder(photos, None, 3)
    assert (data.name, data.classes, data.count) == (str(photos), 3, 9)
    assert data.labels == [(None, "a"), (None, "b"), (None, "c")]
    assert [image.label for image in data.images] == [0] * 3 + [1] * 3 + [2] * 3
    images = list(data.images)
    assert images[3].name == str(images[3].source) == str(photos / "b" / "0.png")
    labels = [(None, name) for name in "cxab"]
    assert [image.label for image in read_folder(photos, labels, 4).images][::3] == [2, 3, 0]


def test_val_before_test_before_the_folder(tmp_path, write_images):
    write_images(tmp_path / "test", ["a", "b"], 2)
    write_images(tmp_path / "train", ["a", "b"], 1)
    assert read_folder(tmp_path, None, 2).name == str(tmp_path / "test")
    write_images(tmp_path / "val", ["a", "b"], 2)
    assert read_folder(tmp_path, None, 2).name == str(tmp_path / "val")
    assert read_folder(tmp_path, None, 2, split="train").count == 2
    with pytest.raises(ValueError, match="`split` must name a folder.*'night'"):
        read_folder(tmp_path, None, 2, split="night")


def test_limit_is_even(photos):
    for path in sorted((photos / "a").iterdir())[1:]:
        path.unlink()
    data = read_folder(photos, None, 3, limit=5)
    assert [image.label for image in data.images] == [0, 1, 1, 2, 2]
    assert read_folder(photos, None, 3, limit=99).count == 7


def test_other_files_are_passed_over(photos):
    (photos / "readme.md").touch()
    (photos / "a" / "notes.txt").touch()
    (photos / "a" / ".hidden.txt").touch()
    (photos / "a" / "more").mkdir()
    (photos / "a" / "0.png").rename(photos / "a" / "more" / "0.PNG")
    data = read_folder(photos, None, 3)
    assert data.count == 9
    assert data.passed_over == (str(photos / "readme.md"), str(photos / "a" / "notes.txt"))


def test_errors(photos, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="`data` must be a folder.*'.*empty', which holds nothing"):
        read_folder(empty, None, 3)
    (empty / "photo.jpg").touch()
    with pytest.raises(ValueError, match="which holds 1 files and no folder"):
        read_folder(empty, None, 3)
    with pytest.raises(ValueError, match="'.*photo.jpg', which is a file"):
        read_folder(empty / "photo.jpg", None, 3)
    with pytest.raises(ValueError, match="unknown 'c'"):
        read_folder(photos, [(None, "a"), (None, "b")], 2)
    for path in (photos / "b").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match="in every class folder. Received: '.*b', which holds"):
        read_folder(photos, None, 3)
