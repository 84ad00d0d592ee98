"""Small PoolFormers in PyTorch with random weights, and their twins in Keras."""

import pytest

from keras_poolformer import MetaFormer
from tests.references import copy_from_transformers, transformers_poolformer

SMALL = {"depths": (1, 2, 1, 1), "dims": (8, 12, 16, 20)}


def build_small(**kwargs):
    arguments = {**SMALL, "classes": 10, "classifier_activation": None, **kwargs}
    return MetaFormer(**{"input_shape": (None, None, 3), **arguments})


@pytest.fixture(scope="session")
def reference():
    """transformers' PoolFormer of four small stages and 10 classes."""
    return transformers_poolformer(**SMALL, classes=10)


@pytest.fixture
def small():
    """A function that builds the same in Keras."""
    return build_small


@pytest.fixture
def expected(reference):
    """The reference's weights in Keras, by path."""
    twin = build_small()
    copy_from_transformers(reference, twin)
    return values(twin)


def values(model):
    """The weights of a model by path."""
    return dict(zip((w.path for w in model.weights), model.get_weights(), strict=True))
