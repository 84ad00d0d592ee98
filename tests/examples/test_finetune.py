import functools
import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_poolformer
from tests.backends import slow_except_under

FILE = Path(__file__).parents[2] / "examples" / "finetune.py"


@pytest.fixture
def example(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("finetune", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def photos(tmp_path):
    for level, name in ((40, "dark ones"), (210, "bright")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            pixels = np.full((40, 50, 3), level + number, "uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return str(tmp_path / "photos")


@slow_except_under("torch")
@pytest.mark.parametrize("builder", ["PoolFormerS12", "RandFormerS12"])
def test_a_class_folder_becomes_a_model(builder, example, photos, monkeypatch):
    pytest.importorskip("tensorflow")
    if builder == "RandFormerS12":  # small, since the one before shows how the large ones fare
        small = {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]}
        monkeypatch.setattr(
            keras_poolformer, builder, functools.partial(keras_poolformer.RandFormerS12, **small)
        )
    example.main(photos, "none", builder, epochs=1, size=32)
    model = keras.saving.load_model("finetuned.keras")
    assert model.predict(np.zeros((1, 32, 32, 3)), verbose=0).shape == (1, 2)
    assert model.layers[0].name == builder.lower().replace("s12", "_s12")


def test_an_unknown_builder_is_named(example, photos):
    with pytest.raises(SystemExit, match="error: `builder` must be one of PoolFormerS12.*'S12'"):
        example.main(photos, "none", "S12")


def test_it_fits_on_a_page():
    assert len(FILE.read_text().splitlines()) < 50
