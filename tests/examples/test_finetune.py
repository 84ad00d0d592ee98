import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.backends import slow_except_under

FILE = Path(__file__).parents[2] / "examples" / "finetune.py"


@slow_except_under("torch")
def test_a_class_folder_becomes_a_model(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    for level, name in ((40, "dark ones"), (210, "bright")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            pixels = np.full((40, 50, 3), level + number, "uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    spec = importlib.util.spec_from_file_location("finetune", FILE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.chdir(tmp_path)
    example.main(str(tmp_path / "photos"), "none", epochs=1, size=32)
    model = keras.saving.load_model(tmp_path / "finetuned.keras")
    assert model.predict(np.zeros((1, 32, 32, 3)), verbose=0).shape == (1, 2)


def test_it_fits_on_a_page():
    assert len(FILE.read_text().splitlines()) < 40
