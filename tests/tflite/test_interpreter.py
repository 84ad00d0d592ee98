import pytest

from tflite.interpreter import LiteRTModel


def test_names_and_shapes(converted):
    file = LiteRTModel(converted)
    assert (file.input.name, file.input.shape, file.input.dtype) == (
        "image",
        (1, 16, 16, 3),
        "float32",
    )
    assert file.output.shape == (1, 3)
    assert file.path == converted


def test_says_nothing(converted, capfd):
    LiteRTModel(converted)
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize("content", [b"", b"no model", b"\x00" * 4096])
def test_broken_file(tmp_path, content):
    (tmp_path / "broken.tflite").write_bytes(content)
    with pytest.raises(ValueError, match=r"`path`.*Received: .*broken\.tflite"):
        LiteRTModel(tmp_path / "broken.tflite")


def test_truncated_file(converted, tmp_path):
    content = converted.read_bytes()
    (tmp_path / "half.tflite").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"`path`.*Received: .*half\.tflite"):
        LiteRTModel(tmp_path / "half.tflite")


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"`path`.*missing\.tflite"):
        LiteRTModel(tmp_path / "missing.tflite")
