"""Mixup and CutMix of a batch: one weight, partners from the other end, true labels."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.references import timm
from tests.training.augmentation.draws import is_share, many
from training.augmentation import Augmentation
from training.augmentation.mixing import beta, cutmix_box

IMAGES = np.random.default_rng(0).uniform(0, 255, (6, 10, 12, 3)).astype("float32")
LABELS = np.eye(6, dtype="float32")
MIXUP, CUTMIX = Augmentation(cutmix=0), Augmentation(mixup=0)


def weights(labels):
    """The weight of each row's own label, where all rows have labels of their own."""
    return labels.diagonal(axis1=-2, axis2=-1)


@pytest.mark.parametrize("alpha", [0.8, 1.0, 0.2, 0.01])
def test_weights_are_of_the_beta_distribution(alpha):
    drawn = many(lambda seed: beta(alpha, seed), 3000)
    assert np.isfinite(drawn).all()
    inner = (drawn > 0.001) & (drawn < 0.999)
    expected = stats.beta(alpha, alpha)
    assert is_share(inner.sum(), 3000, expected.cdf(0.999) - expected.cdf(0.001))
    assert is_share((drawn < 0.5).sum(), 3000, 0.5)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.04)
    if alpha > 0.1:  # else most are 0 or 1 in float32
        assert stats.kstest(drawn, expected.cdf).pvalue > 1e-5


@pytest.mark.parametrize("weight", [0.2, 0.77])
def test_boxes_have_the_distribution_of_timm(weight):
    generator = np.random.RandomState(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "randint", generator.randint)
        theirs = timm.data.mixup.rand_bbox((3, 31, 40), weight, count=3000)
    ours = many(lambda seed: cutmix_box(31, 40, tf.constant(1 - weight), seed), 3000)
    for mine, reference in zip(ours, theirs, strict=True):
        assert set(mine) == set(reference)
        assert stats.ks_2samp(mine, reference).pvalue > 1e-5
    whole = (ours[0] > 0) & (ours[1] < 31)  # not cut off
    assert set((ours[1] - ours[0])[whole]) == {int(31 * np.sqrt(1 - weight))} or weight < 0.5


def test_mixup_adds_the_partner_from_the_other_end():
    strengths = set()
    for number in range(8):
        images, labels = (value.numpy() for value in MIXUP.mix(IMAGES, LABELS, [3, number]))
        (weight,) = set(weights(labels))
        np.testing.assert_allclose(
            images, weight * IMAGES + (1 - weight) * IMAGES[::-1], rtol=1e-5, atol=1e-3
        )
        np.testing.assert_allclose(labels, weight * LABELS + (1 - weight) * LABELS[::-1], atol=1e-6)
        strengths.add(round(float(weight), 4))
    assert len(strengths) == 8


def test_cutmix_pastes_one_box_and_labels_are_its_true_area():
    partial = 0
    for number in range(20):
        images, labels = (value.numpy() for value in CUTMIX.mix(IMAGES, LABELS, [3, number]))
        pasted = (images != IMAGES).any(-1)
        assert (pasted == pasted[0]).all()
        np.testing.assert_array_equal(images[pasted], IMAGES[::-1][pasted])
        rows, columns = np.nonzero(pasted[0])
        if len(rows):
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        np.testing.assert_allclose(weights(labels), 1 - len(rows) / 120, atol=1e-6)
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
        partial += 0 < len(rows) < 120
    assert partial > 10


def test_each_way_of_mixing_has_its_own_strength():
    even, extreme = 500.0, 0.001  # all weights about 1/2; all about 0 or 1
    strengths = {"mixup": (even, extreme), "cutmix": (extreme, even)}
    for share, kind in enumerate(("mixup", "cutmix")):
        mixup, cutmix = strengths[kind]
        augmentation = Augmentation(mixup=mixup, cutmix=cutmix, cutmix_share=share)
        for number in range(10):
            _, labels = augmentation.mix(IMAGES, LABELS, [1, number])
            highest = 1 if kind == "cutmix" else 0.56  # a box may stand out of the image
            assert 0.44 < weights(labels.numpy())[0] < highest


def kinds(augmentation, count):
    """How many batches are mixed up, cut and unchanged."""
    images = tf.constant(IMAGES[:2])

    def kind(seed):
        mixed, labels = augmentation.mix(images, LABELS[:2, :2], seed)
        changed = mixed != images
        # Mixed pixels are those of neither image.
        between = tf.reduce_any(changed & (mixed != images[::-1]))
        return tf.stack([between, tf.reduce_any(changed), labels[0, 0] != 1])

    between, changed, labelled = many(kind, count).T
    np.testing.assert_array_equal(changed, labelled)
    return between.sum(), (changed & ~between).sum(), (~changed).sum()


def test_how_often_a_batch_is_mixed_and_how():
    mixed, cut, unchanged = kinds(Augmentation(mix_probability=0.6, cutmix_share=0.3), 1500)
    empty = 0.02  # of the boxes have no pixel in an image as small as this
    assert is_share(mixed, 1500, 0.6 * 0.7)
    assert abs(cut - 1500 * 0.6 * 0.3) < 70
    assert abs(unchanged - 1500 * (0.4 + 0.18 * empty)) < 90
    assert kinds(MIXUP, 50)[1:] == (0, 0)
    assert kinds(CUTMIX, 50)[0] == 0
    assert kinds(Augmentation(mix_probability=0), 50) == (0, 0, 50)
    assert kinds(Augmentation(mixup=0, cutmix=0), 50) == (0, 0, 50)


@pytest.mark.parametrize("augmentation", [MIXUP, CUTMIX])
def test_a_part_that_holds_both_partners_is_mixed_as_in_the_whole_batch(augmentation):
    images, labels = augmentation.mix(IMAGES, LABELS, [1, 1])
    part = [1, 4]  # a worker's rows: mirrors of each other in six
    mine, my_labels = augmentation.mix(IMAGES[part], LABELS[part], [1, 1])
    np.testing.assert_array_equal(mine, images.numpy()[part])
    np.testing.assert_array_equal(my_labels, labels.numpy()[part])


def test_the_middle_image_of_an_odd_batch_stays():
    images, labels = MIXUP.mix(IMAGES[:5], LABELS[:5], [1, 1])
    np.testing.assert_allclose(images[2], IMAGES[2], rtol=1e-5)
    np.testing.assert_allclose(labels[2], LABELS[2], atol=1e-6)
