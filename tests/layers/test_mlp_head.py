"""The classifier with a hidden layer."""

import keras
import numpy as np
import pytest
import torch

from keras_poolformer.layers import MLPHead
from tests.backends import relative_error, run, to_numpy
from tests.references import timm


@pytest.mark.parametrize("epsilon", [1e-5, 1e-6])
def test_is_timms(epsilon, rng):
    x = rng.standard_normal((3, 8)).astype("float32")
    reference = timm.models.metaformer.MlpHead(8, 5).eval()
    reference.norm.eps = epsilon
    head = MLPHead(5, epsilon=epsilon)
    head.build(x.shape)
    theirs = dict(reference.named_parameters())
    with torch.no_grad():
        for weight in head.weights:
            owner, leaf = weight.path.split("/")[-2:]
            key = f"{owner}.{'bias' if leaf in ('bias', 'beta') else 'weight'}"
            value = (rng.standard_normal(weight.shape) / 3).astype("float32")
            weight.assign(value)
            theirs.pop(key).copy_(torch.from_numpy(value.T if value.ndim == 2 else value))
        assert not theirs
        expected = reference(torch.from_numpy(x)).numpy()
    assert relative_error(run(head, x), expected) < 2e-6


def test_epsilon_is_the_official_codes_by_default():
    assert MLPHead(5).norm.epsilon == 1e-5


def test_starts_as_the_official_code():
    head = MLPHead(100)
    head.build((None, 128))
    for dense in (head.fc1, head.fc2):
        assert abs(to_numpy(dense.kernel).std() - 0.02) < 5e-4
        np.testing.assert_array_equal(to_numpy(dense.bias), 0)


def test_the_norm_inside_may_learn_nothing(rng):
    x = rng.standard_normal((4, 16)).astype("float32")
    learns, bare = MLPHead(6), MLPHead(6, affine=False)
    for head in (learns, bare):
        head.build(x.shape)
    for linear in ("fc1", "fc2"):
        getattr(bare, linear).set_weights(getattr(learns, linear).get_weights())
    assert len(bare.weights) == len(learns.weights) - 2 == 4
    np.testing.assert_allclose(run(bare, x), run(learns, x), rtol=1e-5, atol=1e-6)
    assert MLPHead.from_config(bare.get_config()).affine is False


def test_dropout_acts_in_training_only(rng):
    x = rng.standard_normal((4, 16)).astype("float32")
    head = MLPHead(6, dropout_rate=0.5)
    np.testing.assert_array_equal(to_numpy(head(x)), to_numpy(head(x, training=False)))
    assert np.abs(to_numpy(head(x, training=True)) - to_numpy(head(x))).max() > 1e-4


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_and_configuration(policy, rng):
    x = rng.standard_normal((4, 16)).astype("float32")
    full = MLPHead(6, ratio=2, epsilon=1e-6, dropout_rate=0.1)
    half = MLPHead.from_config({**full.get_config(), "dtype": policy})
    assert {**half.get_config(), "dtype": None} == {**full.get_config(), "dtype": None}
    for head in (full, half):
        head.build(x.shape)
    half.set_weights(full.get_weights())
    y = half(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert relative_error(to_numpy(y), to_numpy(full(x))) < 3e-2
    assert full.compute_output_shape((None, 16)) == (None, 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "`units` must be a positive integer"),
        ({"units": 5, "ratio": 0}, "`ratio` must be positive"),
        ({"units": 5, "epsilon": 0}, "`epsilon` must be positive"),
        ({"units": 5, "dropout_rate": 1}, "`dropout_rate` must be at least 0 and below 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLPHead(**arguments)


def test_maps_are_refused():
    with pytest.raises(ValueError, match=r"takes vectors, \(B, C\)"):
        MLPHead(5)(np.zeros((1, 4, 4, 3), "float32"))
