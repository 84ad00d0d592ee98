from pathlib import Path

from tests.backends import only_under

in_torch = only_under("torch", "the peers are PyTorch's and take no part in Keras")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(in_torch)
