import keras
import numpy as np
import pytest

from training.pretrained import load_pretrained
from training.recipe import find_recipe


def build(classes=10, seed=0, size=8):
    keras.utils.set_random_seed(seed)
    return find_recipe("digits").build((size, size, 1), classes)


def values(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables}


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_same_classes_take_every_weight(tmp_path, suffix):
    source, model = build(seed=1), build()
    path = tmp_path / f"source{suffix}"
    source.save(path) if suffix == ".keras" else source.save_weights(path)
    assert load_pretrained(model, path) is True
    for name, value in values(source).items():
        np.testing.assert_array_equal(values(model)[name], value)


def test_other_classes_and_image_size_take_all_but_the_classifier(tmp_path):
    source, model = build(classes=4, seed=1, size=16), build()
    before = values(model)
    source.save(tmp_path / "source.keras")
    assert load_pretrained(model, tmp_path / "source.keras") is False
    after, expected = values(model), values(source)
    heads = [name for name in after if "head" in name]
    assert len(heads) == 2
    for name in after:
        np.testing.assert_array_equal(after[name], (before if name in heads else expected)[name])


def test_another_architecture_changes_nothing(tmp_path):
    source, model = find_recipe("images").build((32, 32, 3), 10), build()
    before = values(model)
    source.save(tmp_path / "source.keras")
    with pytest.raises(ValueError, match=r"`weights`.*architecture.*differs in"):
        load_pretrained(model, tmp_path / "source.keras")
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_unreadable_file(tmp_path):
    path = tmp_path / "broken.keras"
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"`weights`.*Received: .*broken\.keras"):
        load_pretrained(build(), path)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"`weights`.*does not exist"):
        load_pretrained(build(), tmp_path / "missing.keras")
