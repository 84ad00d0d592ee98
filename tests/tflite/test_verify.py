import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.tflite.conftest import in_tensorflow
from tflite.convert import convert
from tflite.metadata import append_labels
from tflite.quantize import MODES
from tflite.verify import main, verify
from training.train import main as train


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder with train/ and val/ of three classes, 5 held-out images each."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("a", "b", "c"):
            (folder / part / name).mkdir(parents=True)
            for image in range(5):
                pixels = generator.integers(0, 256, (20, 20, 3)).astype("uint8")
                Image.fromarray(pixels).save(folder / part / name / f"{image}.png")
    return folder


@in_tensorflow
def test_digits_from_training_to_verification(tmp_path, capsys):
    model, file = tmp_path / "model.keras", tmp_path / "model.tflite"
    assert (
        train(
            [
                "--limit",
                "64",
                "--epochs",
                "1",
                "--set",
                "warmup_epochs=0",
                "--output",
                str(tmp_path),
            ]
        )
        == 0
    )
    convert(model, file)
    capsys.readouterr()
    assert run(file, "--model", model, "--data", "digits") == 0
    printed = capsys.readouterr().out
    assert "Compared on      360 images (held out of digits)" in printed
    for path in (model, file):
        assert str(path) in printed
    assert f"{file.stat().st_size / 1e6:.2f} MB" in printed


def test_same_model_agrees_on_a_folder(saved, converted, photos):
    report = verify(converted, saved, data=photos)
    assert report["problems"] == []
    assert report["images"] == 15
    assert report["sqnr_db"] > 100
    assert report["agreement"] == 1
    assert report["difference"] < 1e-5
    assert report["keras_accuracy"] == report["litert_accuracy"]
    assert 0 < report["litert_milliseconds"] < 1000
    assert 0 < report["keras_milliseconds"] < 1000


def test_a_folder_of_any_images(saved, converted, photos):
    report = verify(converted, saved, images=photos, limit=7)
    assert report["problems"] == []
    assert report["images"] == 7
    assert report["agreement"] == 1
    assert report["keras_accuracy"] is None


def test_without_images_photographs_of_scikit_learn_are_compared(saved, converted):
    report = verify(converted, keras.saving.load_model(saved))
    assert report["problems"] == []
    assert report["images"] == 16
    assert "scikit-learn" in report["compared_on"]


def test_a_file_alone(converted, tmp_path, capsys):
    assert run(converted, "--report", tmp_path / "report.json") == 0
    printed = capsys.readouterr().out
    assert "1 partition\n" in printed
    assert f"Report           {tmp_path / 'report.json'}" in printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["problems"] == []
    assert report["input"] == "image float32 1 x 16 x 16 x 3"
    assert report["operations"]["AVERAGE_POOL_2D"] == 2
    assert "sqnr_db" not in report


def test_a_file_whose_outputs_are_no_numbers(tmp_path, capsys):
    @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3), name="image")])
    def root_of_negative_numbers(image):
        return tf.math.rsqrt(tf.reduce_mean(image, (1, 2)) - 1000)

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [root_of_negative_numbers.get_concrete_function()], tf.Module()
    )
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    assert run(tmp_path / "model.tflite") == 1
    assert "error: outputs that are infinite or no numbers" in capsys.readouterr().err


@in_tensorflow
def test_class_names_of_the_wrong_count(saved, tmp_path, capsys):
    convert(saved, tmp_path / "model.tflite")
    content = (tmp_path / "model.tflite").read_bytes()
    (tmp_path / "model.tflite").write_bytes(append_labels(content, ["one", "two"]))
    assert run(tmp_path / "model.tflite") == 1
    assert "error: 2 class names for 3 outputs" in capsys.readouterr().err


@in_tensorflow
@pytest.mark.parametrize("mode", MODES)
def test_each_kind_of_weights_has_its_floor(mode, saved, photos, tmp_path):
    convert(saved, tmp_path / "model.tflite", quantize=mode, calibrate=photos)
    report = verify(tmp_path / "model.tflite", saved, images=photos)
    assert report["kind"] == MODES[mode].kind
    assert report["sqnr_floor_db"] == MODES[mode].minimum_sqnr
    assert (report["half_precision"] is None) == (report["kind"] == "int8")
    assert report["sqnr_db"] > MODES[mode].minimum_sqnr
    assert report["problems"] == []


def test_file_of_another_model_is_found_out(make_model, converted, photos, tmp_path, capsys):
    other = tmp_path / "other.keras"
    make_model(seed=1).save(other)
    assert run(converted, "--model", other, "--data", photos) == 1
    captured = capsys.readouterr()
    assert "error: LiteRT and Keras disagree: the outputs' ratio" in captured.err
    assert "of 15 images have another first class" in captured.err
    assert "Signal to noise" in captured.out


def test_a_small_change_of_one_weight_is_found_out(saved, converted, photos, tmp_path):
    model = keras.saving.load_model(saved)
    bias = model.get_layer("head").bias
    bias.assign(bias + np.array([0.003, 0, 0], "float32"))
    model.save(tmp_path / "changed.keras")
    (problem,) = verify(converted, tmp_path / "changed.keras", data=photos)["problems"]
    assert "ratio of signal to noise" in problem


def test_batches_and_channels_first(make_model, photos, tmp_path):
    # 15 images in batches of 4: the last one is not full.
    model = make_model((3, 16, 16), data_format="channels_first", classifier_activation=None)
    model.save(tmp_path / "model.keras")
    convert(tmp_path / "model.keras", tmp_path / "model.tflite", batch=4)
    report = verify(tmp_path / "model.tflite", tmp_path / "model.keras", data=photos)
    assert report["problems"] == []
    assert report["images"] == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--data": "digits"}, "`data` must be what `model` was trained on"),
        ({"--data": "nowhere"}, "`data` must be a folder, or the name of a data set"),
        ({"--model": "nowhere.keras"}, "`source` names a file that does not exist"),
        ({"file": "nowhere.tflite"}, "nowhere.tflite"),
        ({"--model": "{other}"}, "`file` must be made from `model`"),
        ({"--images": "photos"}, "`images` must not be given with `data`"),
        ({"--limit": "0"}, "`limit` must be a positive number of images. Received: 0"),
        ({"--report": "nowhere/report.json"}, "nowhere"),
    ],
)
def test_bad_input(saved, converted, photos, make_model, tmp_path, capsys, change, message):
    if "{other}" in change.values():
        make_model((32, 32, 3)).save(tmp_path / "other.keras")
        change = {"--model": tmp_path / "other.keras"}
    given = {"file": converted, "--model": saved, "--data": photos, **change}
    file = given.pop("file")
    assert run(file, *(word for pair in given.items() for word in pair)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize("option", ["--data", "--images"])
def test_images_without_a_model(converted, photos, option, capsys):
    assert run(converted, option, photos) == 2
    assert "error: `model` must be given" in capsys.readouterr().err
