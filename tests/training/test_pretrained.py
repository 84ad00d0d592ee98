import keras
import numpy as np
import pytest

from keras_poolformer import CAFormerS18, PoolFormerS12, RandFormerS12, save_checkpoint
from training import pretrained
from training.pretrained import load_pretrained
from training.recipe import find_recipe


def build_recipe(name, shape, classes):
    recipe = find_recipe(name)
    return recipe.build(shape, classes, **recipe.model)


def build(classes=10, seed=0, size=8):
    keras.utils.set_random_seed(seed)
    return build_recipe("digits", (size, size, 1), classes)


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
    source, model = build_recipe("images", (32, 32, 3), 10), build()
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


TINY = {"depths": [1, 1, 1, 1], "dims": [8, 8, 32, 32]}
SMALL = {"depths": [1, 1], "dims": [8, 12], "input_shape": (32, 32, 3)}


@pytest.mark.parametrize("classes", [10, 4])
def test_a_pytorch_checkpoint(classes, tmp_path):
    source, model = PoolFormerS12(**SMALL, classes=10), PoolFormerS12(**SMALL, classes=classes)
    before = values(model)
    save_checkpoint(source, tmp_path / "source.safetensors", "timm")
    assert load_pretrained(model, tmp_path / "source.safetensors") is (classes == 10)
    for name, value in values(source).items():
        kept = classes == 4 and name.startswith("head/")
        np.testing.assert_array_equal(values(model)[name], before[name] if kept else value)


@pytest.mark.parametrize("name", ["imagenet", "poolformer_s12"])
def test_a_preset(name, tmp_path, monkeypatch):
    def download(preset):
        assert preset.name == "poolformer_s12"
        return tmp_path / "source.safetensors"

    source, model = PoolFormerS12(), PoolFormerS12(classes=4)
    save_checkpoint(source, tmp_path / "source.safetensors", "huggingface")
    monkeypatch.setattr(pretrained, "download", download)
    assert load_pretrained(model, name) is False
    np.testing.assert_array_equal(values(model)["stem/kernel"], values(source)["stem/kernel"])


def test_a_preset_of_another_family(tmp_path, monkeypatch):
    def download(preset):
        assert preset.name == "caformer_s18.sail_in1k_384"
        return tmp_path / "source.safetensors"

    monkeypatch.setattr(pretrained, "download", download)
    # Of few blocks, which the builder's name is not told by.
    monkeypatch.setattr(pretrained, "name_of", lambda model: "CAFormerS18")
    source = CAFormerS18(**TINY, input_shape=(96, 96, 3))
    save_checkpoint(source, tmp_path / "source.safetensors", "timm")
    model = CAFormerS18(**TINY, input_shape=(64, 64, 3), classes=4)
    assert load_pretrained(model, "caformer_s18.sail_in1k_384") is False
    for name, value in values(source).items():
        if not name.startswith("head/"):
            np.testing.assert_array_equal(values(model)[name], value)


def test_frozen_matrices_belong_to_the_model_and_to_one_size(tmp_path):
    source = RandFormerS12(**TINY, input_shape=(64, 64, 3), classes=4)
    source.save(tmp_path / "source.keras")
    keras.utils.set_random_seed(1)
    model = RandFormerS12(**TINY, input_shape=(64, 64, 3), classes=4)
    mixing = model.get_layer("stage3_block1").token_mixer.mixing
    expected = keras.ops.convert_to_numpy(source.get_layer("stage3_block1").token_mixer.mixing)
    assert np.abs(keras.ops.convert_to_numpy(mixing) - expected).max() > 0.01
    assert load_pretrained(model, tmp_path / "source.keras") is True
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(mixing), expected)
    other = RandFormerS12(**TINY, input_shape=(96, 96, 3), classes=4)
    with pytest.raises(ValueError, match=r"differs in 2 weights.*mixing'\. .*one size of image"):
        load_pretrained(other, tmp_path / "source.keras")


def test_a_preset_of_another_size_is_refused_before_the_download(monkeypatch):
    monkeypatch.setattr(pretrained, "name_of", lambda model: "RandFormerS12")
    monkeypatch.setattr(pretrained, "download", lambda preset: pytest.fail("downloads"))
    model = RandFormerS12(**TINY, input_shape=(96, 96, 3))
    with pytest.raises(ValueError, match=r"`input_shape` must be \(224, 224, 3\).*Random mixing"):
        load_pretrained(model, "imagenet")


def test_a_preset_of_another_architecture():
    with pytest.raises(ValueError, match="`weights` must be a file for the model 'poolformer_digi"):
        load_pretrained(build(), "imagenet")
    with pytest.raises(ValueError, match="`weights` must be a preset of PoolFormerS12"):
        load_pretrained(PoolFormerS12(), "poolformer_m36")
