from pathlib import Path

from tests.backends import only_under

in_tensorflow = only_under(
    "tensorflow", "augmentation is TensorFlow's under every backend, and takes no part in Keras"
)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(in_tensorflow)
