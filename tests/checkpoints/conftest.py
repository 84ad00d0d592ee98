"""Small PoolFormers in PyTorch with random weights, and their twins in Keras."""

import huggingface_hub
import pytest
from huggingface_hub import constants

from keras_poolformer import MetaFormer
from tests.checkpoints.hub_server import HubServer
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


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; huggingface_hub may use the network, which is this machine."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    huggingface_hub.close_session()  # one that was opened offline stays offline
    yield tmp_path / "cache"
    huggingface_hub.close_session()


@pytest.fixture
def hub(cache, monkeypatch):
    """A hub on this machine, without files."""
    server = HubServer()
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                        server.endpoint + "/{repo_id}/resolve/{revision}/{filename}")  # fmt: skip
    yield server
    server.close()


def values(model):
    """The weights of a model by path."""
    return dict(zip((w.path for w in model.weights), model.get_weights(), strict=True))
