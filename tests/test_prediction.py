import keras
import numpy as np
import pytest
import torch
from PIL import Image

from keras_poolformer import MetaFormer, PoolFormerS12
from keras_poolformer.class_names import imagenet_classes
from keras_poolformer.prediction import predict
from keras_poolformer.preprocessing import preprocess_input
from tests.references import copy_from_transformers, transformers_poolformer

SMALL = {"depths": [1, 1], "dims": [8, 16]}
NAMES = ["ant", "bee", "cat", "dog"]


def make(**arguments):
    """A model of four classes whose classifier is not afraid to decide."""
    keras.utils.set_random_seed(0)
    model = MetaFormer(
        **{**SMALL, "input_shape": (16, 16, 3), "classes": 4, "name": "small", **arguments}
    )
    head = model.get_layer("head")
    head.kernel.assign(keras.ops.convert_to_numpy(head.kernel) * 50)
    return model


@pytest.fixture
def images(rng):
    return [
        Image.fromarray(rng.integers(0, 256, (30, 20 + i, 3)).astype("uint8")) for i in range(5)
    ]


def test_photographs_as_transformers_and_timm_see_them(imagenette):
    from timm.data import create_transform

    reference = transformers_poolformer((2, 2, 6, 2), (64, 128, 320, 512))
    model = PoolFormerS12()
    copy_from_transformers(reference, model)
    files = [sorted(folder.iterdir())[7] for folder in sorted((imagenette / "val").iterdir())[:3]]
    transform = create_transform(
        (3, 224, 224), is_training=False, crop_pct=0.9, interpolation="bicubic"
    )
    with torch.no_grad():
        batch = torch.stack([transform(Image.open(file)) for file in files])
        expected = torch.softmax(reference(batch).logits, -1)
    results = predict(model, files)
    assert len(results) == 3
    for result, row in zip(results, expected, strict=True):
        values, indices = row.topk(5)
        classes = [imagenet_classes()[index] for index in indices.tolist()]
        assert [entry[:2] for entry in result] == classes
        received = [entry.probability for entry in result]
        np.testing.assert_allclose(received, values.numpy(), rtol=1e-4)


def test_one_or_many(images, tmp_path):
    model = make()
    file = tmp_path / "photo.png"
    images[0].save(file)
    one = predict(model, file, class_names=NAMES)
    assert {entry.name for entry in one} == set(NAMES)
    assert sum(entry.probability for entry in one) == pytest.approx(1, abs=1e-5)
    assert one == sorted(one, key=lambda entry: -entry.probability)
    for same in (str(file), file.read_bytes(), images[0], np.asarray(images[0])):
        assert predict(model, same, class_names=NAMES) == one
    assert predict(model, [], class_names=NAMES) == []
    alone = [predict(model, image, 2, NAMES) for image in images]
    together = predict(model, images, 2, NAMES, batch_size=2)
    assert len(together) == 5
    for first, second in zip(alone, together, strict=True):
        assert [entry.name for entry in first] == [entry.name for entry in second]
        for a, b in zip(first, second, strict=True):
            assert a.probability == pytest.approx(b.probability, rel=1e-4)
    batch = np.stack([np.asarray(image.resize((20, 20))) for image in images])
    assert len(predict(model, batch, class_names=NAMES)) == 5


def test_every_kind_of_model_gives_the_same(images):
    expected = predict(make(), images, class_names=NAMES)
    around = keras.Input((16, 16, 3))
    pixels = keras.layers.Normalization(
        mean=255 * np.array([0.485, 0.456, 0.406]),
        variance=(255 * np.array([0.229, 0.224, 0.225])) ** 2,
    )(around)
    kinds = {
        "logits": make(classifier_activation=None),
        "preprocessing": make(include_preprocessing=True),
        "channels_first": make(data_format="channels_first", input_shape=(3, 16, 16)),
        "around": keras.Model(around, make(classifier_activation=None)(pixels)),
    }
    for kind, model in kinds.items():
        for first, second in zip(expected, predict(model, images, 4, NAMES), strict=True):
            assert [a.name for a in first] == [b.name for b in second], kind
            for a, b in zip(first, second, strict=True):
                assert a.probability == pytest.approx(b.probability, abs=2e-5), kind


def test_open_size_and_crop(images):
    open_size = make(input_shape=(None, None, 3))
    fixed = predict(make(), images[0], class_names=NAMES, crop_pct=0.5)
    same = predict(open_size, images[0], class_names=NAMES, crop_pct=0.5, image_size=16)
    assert [entry.name for entry in fixed] == [entry.name for entry in same]
    assert fixed != predict(make(), images[0], class_names=NAMES)


def test_sigmoid_is_left_alone(images):
    result = predict(make(classifier_activation="sigmoid"), images[0], class_names=NAMES)
    logits = make(classifier_activation=None)
    plain = predict(logits, images[0], class_names=NAMES)
    assert sum(entry.probability for entry in result) != pytest.approx(1, abs=1e-3)
    assert [entry.name for entry in result] == [entry.name for entry in plain]


def test_a_classifier_of_ones_own(images):
    backbone = MetaFormer(**SMALL, include_top=False, pooling="avg", input_shape=(16, 16, 3))
    model = keras.Sequential([backbone, keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="`model` must map images to classes"):
        predict(keras.Sequential([backbone.__class__(**SMALL)]), images, class_names=NAMES)
    model.build((None, 16, 16, 3))
    pixels = np.stack([np.asarray(image.resize((16, 16))) for image in images])
    logits = model.predict_on_batch(preprocess_input(pixels))
    for result, row in zip(predict(model, pixels, 4, NAMES), logits, strict=True):
        assert [NAMES.index(entry.name) for entry in result] == np.argsort(-row).tolist()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: "poolformer_s12", "`model` must be a Keras model. Received: 'poolformer_s12'"),
        (
            lambda: MetaFormer(**SMALL, include_top=False),
            r"`model` must have a classifier \(`include_top=True`\)",
        ),
        (
            lambda: MetaFormer(**SMALL, input_shape=(8, 8, 1), classes=4),
            r"3 channels.*input_shape=\(None, 8, 8, 1\)",
        ),
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]),
            "`model` must be a `keras_poolformer.MetaFormer`, or hold one",
        ),
        (
            lambda: MetaFormer(**SMALL, input_shape=(8, 8, 3), classes=7),
            "`class_names` must be a list of 7 names.*Received: 4",
        ),
    ],
)
def test_models_that_cannot(model, message):
    with pytest.raises(ValueError, match=message):
        predict(model(), np.zeros((4, 4, 3), "uint8"), class_names=NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": "gone.jpg"}, "'gone.jpg'; the file does not exist"),
        ({"images": [np.zeros((4, 4, 3), "uint8"), "gone.jpg"]}, "Received: 'gone.jpg'"),
        ({"top": 0}, "`top` must be a positive integer. Received: 0"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer. Received: 0"),
        ({"crop_pct": 2}, "`crop_pct` must be"),
        ({"image_size": 17}, "`image_size` must be that of the model"),
        ({"image_size": "big"}, "`image_size` must be a positive integer or two"),
        ({"class_names": None}, "`class_names` must name the classes"),
    ],
)
def test_arguments_that_cannot(arguments, message):
    given = {"images": np.zeros((4, 4, 3), "uint8"), "class_names": NAMES, **arguments}
    with pytest.raises(ValueError, match=message):
        predict(make(), **given)
