"""The published weights themselves: `pytest -m network`, never run otherwise."""

import io
import urllib.request

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

import keras_poolformer
from keras_poolformer import list_presets
from keras_poolformer.checkpoints.download import download
from tests.references import transformers

pytestmark = pytest.mark.network

CATS = "http://images.cocodataset.org/val2017/000000039769.jpg"


@pytest.fixture(autouse=True)
def _online(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


def test_the_logits_that_hugging_face_publishes():
    """Those of transformers' own integration test, with its own image processor."""
    with urllib.request.urlopen(CATS) as response:
        image = Image.open(io.BytesIO(response.read())).convert("RGB")
    processor = transformers.AutoImageProcessor.from_pretrained("sail/poolformer_s12")
    pixels = processor(images=image, return_tensors="np")["pixel_values"]
    model = keras_poolformer.PoolFormerS12(weights="imagenet", classifier_activation=None)
    logits = model.predict(pixels.transpose(0, 2, 3, 1), verbose=0)
    np.testing.assert_allclose(logits[0, :3], [-0.6113, 0.1685, -0.0492], atol=1e-4)


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_can_be_loaded(name):
    preset = list_presets()[name]
    download(preset)
    model = keras_poolformer.load_model(name)
    assert model.classes == preset.classes
    assert model.input_shape == (None, preset.image_size, preset.image_size, 3)
