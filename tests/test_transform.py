"""The pixels of timm's evaluation transform, exactly, on photographs and on odd images."""

import dataclasses
import io
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import tests.references  # noqa: F401, makes timm importable
from keras_poolformer import MetaFormer, PoolFormerS12
from keras_poolformer.image_file import ImageError, read_image
from keras_poolformer.transform import EvaluationTransform, evaluation_transform
from keras_poolformer.variants import VARIANTS

SETTINGS = [((224, 224), 0.9), ((224, 224), 0.95), ((64, 64), 1.0), ((48, 96), 0.9), ((97, 40), 1)]


def timm_transform(size, crop_pct):
    """timm's pipeline up to the pixels, which torchvision calls tensors."""
    from timm.data import create_transform

    transform = create_transform(
        (3, *size), is_training=False, crop_pct=crop_pct, interpolation="bicubic", normalize=False
    )
    return lambda image: transform(image.convert("RGB")).permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("size", "crop_pct"), SETTINGS)
def test_photographs(imagenette, size, crop_pct):
    reference, transform = timm_transform(size, crop_pct), EvaluationTransform(*size, crop_pct)
    files = sorted(imagenette.glob("val/*/*"))[::40]
    assert len(files) >= 40
    for number, file in enumerate(files):
        with Image.open(file) as image:
            cut = image.crop((0, 0, 128 - number % 3 * 17, 128 - number % 5 * 13))
        pixels = transform(cut)
        assert pixels.shape == (*size, 3)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, reference(cut), strict=True)


@pytest.mark.parametrize(("size", "crop_pct"), SETTINGS)
def test_odd_sizes(rng, size, crop_pct):
    reference, transform = timm_transform(size, crop_pct), EvaluationTransform(*size, crop_pct)
    odd = [(1, 1), (1, 50), (60, 1), (2, 3), (31, 33), (224, 224), (248, 249), (248, 400), (7, 301)]
    sizes = [*odd, *rng.integers(1, 700, (8, 2)).tolist()]
    for height, width in sizes:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype("uint8"))
        np.testing.assert_array_equal(transform(image), reference(image), f"{height} x {width}")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_modes(rng, mode):
    reference, transform = timm_transform((32, 32), 0.9), EvaluationTransform(32, 32, 0.9)
    grey = Image.fromarray(rng.integers(0, 256, (50, 41)).astype("uint8"))
    image = grey.convert("RGB") if mode in ("P", "RGBA", "CMYK", "YCbCr") else grey
    image = image.convert(mode)
    assert image.mode == mode
    np.testing.assert_array_equal(transform(image), reference(image))
    assert read_image(image).mode == "RGB"


def test_an_image_too_long_to_resize_as_a_whole(rng, monkeypatch):
    image = Image.fromarray(rng.integers(0, 256, (3000, 2, 3)).astype("uint8").repeat(20, 0))
    transform = EvaluationTransform(64, 64, 0.9)
    expected = transform(image).astype(int)
    # Not by its name: the package has a function of that name.
    monkeypatch.setattr(sys.modules[EvaluationTransform.__module__], "_LARGEST", 1 << 20)
    assert np.abs(transform(image) - expected).mean() < 1


def test_variants(monkeypatch):
    assert evaluation_transform(PoolFormerS12()) == EvaluationTransform(224, 224, 0.9)
    # In place of a large one, which takes long to build.
    stages = {"depths": (1,), "dims": (8,)}
    monkeypatch.setitem(VARIANTS, "M36", dataclasses.replace(VARIANTS["M36"], **stages))
    medium = MetaFormer(**stages, input_shape=(3, None, 96), data_format="channels_first")
    assert evaluation_transform(medium) == EvaluationTransform(224, 96, 0.95)
    assert evaluation_transform(medium, 0.5, (64, 96)) == EvaluationTransform(64, 96, 0.5)
    with pytest.raises(ValueError, match="`image_size` must be that of the model.*None x 96"):
        evaluation_transform(medium, image_size=64)
    monkeypatch.undo()
    other = MetaFormer([1], [8], input_shape=(None, None, 3))
    assert evaluation_transform(other, image_size=32) == EvaluationTransform(32, 32, 1.0)
    around = keras.Sequential([MetaFormer([1], [8], include_top=False), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="`model` must"):
        evaluation_transform(around)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4), "`height` must be a positive integer. Received: 0"),
        ((4, 4.0), "`width` must be a positive integer. Received: 4.0"),
        ((4, 4, 0), "`crop_pct` must be above 0 and at most 1.*Received: 0"),
        ((4, 4, 1.5), "`crop_pct` must be above 0 and at most 1.*Received: 1.5"),
        ((4, 4, float("nan")), "`crop_pct` must be above 0 and at most 1.*Received: nan"),
    ],
)
def test_transform_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        EvaluationTransform(*arguments)


