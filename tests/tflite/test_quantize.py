"""The modes, on a small network with weights of order one."""

import keras
import numpy as np
import pytest
from PIL import Image

from tests.tflite.conftest import in_tensorflow
from tflite.convert import convert
from tflite.interpreter import LiteRTModel
from tflite.quantize import MODES


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Twelve images, two of them broken."""
    folder = tmp_path_factory.mktemp("calibration")
    generator = np.random.default_rng(0)
    for index in range(12):
        coarse = generator.integers(0, 256, (5, 7, 3)).astype("uint8")
        Image.fromarray(coarse).resize((60, 40)).save(folder / f"{index}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "empty.png").touch()
    return folder


SIZES = {"float32": 1.0, "float16": 0.6, "dynamic-int8": 0.45, "mixed-int8": 0.5}


@in_tensorflow
@pytest.mark.parametrize("mode", SIZES)
def test_modes(mode, make_model, folder, tmp_path):
    model = make_model((32, 32, 3), dims=(48, 96), classifier_activation=None)
    whole = convert(model, tmp_path / "float.tflite", calibrate=folder)["bytes"]
    report = convert(
        model, tmp_path / "model.tflite", quantize=mode, calibrate=folder, input="uint8"
    )
    assert report["bytes"] < 1.02 * SIZES[mode] * whole
    assert report["sqnr_db"] > MODES[mode].minimum_sqnr
    assert report["partitions"] == 1
    assert report["images"] == 12
    assert report["compared_on"] == str(folder)
    kind = LiteRTModel(tmp_path / "model.tflite").kind
    assert kind == ("int8" if "int8" in mode else mode)


@in_tensorflow
def test_a_folder_of_too_few_images(make_model, folder, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(folder.glob("*.png"))[:5]:
        (few / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="at least 8 images.*with 5"):
        convert(make_model(), tmp_path / "m.tflite", quantize="mixed-int8", calibrate=few)
    for index in range(8):
        (few / f"{index}.jpg").write_bytes(b"broken")
    with pytest.raises(ValueError, match="images that can be read.*broken ones"):
        convert(make_model(), tmp_path / "m.tflite", quantize="mixed-int8", calibrate=few)
    assert not (tmp_path / "m.tflite").exists()


@in_tensorflow
@pytest.mark.parametrize("mode", ["dynamic-int8", "mixed-int8"])
def test_a_depthwise_convolution_leaves_the_graph_in_one_piece(mode, make_model, folder, tmp_path):
    def mixer():
        return keras.layers.DepthwiseConv2D(3, padding="same")

    model = make_model((32, 32, 3), token_mixer=mixer, classifier_activation=None)
    report = convert(model, tmp_path / "model.tflite", quantize=mode, calibrate=folder)
    assert report["operations"]["DEPTHWISE_CONV_2D"] == 2
    assert report["partitions"] == 1
    assert report["fully_delegated"]
