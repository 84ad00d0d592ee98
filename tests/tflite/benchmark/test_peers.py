"""Peers as files: in this process, with TensorFlow, but for one."""

import keras
import numpy as np
import pytest

from keras_poolformer.preprocessing import preprocess_input
from tests.tflite.conftest import in_tensorflow, pixels
from tflite.benchmark import peers
from tflite.benchmark.coverage import quantization_mode, read_coverage
from tflite.benchmark.peers import PEERS, build_peer, resolve
from tflite.benchmark.runner import Runner
from tflite.interpreter import LiteRTModel

pytestmark = in_tensorflow


def build(peer, folder, modes=("float32",), **changes):
    """The .tflite files of a peer by their modes."""
    task = {
        "peer": peer,
        "modes": list(modes),
        "folder": str(folder),
        "image_shape": [32, 32, 3],
        "batch": 1,
        "input": "float32",
        "classes": 3,
        "model": None,
    }
    files = peers.build(task | changes)
    assert [file["peer"] for file in files] == [peer] * len(modes)
    return {file["mode"]: folder / f"{peer}-{file['mode']}.tflite" for file in files}


def test_names_in_any_case():
    assert resolve(["mobilenetv2", "PLAIN", "EfficientNetB0"]) == [
        "MobileNetV2", "plain", "EfficientNetB0"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["resnet50"], "among .*'MobileNetV3Small'.*'plain'.*Received: 'resnet50'"),
        (["plain", "Plain"], "each peer once"),
    ],
)
def test_bad_names(names, message):
    with pytest.raises(ValueError, match=f"`against` must .*{message}"):
        resolve(names)


def test_networks_of_keras_applications_in_each_mode(tmp_path):
    modes = ("float32", "dynamic-int8", "mixed-int8")
    files = build("MobileNetV2", tmp_path, modes, batch=2, input="uint8")
    for mode, file in files.items():
        runner = Runner(file)
        assert quantization_mode(runner.interpreter) == mode
        assert runner.image.shape == (2, 32, 32, 3)
        assert runner.image.dtype == "uint8"
        (output,) = runner()
        np.testing.assert_allclose(output.sum(-1), 1, atol=1e-3)
        assert output.shape == (2, 3)
    operations = read_coverage(runner.interpreter).operations
    assert (operations["CONV_2D"], operations["DEPTHWISE_CONV_2D"]) == (35, 17)


def test_all_builders_are_there():
    for name in PEERS:
        assert name == "plain" or callable(getattr(keras.applications, name))


def test_images_too_small_for_a_peer(tmp_path):
    with pytest.raises(ValueError, match="`against` cannot have MobileNetV3Small for images of"):
        build("MobileNetV3Small", tmp_path, image_shape=[8, 8, 3])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_plain_export_computes_what_the_model_computes(data_format, make_model, tmp_path):
    is_first = data_format == "channels_first"
    shape = (3, 32, 32) if is_first else (32, 32, 3)
    model = make_model(shape, data_format=data_format, include_preprocessing=False)
    model.save(tmp_path / "model.keras")
    files = build("plain", tmp_path, ["float32", "mixed-int8"], model=str(tmp_path / "model.keras"))
    images = preprocess_input(pixels((1, *shape)), data_format)
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(LiteRTModel(files["float32"])(images), expected, atol=1e-5)
    np.testing.assert_allclose(LiteRTModel(files["mixed-int8"])(images), expected, atol=0.1)


def test_plain_export_is_not_fused(saved, converted, tmp_path):
    file = build("plain", tmp_path, image_shape=[16, 16, 3], model=str(saved))["float32"]
    plain, fused = (read_coverage(Runner(path).interpreter) for path in (file, converted))
    assert plain.total > fused.total
    assert plain.partitions == 1  # the batch is static


def test_plain_export_of_another_size(saved, tmp_path):
    with pytest.raises(ValueError, match=r"`model` must take images of \(32, 32, 3\)"):
        build("plain", tmp_path, model=str(saved))


def test_under_another_backend(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    files = build_peer("plain", ["float32"], tmp_path, image_shape=(16, 16, 3), model=saved)
    assert files == [
        {"peer": "plain", "mode": "float32", "file": str(tmp_path / "plain-float32.tflite")}
    ]
    assert Runner(tmp_path / "plain-float32.tflite").image.shape == (1, 16, 16, 3)
