import io
import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_poolformer import MetaFormer
from training.evaluate import main
from training.tfds_images import is_tfds_name, read_tfds

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set of 6 images of 3 classes on disk, which no code is known of."""
    folder = tmp_path_factory.mktemp("tfds")
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (6, 9, 7, 3)).astype("uint8")

    with tfds.core.registered.skip_registration():

        class TinyAnimals(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=["rat", "cat", "dog"]),
                }
                return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                sizes = {"train": 2, "validation": 6}
                return {split: self._generate_examples(size) for split, size in sizes.items()}

            def _generate_examples(self, count):
                for index in range(count):
                    yield index, {"image": pixels[index], "label": index % 3}

        class NoClasses(TinyAnimals):
            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.Scalar(np.int64),
                }
                return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        for builder in (TinyAnimals, NoClasses):
            builder(data_dir=folder).download_and_prepare()
    return folder, pixels


def decoded(image):
    return np.asarray(Image.open(io.BytesIO(image.source)))


def test_reads_what_is_prepared(prepared):
    folder, pixels = prepared
    data = read_tfds("tiny_animals", None, 3, data_dir=folder)
    assert (data.name, data.classes, data.count) == ("tiny_animals, validation", 3, 6)
    assert [name for _, name in data.labels] == ["rat", "cat", "dog"]
    images = list(data.images)
    assert len(images) == len(list(data.images)) == 6
    assert images[0].name == "validation[0]"
    for image in images:
        index = next(i for i in range(6) if np.array_equal(pixels[i], decoded(image)))
        assert image.label == index % 3


def test_labels_split_and_limit(prepared):
    folder, _ = prepared
    labels = [(None, name) for name in ("ant", "cat", "dog", "elk", "fox", "rat")]
    data = read_tfds("tiny_animals:1.0.0", labels, 6, "train", 1, folder)
    assert data.count == 1
    assert data.labels == labels
    (image,) = data.images
    assert image.label in (1, 2, 5)
    assert read_tfds("tiny_animals", labels, 6, "validation[:50%]", None, folder).count == 3


@pytest.mark.parametrize(
    ("name", "split", "outputs", "message"),
    [
        ("tiny_plants", None, 3, "'tiny_plants', which is no folder, and TensorFlow Datasets says"),
        ("cifar10", None, 3, "must be prepared. Received: 'cifar10'.*Pass --download"),
        ("tiny_animals", "night", 3, "`split` must be one of train, validation.*'night'"),
        ("tiny_animals", None, 4, "`data` must have the 4 classes.*3 classes, 'rat'"),
        ("no_classes", None, 3, "must have the features 'image' and 'label'"),
    ],
)
def test_errors(prepared, name, split, outputs, message):
    with pytest.raises(ValueError, match=message):
        read_tfds(name, None, outputs, split, data_dir=prepared[0])


def test_scores_are_those_of_the_same_files_in_folders(prepared, tmp_path):
    folder, pixels = prepared
    keras.utils.set_random_seed(0)
    model = MetaFormer([1], [8], input_shape=(8, 8, 3), classes=3, include_preprocessing=True)
    model.save(tmp_path / "model.keras")
    for index, image in enumerate(pixels):
        target = tmp_path / "files" / ["rat", "cat", "dog"][index % 3]
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(target / f"{index}.png")
    (tmp_path / "names.txt").write_text("rat\ncat\ndog\n")
    scores = []
    for arguments in (
        ["tiny_animals", "--data-dir", str(folder)],
        [str(tmp_path / "files"), "--classes", str(tmp_path / "names.txt")],
    ):
        output = tmp_path / str(len(scores))
        assert main([str(tmp_path / "model.keras"), *arguments, "--output", str(output)]) == 0
        summary = json.loads((output / "evaluation.json").read_text())
        scores.append((summary["top1"], (output / "per_class.csv").read_text()))
    assert scores[0] == scores[1]


def test_names():
    for name in ("mnist", "imagenette/320px-v2", "imagenet_v2:3.0.0", "x/y:1.*.*"):
        assert is_tfds_name(name)
    for name in ("huggingface:mnist", "/data/photos", "../photos", "my photos", "./val", ""):
        assert not is_tfds_name(name)
