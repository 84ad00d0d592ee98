"""What all tests share. They run once under each KERAS_BACKEND, in separate processes."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ["HF_HUB_OFFLINE"] = "1"  # no test reaches for the network by mistake

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _fresh_state():
    """Starts every test with the same random state, float32 and Keras's default layout."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    yield
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def imagenette():
    """The folder of imagenette photographs, with train/ and val/; skips where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data" / "imagenette-128"
    folder = Path(os.environ.get("IMAGENETTE_DIR", default))
    if not (folder / "train").is_dir():
        pytest.skip(f"no imagenette photographs at {folder}; set IMAGENETTE_DIR to their folder")
    return folder


@pytest.fixture(scope="session")
def photographs(imagenette):
    """480 real photographs at 64 px, normalised, with labels 0..9, in a seeded order."""
    from PIL import Image

    from keras_poolformer.image_input import IMAGENET_MEAN, IMAGENET_STD

    files = [
        (path, label)
        for label, folder in enumerate(sorted((imagenette / "train").iterdir()))
        for path in sorted(folder.iterdir())[:48]
    ]
    order = np.random.default_rng(0).permutation(len(files))
    images = np.stack(
        [np.asarray(Image.open(files[i][0]).convert("RGB").resize((64, 64))) for i in order]
    )
    labels = np.array([files[i][1] for i in order])
    return ((images / 255 - IMAGENET_MEAN) / IMAGENET_STD).astype("float32"), labels
