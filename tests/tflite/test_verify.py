import keras
import numpy as np
import pytest
from PIL import Image

from tflite.convert import convert
from tflite.verify import compare, main, probabilities, verify
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
    assert "360 held out" in printed
    for path in (model, file):
        assert str(path) in printed
    assert f"{file.stat().st_size / 1e6:.2f} MB" in printed


def test_same_model_agrees_on_a_folder(saved, converted, photos):
    result = verify(converted, saved, photos)
    assert result.agrees
    assert result.images == 15
    assert result.difference < 1e-5
    assert result.keras_accuracy == result.litert_accuracy
    assert 0 < result.litert_milliseconds < 1000
    assert 0 < result.keras_milliseconds < 1000


def test_file_of_another_model_is_found_out(make_model, converted, photos, tmp_path, capsys):
    other = tmp_path / "other.keras"
    make_model(seed=1).save(other)
    assert run(converted, "--model", other, "--data", photos) == 1
    captured = capsys.readouterr()
    assert "error: LiteRT and Keras disagree" in captured.err
    assert "Largest difference" in captured.out


def test_a_small_change_of_one_weight_is_found_out(saved, converted, photos, tmp_path):
    model = keras.saving.load_model(saved)
    bias = model.get_layer("head").bias
    bias.assign(bias + np.array([0.003, 0, 0], "float32"))
    model.save(tmp_path / "changed.keras")
    result = verify(converted, tmp_path / "changed.keras", photos)
    assert not result.agrees
    assert 1e-4 < result.difference < 1e-3


def test_batches_and_channels_first(make_model, photos, tmp_path):
    # 15 images in batches of 4: the last one is not full.
    model = make_model((3, 16, 16), data_format="channels_first", classifier_activation=None)
    model.save(tmp_path / "model.keras")
    convert(tmp_path / "model.keras", tmp_path / "model.tflite", batch=4)
    result = verify(tmp_path / "model.tflite", tmp_path / "model.keras", photos)
    assert result.agrees
    assert result.images == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--data": "digits"}, "`data` must be what `model` was trained on"),
        ({"--data": "nowhere"}, "`data` must be a folder, or the name of a data set"),
        ({"--model": "nowhere.keras"}, "`source` names a file that does not exist"),
        ({"file": "nowhere.tflite"}, "nowhere.tflite"),
        ({"--model": "{other}"}, "`file` must be made from `model`"),
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


def compared(expected, received):
    return compare(np.array(expected), np.array(received), np.zeros(len(expected), int), 1, 1)


def test_comparison_counts():
    result = compared([[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.7, 0.3]])
    assert (result.keras_accuracy, result.litert_accuracy, result.agreement) == (0.5, 1, 0.5)
    assert result.disagreements == 1
    assert result.difference == pytest.approx(0.5)
    assert not result.agrees


def test_a_tie_is_no_disagreement():
    result = compared([[0.50001, 0.49999]], [[0.49999, 0.50001]])
    assert result.agreement == 0
    assert result.disagreements == 0
    assert result.agrees


def test_same_classes_with_other_probabilities_do_not_agree():
    assert not compared([[0.9, 0.1]], [[0.8997, 0.1003]]).agrees


def test_what_is_no_number_does_not_agree():
    assert not compared([[0.9, 0.1]], [[float("nan"), 0.1]]).agrees


def test_probabilities_of_logits():
    np.testing.assert_allclose(probabilities(np.array([[0.25, 0.75]])), [[0.25, 0.75]])
    np.testing.assert_allclose(probabilities(np.array([[1000.0, 1000.0]])), [[0.5, 0.5]])
    np.testing.assert_allclose(probabilities(np.array([[0.0, np.log(3)]])), [[0.25, 0.75]])
