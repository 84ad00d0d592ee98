"""From a Keras model to a file that has passed its checks."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_poolformer
from keras_poolformer.preprocessing import preprocess_input
from tests.tflite.conftest import in_tensorflow, pixels
from tflite.convert import convert, main
from tflite.export import FileSpec, prepare
from tflite.interpreter import LiteRTModel
from tflite.metadata import read_labels


def outputs(model, images):
    return model.predict(images, verbose=0)


def test_file_computes_what_the_model_computes(saved, converted):
    file = LiteRTModel(converted)
    assert str(file.input) == "image float32 1 x 16 x 16 x 3"
    assert str(file.output) == "probabilities float32 1 x 3"
    images = pixels((1, 16, 16, 3))
    expected = outputs(keras.saving.load_model(saved), images)
    np.testing.assert_allclose(file(images), expected, atol=1e-5)


@in_tensorflow
def test_report(saved, tmp_path):
    report = convert(saved, tmp_path / "model.tflite")
    assert report["mode"] == "float32"
    assert report["sqnr_db"] > 100
    assert report["partitions"] == 1
    assert report["fully_delegated"]
    assert report["rank"] == 4
    assert report["agreement"] == 1
    assert not report["half_precision"]["overflows"]
    assert report["problems"] == []
    assert report["bytes"] == (tmp_path / "model.tflite").stat().st_size
    # The MLPs are convolutions: two for each block, beside the stem and one downsample.
    assert report["operations"]["CONV_2D"] == 6
    assert report["operations"].get("FULLY_CONNECTED", 0) == 1  # the classifier


@in_tensorflow
@pytest.mark.parametrize("normalises", [True, False])
def test_uint8_pixels_are_normalised_in_the_file(normalises, make_model, tmp_path):
    model = make_model(include_preprocessing=normalises)
    convert(model, tmp_path / "model.tflite", input="uint8")
    file = LiteRTModel(tmp_path / "model.tflite")
    assert str(file.input) == "image uint8 1 x 16 x 16 x 3"
    photo = pixels((1, 16, 16, 3)).astype("uint8")
    images = photo.astype("float32") if normalises else preprocess_input(photo)
    np.testing.assert_allclose(file(photo), outputs(model, images), atol=1e-4)


@in_tensorflow
def test_output(make_model, tmp_path):
    model = make_model()
    logits = make_model(classifier_activation=None)
    images = pixels((1, 16, 16, 3))
    for given, output, name, expected in (
        (model, "logits", "logits", outputs(logits, images)),
        (logits, "probabilities", "probabilities", outputs(model, images)),
        (logits, None, "logits", outputs(logits, images)),
    ):
        convert(given, tmp_path / "model.tflite", output=output)
        file = LiteRTModel(tmp_path / "model.tflite")
        assert file.output.name == name
        np.testing.assert_allclose(file(images), expected, rtol=1e-4, atol=1e-4)


@in_tensorflow
def test_probabilities_of_a_sigmoid_stay(make_model, tmp_path):
    model = make_model(classifier_activation="sigmoid")
    convert(model, tmp_path / "model.tflite", output="probabilities")
    images = pixels((1, 16, 16, 3))
    received = LiteRTModel(tmp_path / "model.tflite")(images)
    np.testing.assert_allclose(received, outputs(model, images), atol=1e-5)


def test_channels_first_open_size_and_batch(make_model, tmp_path):
    model = make_model((3, None, None), data_format="channels_first", classifier_activation=None)
    convert(model, tmp_path / "model.tflite", batch=2, image_size=(16, 24))
    file = LiteRTModel(tmp_path / "model.tflite")
    assert file.input.shape == (2, 16, 24, 3)  # phones have their images so
    images = pixels((2, 16, 24, 3))
    expected = outputs(model, images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(file(images), expected, rtol=1e-4, atol=1e-4)
    assert list(tmp_path.iterdir()) == [tmp_path / "model.tflite"]


@in_tensorflow
def test_any_batch(saved, tmp_path):
    convert(saved, tmp_path / "model.tflite", batch=None)
    images = pixels((5, 16, 16, 3))
    file = LiteRTModel(tmp_path / "model.tflite", batch=5)
    expected = outputs(keras.saving.load_model(saved), images)
    np.testing.assert_allclose(file(images), expected, atol=1e-5)


@in_tensorflow
def test_features(make_model, tmp_path):
    model = make_model(include_top=False, pooling="avg")
    report = convert(model, tmp_path / "model.tflite")
    assert report["agreement"] is None
    file = LiteRTModel(tmp_path / "model.tflite")
    assert str(file.output) == "features float32 1 x 16"
    images = pixels((1, 16, 16, 3))
    np.testing.assert_allclose(file(images), outputs(model, images), rtol=1e-4, atol=1e-4)


@in_tensorflow
@pytest.mark.parametrize("input", ["float32", "uint8"])
def test_a_classifier_of_ones_own_around_a_backbone(input, make_model, tmp_path):
    backbone = make_model(include_preprocessing=False, include_top=False, pooling="avg")
    model = keras.Sequential([backbone, keras.layers.Dense(4, activation="softmax")])
    convert(model, tmp_path / "model.tflite", input=input)
    photo = pixels((1, 16, 16, 3)).astype("uint8")
    images = preprocess_input(photo)
    received = LiteRTModel(tmp_path / "model.tflite")(photo if input == "uint8" else images)
    np.testing.assert_allclose(received, outputs(model, images), atol=1e-4)


@in_tensorflow
def test_half_precision_models_become_float32(make_model, tmp_path):
    model = make_model(dtype="mixed_bfloat16")
    convert(model, tmp_path / "model.tflite")
    twin = make_model()
    twin.set_weights(model.get_weights())
    images = pixels((1, 16, 16, 3))
    received = LiteRTModel(tmp_path / "model.tflite")(images)
    np.testing.assert_allclose(received, outputs(twin, images), atol=1e-5)


@in_tensorflow
def test_a_classifier_in_half_precision_becomes_float32_too(make_model, tmp_path):
    model, twin = (
        keras.Sequential(
            [
                make_model(include_top=False, pooling="avg", dtype=dtype),
                keras.layers.Dense(4, activation="softmax", dtype=dtype),
            ]
        )
        for dtype in ("mixed_float16", "float32")
    )
    twin.set_weights(model.get_weights())
    convert(model, tmp_path / "model.tflite")
    images = pixels((1, 16, 16, 3))
    received = LiteRTModel(tmp_path / "model.tflite")(images)
    np.testing.assert_allclose(received, outputs(twin, images), atol=1e-5)


@in_tensorflow
def test_a_pytorch_checkpoint(make_model, tmp_path):
    model = keras_poolformer.MetaFormer([1, 1], [8, 16], classes=3, input_shape=(32, 32, 3))
    keras_poolformer.save_checkpoint(model, tmp_path / "model.safetensors", "timm")
    convert(tmp_path / "model.safetensors", tmp_path / "model.tflite")
    file = LiteRTModel(tmp_path / "model.tflite")
    assert file.input.shape == (1, 224, 224, 3)


@in_tensorflow
def test_labels(saved, tmp_path):
    names = ["cat", "dog", "smörgåsbord"]
    for mode in ("float32", "dynamic-int8"):
        convert(saved, tmp_path / "model.tflite", labels=names, quantize=mode)
        assert read_labels(tmp_path / "model.tflite") == names
    (saved.parent / "summary.json").write_text(json.dumps({"class_names": ["a", "b", "c"]}))
    convert(saved, tmp_path / "model.tflite")
    assert read_labels(tmp_path / "model.tflite") == ["a", "b", "c"]
    (saved.parent / "summary.json").unlink()


def test_prepare_says_what_the_file_takes(make_model):
    model = make_model(include_preprocessing=False)
    _, spec = prepare(model)
    assert spec == FileSpec((16, 16, 3), 1, "float32", True, "probabilities")
    photo = pixels((1, 16, 16, 3)).astype("uint8")
    np.testing.assert_array_equal(spec.feed(photo), preprocess_input(photo))


def test_command_line(saved, tmp_path):
    target = tmp_path / "model.tflite"
    done = subprocess.run(
        [sys.executable, "-m", "tflite.convert", saved, "-o", target, "--input", "uint8"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert f"Model            {saved}" in lines
    assert any(line.startswith(f"LiteRT file      {target} (0.0") for line in lines)
    report = json.loads((tmp_path / "model.report.json").read_text())
    assert f"Signal to noise  {report['sqnr_db']:.1f} dB" in done.stdout
    assert LiteRTModel(target).input.dtype == "uint8"


BAD = {
    "suffix": ({"target": "model.onnx"}, r"`target`.*\.tflite.*model\.onnx"),
    "folder": ({"target": "nowhere/model.tflite"}, "`target`.*folder that exists.*nowhere"),
    "mode": ({"quantize": "int4"}, "`quantize` must be one of .*'mixed-int8'.*'int4'"),
    "bad mode": ({"quantize": "full-int8"}, "bad on phones: .*slower and worse than mixed"),
    "slow mode": ({"quantize": "int16x8"}, "bad on phones: .*twenty times slower"),
    "input": ({"input": "int8"}, "`input` must be one of .*'int8'"),
    "output": ({"output": "classes"}, "`output` must be one of .*'classes'"),
    "batch": ({"batch": 0}, "`batch` must be a positive.*Received: 0"),
    "no calibration": ({"quantize": "mixed-int8"}, "`calibrate` must be a folder.*mixed-int8"),
    "open batch": (
        {"quantize": "mixed-int8", "calibrate": ".", "batch": None},
        "`batch` must be a number for `quantize='mixed-int8'`",
    ),
    "images": ({"images": 7}, "`images` must be at least 8. Received: 7"),
    "calibration file": (
        {"calibrate": "nowhere"}, "`calibrate` must be a folder of images.*'nowhere'"
    ),
    "labels": ({"labels": ["a", "b"]}, "`labels` must name each of the 3 classes.*2 names"),
    "size": ({"image_size": (32, 32)}, "`image_size` must be left out.*fixed"),
}  # fmt: skip


# Found in the process with TensorFlow; of these one, "labels", shows that the message arrives.
FOUND_LATE = ("calibration file", "size")


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=in_tensorflow) if c in FOUND_LATE else c for c in BAD]
)
def test_bad_arguments_are_named(case, make_model, tmp_path):
    arguments, message = BAD[case]
    target = tmp_path / arguments.get("target", "model.tflite")
    target.parent.mkdir(exist_ok=case != "folder") if case != "folder" else None
    arguments = {name: value for name, value in arguments.items() if name != "target"}
    before = list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        convert(make_model(), target, **arguments)
    assert list(tmp_path.iterdir()) == before


@in_tensorflow
def test_open_size_without_a_size(make_model, tmp_path):
    with pytest.raises(ValueError, match=r"`image_size` must be \(height, width\)"):
        convert(make_model((None, None, 3)), tmp_path / "model.tflite")


@in_tensorflow
def test_uint8_of_unknown_normalisation(make_model, tmp_path):
    model = make_model((16, 16, 1), include_preprocessing=False)
    with pytest.raises(ValueError, match="`input` must be 'float32' for a model that"):
        convert(model, tmp_path / "model.tflite", input="uint8")


@in_tensorflow
def test_a_model_that_is_no_metaformer(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="`model` must be a `keras_poolformer.MetaFormer`, or"):
        convert(model, tmp_path / "model.tflite")


def test_unreadable_model_leaves_the_old_target(tmp_path, capsys):
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    (tmp_path / "broken.keras").write_bytes(b"no model")
    assert main([str(tmp_path / "broken.keras"), "-o", str(target)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: `source` must be a file that Keras saved")
    assert target.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"broken.keras", "model.tflite"}
    assert main([str(tmp_path / "nothing.keras"), "-o", str(target)]) == 2
    assert "does not exist" in capsys.readouterr().err


@keras.saving.register_keras_serializable(package="tests")
class Inverse(keras.layers.Layer):
    """LiteRT has no such operation."""

    def call(self, x):
        return keras.ops.erfinv(x)


@in_tensorflow
def test_model_beyond_litert_leaves_the_old_target(make_model, tmp_path):
    model = make_model(token_mixer=Inverse)
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"(?s)`model` cannot be converted.*Erfinv"):
        convert(model, target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@in_tensorflow
def test_a_file_that_fails_its_checks_is_not_delivered(make_model, tmp_path):
    model = make_model(activation="sparsemax")  # it sorts, which no delegate does
    target = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match=r"failed its checks.*do not know: .*TOPK_V2"):
        convert(model, target)
    assert list(tmp_path.iterdir()) == []
