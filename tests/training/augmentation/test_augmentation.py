"""The changes of an image together, and what their settings may be."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.training.augmentation.draws import is_share, many
from tests.training.augmentation.pictures import PICTURES
from training.augmentation import Augmentation

NOTHING = Augmentation(crop_scale=None, flip=0, rand_augment=0, erasing=0, mixup=0, cutmix=0)
IMAGE = np.random.default_rng(0).uniform(0, 255, (8, 6, 3)).astype("float32")


def changing(**settings):
    return dataclasses.replace(NOTHING, **settings)


def test_the_defaults_are_the_papers():
    assert dataclasses.asdict(Augmentation()) == {
        "crop_scale": (0.08, 1.0),
        "crop_ratio": (3 / 4, 4 / 3),
        "interpolation": "random",
        "flip": 0.5,
        "rotation": 0.0,
        "zoom": 0.0,
        "shift": 0.0,
        "rand_augment": 2,
        "magnitude": 9.0,
        "magnitude_std": 0.5,
        "erasing": 0.25,
        "mixup": 0.8,
        "cutmix": 1.0,
        "mix_probability": 1.0,
        "cutmix_share": 0.5,
    }


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("crop_scale", (0, 1), "two numbers above 0 and at most 1"),
        ("crop_scale", (0.5, 1.1), "two numbers above 0 and at most 1"),
        ("crop_scale", 0.5, "two numbers above 0 and at most 1"),
        ("crop_ratio", (2, 1), "the smaller first"),
        ("crop_ratio", (0.5, float("nan")), "two positive numbers"),
        ("crop_ratio", None, "two positive numbers"),
        ("interpolation", "nearest", "one of"),
        ("flip", 1.5, r"a probability in \[0, 1\]"),
        ("erasing", -0.1, r"a probability in \[0, 1\]"),
        ("mix_probability", "yes", r"a probability in \[0, 1\]"),
        ("cutmix_share", True, r"a probability in \[0, 1\]"),
        ("zoom", 1, "at least 0 and below 1"),
        ("rotation", -5, "0 or more"),
        ("shift", float("inf"), "0 or more"),
        ("magnitude", 11, r"in \[0, 10\]"),
        ("magnitude_std", None, "0 or more"),
        ("mixup", float("nan"), "0 or more"),
        ("cutmix", -1, "0 or more"),
        ("rand_augment", 2.0, "an integer in"),
        ("rand_augment", 17, "an integer in"),
        ("rand_augment", True, "an integer in"),
    ],
)
def test_wrong_settings_are_refused(name, value, wanted):
    with pytest.raises(ValueError, match=rf"`augmentation.{name}` must be .*{wanted}.* Received: "):
        Augmentation(**{name: value})


def test_ranges_may_be_lists_as_json_has_them():
    read = Augmentation(crop_scale=[0.2, 1], crop_ratio=[1, 1])
    assert read == Augmentation(crop_scale=(0.2, 1), crop_ratio=(1, 1))
    assert hash(read)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        changing(flip=0.5),
        changing(rotation=10, zoom=0.1, shift=1),
        changing(erasing=1.0),
    ],
)
def test_an_image_is_a_function_of_the_seed(augmentation):
    @tf.function(autograph=False)
    def augment(seed):
        return augmentation.augment(tf.constant(IMAGE), seed)

    seeds = [tf.constant([1, number]) for number in range(6)]
    first, again = ([augment(seed).numpy() for seed in seeds] for _ in range(2))
    eager = augmentation.augment(tf.constant(IMAGE), seeds[0]).numpy()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first[0], eager, atol=1)
    assert {image.shape for image in first} == {IMAGE.shape}
    assert first[0].dtype == "float32"
    assert len({image.tobytes() for image in first}) > 1


def test_nothing_changes_when_all_is_off():
    np.testing.assert_array_equal(NOTHING.augment(tf.constant(IMAGE), [1, 2]), IMAGE)
    images, labels = NOTHING.mix(IMAGE[None], np.eye(1), [1, 2])
    np.testing.assert_array_equal(images, IMAGE[None])
    np.testing.assert_array_equal(labels, np.eye(1))


def test_images_are_mirrored_with_the_given_probability():
    results = many(lambda seed: changing(flip=0.3).augment(tf.constant(IMAGE), seed), 2000)
    is_mirrored = (results == IMAGE[:, ::-1]).all((1, 2, 3))
    assert (is_mirrored | (results == IMAGE).all((1, 2, 3))).all()
    assert is_share(is_mirrored.sum(), 2000, 0.3)


def test_affine_keeps_the_centre():
    image = np.zeros((9, 9, 1), "float32")
    image[4, 4] = 255
    affine = changing(rotation=20, zoom=0.2)
    for seed in range(20):
        changed = affine.augment(tf.constant(image), [0, seed]).numpy()
        assert changed.argmax() == image.argmax()
        np.testing.assert_allclose(changed[4, 4], 255, rtol=1e-3)


def test_affine_shifts_by_no_more_than_its_range():
    image = np.zeros((9, 9, 1), "float32")
    image[4, 4] = 255
    moved = set()
    for seed in range(40):
        changed = changing(shift=1).augment(tf.constant(image), [0, seed]).numpy()[..., 0]
        rows, columns = np.indices(changed.shape)
        offset = [(axis * changed).sum() / changed.sum() - 4 for axis in (rows, columns)]
        assert np.abs(offset).max() <= 1.001
        moved.update((axis, offset[axis] > 0) for axis in (0, 1))
    assert len(moved) == 4


def test_affine_turns_by_up_to_its_range():
    """A bar from the middle to the right, whose end goes up and down."""
    image = np.zeros((41, 41, 1), "float32")
    image[20, 20:] = 255
    rows, columns = np.indices((41, 41)) - 20
    angles = []
    for seed in range(60):
        changed = changing(rotation=30).augment(tf.constant(image), [0, seed]).numpy()[..., 0]
        angles.append(np.degrees(np.arctan2((rows * changed).sum(), (columns * changed).sum())))
    assert -31 < min(angles) < -22
    assert 22 < max(angles) < 31


def test_rand_augment_after_affine_has_whole_numbers():
    augmentation = changing(rotation=10, rand_augment=1)
    image = tf.constant(PICTURES["noise"], tf.float32)
    results = many(lambda seed: augmentation.augment(image, seed), 20)
    np.testing.assert_array_equal(results, np.clip(np.round(results), 0, 255))


def test_rand_augment_of_grey_images_is_refused():
    with pytest.raises(ValueError, match=r"`augmentation.rand_augment` must be 0 .* 2 for 1 chan"):
        Augmentation().augment(tf.zeros((8, 8, 1)), [1, 2])


def test_grey_images_can_be_changed_otherwise():
    augmentation = changing(flip=1.0, erasing=1.0, rotation=5)
    changed = augmentation.augment(tf.constant(IMAGE[..., :1]), [1, 2])
    assert changed.shape == (8, 6, 1)
    assert np.abs(changed - IMAGE[..., :1]).max() > 10


def test_it_works_in_a_data_set_and_for_two_of_them():
    for _ in range(2):
        images = tf.data.Dataset.from_tensors((IMAGE, [1, 2])).map(
            Augmentation(rand_augment=1).augment
        )
        (image,) = images
        assert image.shape == IMAGE.shape
