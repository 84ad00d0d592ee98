"""The random crop is that of timm and torchvision; resizing is Pillow's."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

from tests.references import timm
from tests.training.augmentation.draws import is_share, many
from tests.training.augmentation.pictures import PICTURES
from training.augmentation import Augmentation

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def windows(height, width, count, scale=SCALE, ratio=RATIO):
    augmentation = Augmentation(crop_scale=scale, crop_ratio=ratio)
    return many(lambda seed: augmentation.crop_window(height, width, seed), count)


def windows_of_timm(height, width, count, scale=SCALE, ratio=RATIO):
    get_params = timm.data.transforms.RandomResizedCropAndInterpolation.get_params
    image = Image.new("L", (width, height))
    return np.array([get_params(image, scale, ratio) for _ in range(count)])


def measures(crops, height, width):
    """Share of the area, shape, and where the window lies in its room."""
    top, left, h, w = crops.T.astype("float64")
    rows, columns = height - h, width - w
    return {
        "area": h * w / (height * width),
        "ratio": w / h,
        "top": (top / np.maximum(rows, 1))[rows > 20],
        "left": (left / np.maximum(columns, 1))[columns > 20],
    }


@pytest.mark.parametrize("size", [(300, 400), (400, 150)])
def test_windows_have_the_distribution_of_timm(size):
    ours, theirs = windows(*size, 3000), windows_of_timm(*size, 3000)
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 2:] >= 1).all()
    assert (ours[:, :2] + ours[:, 2:] <= size).all()
    assert ours.dtype == "int32"
    pairs = zip(measures(ours, *size).items(), measures(theirs, *size).values(), strict=True)
    for (name, mine), reference in pairs:
        assert stats.ks_2samp(mine, reference).pvalue > 1e-5, name


def test_area_is_uniform_and_the_logarithm_of_the_ratio_too():
    # So small that every window fits at the first try.
    measured = measures(windows(1000, 1000, 3000, (0.02, 0.4)), 1000, 1000)
    assert stats.kstest((measured["area"] - 0.02) / 0.38, "uniform").pvalue > 1e-5
    logs = np.log(measured["ratio"]) / np.log(4 / 3)
    assert stats.kstest((logs + 1) / 2, "uniform").pvalue > 1e-5
    assert abs(np.corrcoef(measured["area"], logs)[0, 1]) < 0.09


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 1000), [0, 433, 100, 133]),  # the widest window that is allowed
        ((1000, 100), [433, 0, 133, 100]),
        ((90, 100), [0, 0, 90, 100]),
        ((1, 1), [0, 0, 1, 1]),
    ],
)
def test_the_middle_is_taken_when_no_window_fits(size, expected):
    for window in (windows(*size, 5, (1.0, 1.0)), windows_of_timm(*size, 1, (1.0, 1.0))):
        np.testing.assert_array_equal(window, [expected] * len(window))


def test_a_part_of_an_extreme_image():
    assert (windows(3, 20_000, 50) >= [0, 0, 1, 1]).all()
    assert (windows(1, 1, 20) == [0, 0, 1, 1]).all()


def test_without_a_crop_there_is_no_window():
    with pytest.raises(ValueError, match=r"`augmentation.crop_scale` must not be None"):
        Augmentation(crop_scale=None).crop_window(8, 8, [0, 0])


@pytest.mark.parametrize(
    ("interpolation", "method"), [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)]
)
@pytest.mark.parametrize("size", [(20, 24), (64, 40)])
def test_resizing_is_pillows(interpolation, method, size):
    pixels = PICTURES["smooth"]
    resized = Augmentation(interpolation=interpolation).resize(pixels, *size, [1, 2]).numpy()
    assert resized.dtype == "float32"
    assert (resized == np.round(resized)).all()
    expected = np.asarray(Image.fromarray(pixels).resize(size[::-1], method), "float32")
    np.testing.assert_allclose(resized, expected, atol=1)


def test_resized_values_stay_in_range():
    pixels = np.kron(np.eye(4), np.full((3, 3), 255))[..., None].astype("uint8")
    resized = Augmentation(interpolation="bicubic").resize(pixels, 30, 30, [1, 2]).numpy()
    assert resized.shape == (30, 30, 1)
    assert resized.min() == 0
    assert resized.max() == 255


def test_the_interpolation_is_drawn():
    pixels = tf.constant(PICTURES["noise"])
    first, second = (
        Augmentation(interpolation=name).resize(pixels, 8, 8, [0, 0]).numpy()
        for name in ("bilinear", "bicubic")
    )
    resized = many(lambda seed: Augmentation().resize(pixels, 8, 8, seed), 400)
    is_first, is_second = ((resized == one).all((1, 2, 3)) for one in (first, second))
    assert (is_first ^ is_second).all()
    assert is_share(is_first.sum(), 400, 0.5)
