import keras
import numpy as np
import pytest
from keras import ops

import tests.references  # noqa: F401, makes timm importable
from keras_poolformer.class_names import Prediction, decode_predictions, imagenet_classes


def test_imagenet_classes_are_those_of_timm():
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    classes = imagenet_classes()
    assert [wordnet_id for wordnet_id, _ in classes] == info.label_names()
    ids, names = (set(column) for column in zip(*classes, strict=True))
    assert len(classes) == len(ids) == len(names) == 1000
    exceptions = {"n02012849": "crane bird", "n03710721": "maillot tank suit"}
    for wordnet_id, name in classes:
        lemmas = info.label_name_to_description(wordnet_id, detailed=False)
        assert name == exceptions.get(wordnet_id, lemmas.split(", ")[0])
    assert imagenet_classes() is classes


def test_decodes_imagenet():
    probabilities = np.zeros((2, 1000), "float32")
    probabilities[0, [0, 217, 999]] = 0.5, 0.3, 0.2
    probabilities[1, 134] = 1
    first, second = decode_predictions(ops.convert_to_tensor(probabilities), top=3)
    assert first == [
        ("n01440764", "tench", 0.5),
        ("n02102040", "English springer", pytest.approx(0.3)),
        ("n15075141", "toilet tissue", pytest.approx(0.2)),
    ]
    # Equal ones in the order of the classes.
    assert [entry.name for entry in second] == ["crane bird", "tench", "goldfish"]
    assert isinstance(second[0], Prediction)
    assert isinstance(second[0].probability, float)


def test_equals_keras_applications(rng, monkeypatch):
    from keras.src.applications import imagenet_utils

    index = {str(i): list(entry) for i, entry in enumerate(imagenet_classes())}
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", index)
    probabilities = rng.dirichlet(np.ones(1000), 4).astype("float32")
    expected = imagenet_utils.decode_predictions(probabilities)
    assert decode_predictions(probabilities) == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_decodes_half_precision_and_own_labels(dtype):
    values = ops.cast(ops.convert_to_tensor([[0.25, 0.75], [1.0, 0.0]]), dtype)
    assert decode_predictions(values, top=1, class_names=("cat", "dog")) == [
        [(None, "dog", 0.75)],
        [(None, "cat", 1.0)],
    ]
    assert decode_predictions(np.zeros((0, 2)), top=1, class_names=["cat", "dog"]) == []


def test_decodes_a_tensor_that_takes_gradients():
    if keras.config.backend() != "torch":
        pytest.skip("other backends have no such tensors")
    values = ops.convert_to_tensor([[0.2, 0.8]]).requires_grad_(True)
    assert decode_predictions(values, 1, ["a", "b"])[0][0].name == "b"


BOTH = ["cat", "dog"]


@pytest.mark.parametrize(
    ("predictions", "top", "class_names", "message"),
    [
        ([0.5, 0.5], 1, BOTH, r"`predictions` must be of shape \(N, classes\).*shape=\(2,\)"),
        ([[0.5, 0.5]], 1, None, "`class_names` must name the classes.*None for 2 classes"),
        ([[0.5, 0.5]], 1, ["cat"], "`class_names` must be a list of 2 names.*Received: 1"),
        ([[0.5, 0.5]], 1, "ab", "`class_names` must be a list of 2 names.*Received: 'ab'"),
        ([[0.5, 0.5]], 0, BOTH, "`top` must be an integer from 1 to 2.*Received: 0"),
        ([[0.5, 0.5]], 3, BOTH, "`top` must be an integer from 1 to 2.*Received: 3"),
        ([[0.5, 0.5]], 1.0, BOTH, "`top` must be an integer from 1 to 2.*Received: 1.0"),
        ([[0.5, 3.25]], 1, BOTH, "softmax.*values from 0.5 to 3.25"),
        ([[0.5, -0.5]], 1, BOTH, "softmax.*values from -0.5 to 0.5"),
        ([[0.5, np.nan]], 1, BOTH, "NaN"),
        ([[0.5, np.inf]], 1, BOTH, "values from 0.5 to inf"),
    ],
)
def test_errors(predictions, top, class_names, message):
    with pytest.raises(ValueError, match=message):
        decode_predictions(np.array(predictions), top, class_names)
