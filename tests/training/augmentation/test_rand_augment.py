"""RandAugment is timm's: what its operations do, and how they are drawn."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

from tests.references import timm
from tests.training.augmentation.draws import is_share, many
from tests.training.augmentation.pictures import PICTURES
from training.augmentation.geometry import FILL
from training.augmentation.rand_augment import OPERATIONS, draw, rand_augment

auto_augment = timm.data.auto_augment
GEOMETRIC = ["Rotate", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"]
LEVELS = (0.0, 2.3, 7.6, 9.0, 9.99)  # at 10, timm posterises to 0 bits, which Pillow refuses


def of_timm(name, level, sign, interpolation, pixels, monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 0.1 if sign > 0 else 0.9)  # draws the sign
    parameters = {"img_mean": FILL, "interpolation": interpolation}
    operation = auto_augment.AugmentOp(name, prob=1.0, magnitude=level, hparams=parameters)
    return np.asarray(operation(Image.fromarray(pixels))).astype("float32")


def ours(name, level, sign, is_bicubic, pixels):
    return OPERATIONS[name](
        tf.constant(pixels, tf.float32),
        tf.constant(level / 10, tf.float32),
        tf.constant(sign, tf.float32),
        tf.constant(is_bicubic),
    ).numpy()


def check(name, pictures, is_bicubic, monkeypatch):
    """Equal but for rounding: at most one grey level, and that seldom."""
    interpolation = Image.BICUBIC if is_bicubic else Image.BILINEAR
    different = []
    for pixels in pictures:
        for level in LEVELS:
            for sign in (1, -1):
                expected = of_timm(name, level, sign, interpolation, pixels, monkeypatch)
                result = ours(name, level, sign, is_bicubic, pixels)
                assert result.dtype == "float32"
                np.testing.assert_allclose(result, expected, atol=1, rtol=0)
                different.append((result != expected).mean())
    assert np.mean(different) < 0.02


def test_the_operations_are_those_that_timm_draws_from():
    assert list(OPERATIONS) == auto_augment._RAND_INCREASING_TRANSFORMS
    assert FILL == (124, 116, 104)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_an_operation_does_what_timm_does(name, monkeypatch):
    check(name, PICTURES.values(), False, monkeypatch)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_geometric_operation_is_bicubic_too(name, monkeypatch):
    check(name, [PICTURES["smooth"], PICTURES["noise"]], True, monkeypatch)
    bilinear, bicubic = (ours(name, 9, 1, way, PICTURES["noise"]) for way in (False, True))
    assert np.abs(bilinear - bicubic).max() > 10


def test_operations_on_photographs(imagenette, monkeypatch):
    files = sorted((imagenette / "val").glob("*/*"))[::700]
    photographs = [np.asarray(Image.open(file).convert("RGB"))[:90] for file in files]
    for name in OPERATIONS:
        check(name, photographs[:3], name in GEOMETRIC, monkeypatch)


def test_the_highest_magnitude_posterises_to_black():
    assert (ours("PosterizeIncreasing", 10, 1, False, PICTURES["noise"]) == 0).all()


def drawn(count, operations=2, magnitude=9.0, deviation=0.5, interpolation="random"):
    return many(lambda seed: draw(seed, operations, magnitude, deviation, interpolation), count)


def test_operations_are_drawn_equally_often_and_half_are_applied():
    chosen, _, sign, is_bicubic = drawn(4000)
    counts = np.bincount(chosen.ravel(), minlength=16)
    assert len(counts) == 16
    assert is_share(counts[15], 8000, 0.5)
    assert stats.chisquare(counts[:15]).pvalue > 1e-5
    # The two of an image are drawn one by one, so that they may be the same.
    pairs = chosen[(chosen < 15).all(1)]
    assert is_share((pairs[:, 0] == pairs[:, 1]).sum(), len(pairs), 1 / 15)
    assert is_share((sign > 0).sum(), 8000, 0.5)
    assert is_share(is_bicubic.sum(), 8000, 0.5)


def test_magnitudes_are_normal_and_clipped():
    level = drawn(4000)[1].ravel()
    clipped = level == 1
    assert is_share(clipped.sum(), len(level), stats.norm.sf(10, 9, 0.5))
    below = stats.truncnorm(-18, 2, 9, 0.5)
    assert stats.kstest(10 * level[~clipped], below.cdf).pvalue > 1e-5
    assert (drawn(50, magnitude=0, deviation=3)[1] == 0).mean() > 0.3
    np.testing.assert_allclose(drawn(20, magnitude=7, deviation=0)[1], 0.7, rtol=1e-6)


@pytest.mark.parametrize(("interpolation", "expected"), [("bilinear", False), ("bicubic", True)])
def test_interpolation_may_be_fixed(interpolation, expected):
    assert (drawn(50, interpolation=interpolation)[3] == expected).all()


def test_the_drawn_operations_are_done_in_their_order():
    image = tf.constant(PICTURES["noise"][:12, :12], tf.float32)
    operations = [*OPERATIONS.values(), lambda x, *_: x]

    @tf.function(autograph=False)
    def changed(seed):
        return rand_augment(image, seed, 2, 9.0, 0.5)

    differs = 0
    for number in range(12):
        seed = tf.constant([5, number])
        chosen, level, sign, is_bicubic = draw(seed, 2, 9.0, 0.5, "random")
        expected = image
        for step in range(2):
            expected = operations[chosen[step]](expected, level[step], sign[step], is_bicubic[step])
        result = changed(seed).numpy()
        np.testing.assert_allclose(result, expected, atol=1)
        assert (result == np.round(result)).all()
        differs += (result != image.numpy()).any()
    assert differs >= 6


@pytest.mark.parametrize("name", ["AutoContrast", "PosterizeIncreasing", "SolarizeIncreasing"])
def test_the_precision_of_the_model_does_not_touch_pixels(name):
    from training.augmentation import pixel_operations

    pixel_operations._keras_cv_layer.cache_clear()
    keras.config.set_dtype_policy("mixed_bfloat16")
    image = PICTURES["noise"]
    low = ours(name, 9, 1, False, image)
    assert low.dtype == "float32"
    pixel_operations._keras_cv_layer.cache_clear()
    keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(low, ours(name, 9, 1, False, image))


def test_layers_of_one_graph_serve_another():
    from training.augmentation import pixel_operations

    pixel_operations._keras_cv_layer.cache_clear()
    image = tf.constant(PICTURES["noise"], tf.float32)
    results = [tf.function(lambda x: pixel_operations.solarize(x, 100.0))(image) for _ in range(2)]
    np.testing.assert_array_equal(*results)