def test_says_what_it_does():
    assert str(EvaluationTransform(224, 224, 0.9)) == (
        "resized with bicubic, short side to 248 pixels; the middle 224 x 224 (crop_pct 0.9)"
    )
    assert "to cover 32 x 64 pixels" in str(EvaluationTransform(32, 64, 1.0))


# === Reading ===


@pytest.fixture
def photo(rng, tmp_path):
    """A landscape photograph that the camera held turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "photo.jpg"
    Image.fromarray(rng.integers(0, 256, (20, 30, 3)).astype("uint8")).save(file, exif=exif)
    return file


def test_reads_whatever_holds_an_image(photo):
    with Image.open(photo) as image:
        pixels = np.asarray(image.convert("RGB"))
        sources = [photo, str(photo), photo.read_bytes(), image]
        for source in sources:
            as_stored = np.asarray(read_image(source, upright=False))
            np.testing.assert_array_equal(as_stored, pixels)
            np.testing.assert_array_equal(np.asarray(read_image(source)), np.rot90(pixels, -1))
        image.getpixel((0, 0))  # a given image stays open
    np.testing.assert_array_equal(np.asarray(read_image(pixels)), pixels)


def test_of_sixteen_bits_the_upper_eight_are_taken(rng, tmp_path):
    levels = rng.integers(0, 1 << 16, (6, 5)).astype("uint16")
    for name in ("grey.png", "grey.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        pixels = np.asarray(read_image(tmp_path / name))
        np.testing.assert_array_equal(pixels, np.stack([levels >> 8] * 3, -1))


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_values_of_unknown_range_are_refused(dtype, tmp_path):
    Image.fromarray(np.ones((4, 4), dtype)).save(tmp_path / "depth.tif")
    with pytest.raises(ImageError, match=r"depth.tif'; the range of its values is not known"):
        read_image(tmp_path / "depth.tif")


def test_broken_files_are_named(photo, tmp_path, monkeypatch):
    data = photo.read_bytes()
    png = io.BytesIO()
    Image.open(photo).save(png, "png")
    broken = {
        "empty.jpg": b"",
        "text.png": b"this is no image",
        "cut.jpg": data[: len(data) // 2],
        "cut.png": png.getvalue()[:200],
        "header.bmp": b"BM" + b"\0" * 60,
        "header.tif": b"II*\0" + b"\xff" * 30,
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"Received: '.*{name}'") as raised:
            read_image(tmp_path / name)
        assert "`images`" in str(raised.value)
        assert isinstance(raised.value, ImageError)
        assert str(raised.value).endswith(raised.value.reason)
        with pytest.raises(ValueError, match=f"Received: {len(content)} bytes"):
            read_image(content)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"photo.jpg'; .*decompression bomb"):
        read_image(photo)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no such file.jpg", "'no such file.jpg'; the file does not exist"),
        (".", "'.'; it is a folder"),
        (7, "`images` must be a path.*Received: 7"),
        (np.zeros((4, 4, 3)), r"`images` must be uint8.*shape \(4, 4, 3\) and type float64"),
        (np.zeros((4, 4), "uint8"), r"`images` must be uint8.*shape \(4, 4\)"),
        (np.zeros((0, 4, 3), "uint8"), r"`images` must be uint8.*shape \(0, 4, 3\)"),
    ],
)
def test_what_is_no_image(source, message):
    with pytest.raises(ValueError, match=message):
        read_image(source)


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"keras-poolformer\[pretrained\]"):
        read_image("photo.jpg")
