import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.tflite.conftest import pixels
from tflite.convert import convert, main, static_shape
from tflite.interpreter import LiteRTModel


def difference(model, file):
    images = pixels(file.input.shape)
    return np.abs(model.predict(images, verbose=0) - file(images)).max()


def test_file_computes_what_the_model_computes(saved, converted):
    file = LiteRTModel(converted)
    assert str(file.input) == "image float32 1 x 16 x 16 x 3"
    assert file.output.shape == (1, 3)
    assert difference(keras.saving.load_model(saved), file) < 1e-5


def test_open_size_batch_and_channels_first(make_model, tmp_path):
    # A model as an object, with everything that can go wrong about its shape.
    model = make_model((3, None, None), data_format="channels_first", classifier_activation=None)
    file = convert(model, tmp_path / "model.tflite", batch=2, image_size=(16, 24))
    assert file.input.shape == (2, 3, 16, 24)
    assert file.output.shape == (2, 3)
    assert difference(model, file) < 1e-4
    assert list(tmp_path.iterdir()) == [tmp_path / "model.tflite"]


def test_command_line(saved, tmp_path):
    target = tmp_path / "model.tflite"
    done = subprocess.run(
        [sys.executable, "-m", "tflite.convert", saved, "-o", target],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["Model", "LiteRT", "Input", "Output"]
    assert f"{target} (0.0" in lines[1]
    assert LiteRTModel(target).input.shape == (1, 16, 16, 3)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((None, 8, 6, 3), None, (2, 8, 6, 3)),
        ((4, 8, 6, 3), None, (2, 8, 6, 3)),
        ((None, None, None, 3), (8, 6), (2, 8, 6, 3)),
        ((None, 3, None, None), (8, 6), (2, 3, 8, 6)),
    ],
)
def test_static_shape(shape, size, expected):
    assert static_shape(shape, 2, size) == expected


@pytest.mark.parametrize(
    ("shape", "size", "argument"),
    [
        ((None, 8, 6, 3), (8, 6), "image_size"),
        ((None, None, None, 3), None, "image_size"),
        ((None, None, None, 3), (8,), "image_size"),
        ((None, None, None, 3), (8, 0), "image_size"),
        ((None, None, 6, 3), (8, 6), "model"),
        ((None, None, 6, None), (8, 6), "model"),
        ((None, None, None, None), (8, 6), "model"),
        ((None, 20), None, "model"),
        ([(None, 8, 6, 3), (None, 4)], None, "model"),
    ],
)
def test_shapes_that_cannot_be_right(shape, size, argument):
    with pytest.raises(ValueError, match=f"^`{argument}` must.*Received: "):
        static_shape(shape, 1, size)


def test_unreadable_model_leaves_the_old_target(tmp_path, capsys):
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    (tmp_path / "broken.keras").write_bytes(b"no model")
    assert main([str(tmp_path / "broken.keras"), "-o", str(target)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: `model` must be a file that Keras saved")
    assert target.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"broken.keras", "model.tflite"}


def test_missing_model(tmp_path):
    with pytest.raises(ValueError, match=r"`model` must be the path.*nothing\.keras"):
        convert(tmp_path / "nothing.keras", tmp_path / "model.tflite")


def test_missing_target_folder(saved, tmp_path):
    with pytest.raises(ValueError, match=r"`target`.*folder that exists.*nowhere"):
        convert(saved, tmp_path / "nowhere" / "model.tflite")


def test_target_with_another_suffix(saved, tmp_path):
    with pytest.raises(ValueError, match=r"`target`.*\.tflite.*model\.onnx"):
        convert(saved, tmp_path / "model.onnx")


def test_batch_of_no_image(saved, tmp_path):
    with pytest.raises(ValueError, match=r"`batch`.*Received: 0"):
        convert(saved, tmp_path / "model.tflite", batch=0)


def test_model_beyond_litert_leaves_the_old_target(tmp_path):
    image = keras.Input((4, 4, 1))
    x = keras.ops.erfinv(keras.layers.Flatten()(image))  # LiteRT has no such operation
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"(?s)`model` cannot be converted.*Erfinv"):
        convert(keras.Model(image, x), target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
