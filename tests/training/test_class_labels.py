import json

import pytest

from keras_poolformer.class_names import imagenet_classes
from training.class_labels import known_labels, match, read_names


def test_imagenet_without_a_file(tmp_path):
    labels = known_labels(1000, None, "poolformer_s12")
    assert labels == list(imagenet_classes())
    assert known_labels(10, None, "model.keras") is None
    names = ["n03888257", "tench", "crane_bird", "crane", "English springer"]
    assert match(names, labels, 1000) == (labels, [701, 0, 134, 517, 217])
    with pytest.raises(ValueError, match=r"`data` must have classes.*'tench'.*unknown 'fish', 'x'"):
        match(["tench", "fish", "x"], labels, 1000)


def test_names_from_files(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n dog \n\nold rat\n")
    (tmp_path / "summary.json").write_text(json.dumps({"class_names": ["a", "b"]}))
    labels = known_labels(3, tmp_path / "names.txt", "model.keras")
    assert labels == [(None, "cat"), (None, "dog"), (None, "old rat")]
    assert match(["old_rat", "cat"], labels, 3)[1] == [2, 0]
    with pytest.raises(ValueError, match=r"such as 'cat', 'dog', 'old rat'. Received: unknown 'x'"):
        match(["cat", "x"], labels, 3)
    beside = str(tmp_path / "model.keras")
    assert known_labels(2, None, beside) == [(None, "a"), (None, "b")]
    assert known_labels(2, tmp_path / "summary.json", "other") == [(None, "a"), (None, "b")]
    # Of another model, or of another kind: not an answer.
    assert known_labels(3, None, beside) is None
    (tmp_path / "summary.json").write_text("[]")
    assert known_labels(2, None, beside) is None


def test_the_data_names_the_classes():
    assert match(["a", "b"], None, 2) == ([(None, "a"), (None, "b")], [0, 1])
    with pytest.raises(ValueError, match="must have the 5 classes.*4 classes, .* and 1 more"):
        match(["a", "b", "c", "d"], None, 5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.txt", None, "'.*gone.txt', which cannot be read"),
        ("twice.txt", b"a\nb\na\n", "'.*twice.txt', which repeats 'a'"),
        ("bytes.txt", b"\xff\xfe\xfa", "'.*bytes.txt', which cannot be read"),
        ("other.json", b"{}", "'.*other.json', which cannot be read so: KeyError"),
        ("text.json", b'{"class_names": "ab"}', "'class_names' is no list"),
        ("short.txt", b"a\nb\n", "each of the 3 outputs.*'.*short.txt' with 2 names"),
    ],
)
def test_errors(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"`classes` must .*{message}"):
        known_labels(3, tmp_path / name, "model.keras")


def test_read_names_skips_nothing_else(tmp_path):
    (tmp_path / "names.txt").write_text("# a\nb\n")
    assert read_names(tmp_path / "names.txt") == ["# a", "b"]
