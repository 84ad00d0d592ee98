"""Small recipes and small folders of images."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_poolformer import MetaFormer
from training.augmentation import Augmentation
from training.datasets.dataset import Dataset
from training.datasets.digits import load_digits
from training.recipe import Recipe


def _write_images(folder, classes, images, size=(12, 10), form="png"):
    """Writes `images` images of noise around one grey level into each class folder."""
    generator = np.random.default_rng(0)
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for image in range(images):
            pixels = 60 * index + generator.integers(0, 60, (*size, 3))
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{image}.{form}")


@pytest.fixture(scope="session")
def write_images():
    return _write_images


@pytest.fixture
def image_folder(tmp_path, write_images):
    """A folder with train/ and val/: 3 classes, 6 and 2 images each."""
    write_images(tmp_path / "photos" / "train", ["b", "a", "c"], 6)
    write_images(tmp_path / "photos" / "val", ["b", "a", "c"], 2)
    return tmp_path / "photos"


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_digits()


def _build_tiny(input_shape, classes, **arguments):
    image = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 127.5, -1, dtype="float32")(image)
    x = MetaFormer(
        depths=(1,),
        dims=(48,),
        stem_patch_size=4,
        stem_padding=0,
        layer_scale_init_value=1.0,
        drop_path_rate=0.1,
        input_shape=input_shape,
        classes=classes,
        **arguments,
    )(x)
    return keras.Model(image, x, name="tiny")


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """One block on patches of 4 x 4 pixels, for one epoch."""
    return Recipe(
        build=_build_tiny,
        image_size=8,
        augmentation=Augmentation(
            crop_scale=None,
            flip=0,
            rotation=5,
            zoom=0.05,
            shift=0.5,
            rand_augment=0,
            erasing=0,
            mixup=0,
            cutmix=0,
        ),
        epochs=1,
        warmup_epochs=0.1,
        batch_size=32,
        learning_rate=1e-2,
    )
