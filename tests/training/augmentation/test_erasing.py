"""Random erasing is timm's: one box of noise, normal after normalisation."""

import random

import numpy as np
import pytest
import tensorflow as tf
import torch
from scipy import stats

from keras_poolformer.image_input import IMAGENET_MEAN, IMAGENET_STD
from tests.references import timm
from tests.training.augmentation.draws import is_share, many
from training.augmentation.erasing import erase


def boxes_of_timm(height, width, count):
    """Found where its constant, 0, stands in an image of ones."""
    random.seed(0)
    erasing = timm.data.random_erasing.RandomErasing(1.0, mode="const", device="cpu")
    boxes = []
    for _ in range(count):
        rows, columns = np.nonzero(erasing(torch.ones(1, height, width))[0].numpy() == 0)
        boxes.append([rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1])
    return np.array(boxes)


def erased_boxes(height, width, count):
    """Found where an image of one channel has changed."""
    image = tf.fill((height, width, 1), 5000.0)
    erased = many(lambda seed: erase(image, seed, 1.0)[..., 0] != 5000.0, count)
    sides = [erased.any(axis) for axis in (2, 1)]
    first = [side.argmax(1) for side in sides]
    return np.stack([*first, *(side.sum(1) for side in sides)], 1)


@pytest.mark.parametrize("size", [(60, 60), (40, 90)])
def test_boxes_have_the_distribution_of_timm(size):
    ours, theirs = erased_boxes(*size, 3000), boxes_of_timm(*size, 2000)
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, :2] + ours[:, 2:] <= size).all()
    area, area_of_timm = (boxes[:, 2] * boxes[:, 3] / np.prod(size) for boxes in (ours, theirs))
    assert 0.015 < area.min() < 0.03
    assert 0.325 < area.max() < 0.35
    assert stats.ks_2samp(area, area_of_timm).pvalue > 1e-5
    for index, name in enumerate(("top", "left", "height", "width")):
        assert stats.ks_2samp(ours[:, index], theirs[:, index]).pvalue > 1e-5, name


def test_the_share_of_erased_images():
    image = tf.fill((16, 16, 3), 500.0)  # far from all noise
    erased = many(lambda seed: tf.reduce_any(erase(image, seed, 0.25) != 500.0), 3000)
    assert is_share(erased.sum(), 3000, 0.25)


@pytest.mark.parametrize("channels", [3, 1])
def test_a_box_is_filled_with_normal_noise_and_the_rest_stays(channels):
    image = tf.fill((24, 24, channels), 5000.0)
    results = many(lambda seed: erase(image, seed, 1.0), 300)
    boxes = results != 5000
    assert (boxes.any(-1) == boxes.all(-1)).all()  # in all channels
    for box in boxes[..., 0]:
        rows, columns = np.nonzero(box)
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    mean, deviation = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    if channels == 1:
        mean, deviation = mean.mean(keepdims=True), deviation.mean(keepdims=True)
    noise = (results[boxes].reshape(-1, channels) / 255 - mean) / deviation
    for channel in range(channels):
        assert stats.kstest(noise[:4000, channel], "norm").pvalue > 1e-5
    assert noise.min() < -3  # not clipped
    if channels == 3:
        assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.02
