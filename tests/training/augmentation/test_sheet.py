"""The picture of augmentations: what stands in it, read back from its pixels."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from training.augmentation import Augmentation
from training.augmentation.sheet import VERSIONS, save_sheet

NOTHING = Augmentation(crop_scale=None, flip=0, rand_augment=0, erasing=0, mixup=0, cutmix=0)
MIXUP = Augmentation(crop_scale=None, flip=0, rand_augment=0, erasing=0, mixup=1, cutmix=0)
BOTH = Augmentation(crop_scale=None, flip=0, rand_augment=0, erasing=0, mix_probability=0.01)


def plain(*colors, size=(20, 16)):
    """Photographs of one colour each."""
    return [np.full((*size, 3), color, "uint8") for color in colors]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws a sheet; returns the images in it, row by row, and its texts."""

    def draw(photographs, augmentation, image_size=8, seed=0):
        figures = []
        save = Figure.savefig
        monkeypatch.setattr(
            Figure,
            "savefig",
            lambda self, *args, **kwargs: figures.append(self) or save(self, *args, **kwargs),
        )
        save_sheet(tmp_path / "sheet.png", photographs, augmentation, image_size, seed)
        images = [axes.images[0].get_array() for axes in figures[0].axes]
        return images, [text.get_text() for text in figures[0].texts]

    return draw


def test_writes_one_picture(tmp_path):
    target = tmp_path / "sheet.png"
    photographs = plain(10, 200, 90)
    save_sheet(target, photographs, MIXUP, 8, 0)
    assert list(tmp_path.iterdir()) == [target]
    with Image.open(target) as image:
        assert image.format == "PNG"
        first = np.array(image.convert("RGB"))
    assert first.shape[0] > 400
    assert first.shape[1] > 900
    save_sheet(target, photographs, MIXUP, 8, 0)
    np.testing.assert_array_equal(np.array(Image.open(target).convert("RGB")), first)
    save_sheet(target, photographs, MIXUP, 8, 1)
    assert not np.array_equal(np.array(Image.open(target).convert("RGB")), first)


def test_each_row_begins_with_the_image_as_in_validation(drawn):
    generator = np.random.default_rng(0)
    photographs = [generator.integers(0, 256, (8, 12, 3)).astype("uint8") for _ in range(2)]
    images, _ = drawn(photographs, NOTHING)
    assert len(images) == 2 * (1 + VERSIONS)  # nothing is mixed
    for row, photograph in enumerate(photographs):
        for image in images[row * (1 + VERSIONS) : (row + 1) * (1 + VERSIONS)]:
            np.testing.assert_array_equal(image, photograph[:, 2:10])  # the middle


def test_versions_differ(drawn):
    photograph = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype("uint8")
    augmentation = Augmentation(rand_augment=0, erasing=1.0)
    images, _ = drawn([photograph], augmentation, 16)
    assert len(images) == 1 + VERSIONS  # one image has no partner
    assert len({image.tobytes() for image in images}) == 1 + VERSIONS
    assert {image.shape for image in images} == {(16, 16, 3)}


def test_captions_are_the_weights_of_the_mixed_images(drawn):
    images, texts = drawn(plain(0, 77, 200), MIXUP)
    mixed, captions = images[-VERSIONS:], [text for text in texts if " of 1, " in text]
    assert len(captions) == VERSIONS
    assert len(set(captions)) > 1
    for image, caption in zip(mixed, captions, strict=True):
        first, last = caption.split(", ")
        assert first.endswith(" of 1")
        assert last.endswith(" of 3")  # its mirror; the second would meet itself
        weight = float(last.removesuffix(" of 3"))
        np.testing.assert_allclose(image, 200 * weight, atol=2)
        assert float(first.removesuffix(" of 1")) + weight == pytest.approx(1, abs=0.011)


def test_both_ways_of_mixing_are_shown_in_turn(drawn):
    images, texts = drawn(plain(0, 200), BOTH, 16)
    assert [text for text in texts if text in ("mixup", "CutMix")] == ["mixup", "CutMix"] * (
        VERSIONS // 2
    )
    for mixup, cutmix in zip(images[-VERSIONS::2], images[-VERSIONS + 1 :: 2], strict=True):
        assert len(np.unique(mixup)) == 1
        assert set(np.unique(cutmix)) <= {0, 200}


@pytest.mark.parametrize("never", [{"mix_probability": 0}, {"mixup": 0, "cutmix": 0}])
def test_without_mixing_there_are_no_mixed_images(drawn, never):
    images, texts = drawn(plain(0, 200), Augmentation(rand_augment=0, **never))
    assert len(images) == 2 * (1 + VERSIONS)
    assert not any("mix" in text.lower() for text in texts)


def test_grey_images(drawn):
    photographs = [image[..., :1] for image in plain(10, 250)]
    images, _ = drawn(photographs, Augmentation(rand_augment=0, erasing=0, mixup=0, cutmix=0))
    assert {image.shape for image in images} == {(8, 8)}
    assert [int(image.max()) for image in images] == [10] * (1 + VERSIONS) + [250] * (1 + VERSIONS)


def test_photographs(imagenette, drawn):
    files = [next(iter(sorted(folder.iterdir()))) for folder in (imagenette / "train").iterdir()]
    photographs = [np.asarray(Image.open(file).convert("RGB")) for file in files[:2]]
    images, _ = drawn(photographs, Augmentation(), 64)
    assert {image.shape for image in images} == {(64, 64, 3)}
    assert {image.dtype.name for image in images} == {"uint8"}
    assert len(images) == 2 * (1 + VERSIONS) + VERSIONS


def test_needs_a_photograph(tmp_path):
    with pytest.raises(ValueError, match=r"`photographs` must be at least one image\. Received:"):
        save_sheet(tmp_path / "sheet.png", [], NOTHING, 8, 0)
    assert not list(tmp_path.iterdir())
