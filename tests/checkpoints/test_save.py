"""Models go back to PyTorch: the projects load the files strictly and agree."""

import keras
import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file

import keras_poolformer
from keras_poolformer import CheckpointError, MetaFormer, load_checkpoint, save_checkpoint
from keras_poolformer.variants import VARIANTS
from tests.backends import relative_error, rest_only_under
from tests.checkpoints.conftest import values
from tests.checkpoints.names import named
from tests.references import copy_from_transformers, transformers_poolformer

LAYOUTS = ["official", "timm", "huggingface", "openmmlab"]


def read(path):
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, weights_only=True)


def trained(model):
    """Gives a model weights of order one, of which no two are alike."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        scale = 0.1 if "mlp" in weight.path else 0.02 if "head" in weight.path else 1
        weight.assign(scale * rng.standard_normal(weight.shape) + ("gamma" in weight.path))
    return model


@pytest.mark.parametrize(
    "variant", rest_only_under("torch", VARIANTS, ["S12"], "the other sizes have more of the same")
)
def test_transformers_and_timm_load_every_variant_strictly(variant, tmp_path):
    row = VARIANTS[variant]
    model = getattr(keras_poolformer, f"PoolFormer{variant}")()
    config = transformers.PoolFormerConfig(
        depths=list(row.depths), hidden_sizes=list(row.dims), num_labels=1000
    )
    with torch.device("meta"):
        theirs = {
            "huggingface": transformers.PoolFormerForImageClassification(config),
            "timm": timm.create_model(f"poolformer_{variant.lower()}"),
        }
    for layout, network in theirs.items():
        save_checkpoint(model, tmp_path / "file.safetensors", layout)
        network.load_state_dict(load_file(tmp_path / "file.safetensors"), strict=True, assign=True)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "variant", [pytest.param(v, marks=[pytest.mark.slow] * (v != "S12")) for v in VARIANTS]
)
def test_transformers_gives_the_same_logits_and_timm_the_same_maps(variant, suffix, tmp_path):
    row = VARIANTS[variant]
    builder = getattr(keras_poolformer, f"PoolFormer{variant}")
    model = builder(classifier_activation=None, input_shape=(64, 96, 3))
    # An ordinary draw lets the deep variants overflow; this one is meant for them.
    copy_from_transformers(transformers_poolformer(row.depths, row.dims), model)
    x = np.random.default_rng(0).standard_normal((2, 64, 96, 3)).astype("float32")
    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    both = keras.Model(model.input, {**model.pyramid_outputs, "logits": model.output})
    actual = both.predict(x, verbose=0)

    save_checkpoint(model, tmp_path / f"hf{suffix}", "huggingface")
    config = transformers.PoolFormerConfig(
        depths=list(row.depths), hidden_sizes=list(row.dims), num_labels=1000
    )
    theirs = transformers.PoolFormerForImageClassification(config).eval()
    theirs.load_state_dict(read(tmp_path / f"hf{suffix}"), strict=True)
    with torch.no_grad():
        logits = theirs(images).logits.numpy()
    assert relative_error(actual["logits"], logits) <= 2e-6

    save_checkpoint(model, tmp_path / f"timm{suffix}", "timm")
    theirs = timm.create_model(f"poolformer_{variant.lower()}").eval()
    theirs.load_state_dict(read(tmp_path / f"timm{suffix}"), strict=True)
    with torch.no_grad():
        maps = theirs.forward_intermediates(images, intermediates_only=True)
    for level, expected in zip(model.pyramid_outputs, maps, strict=True):
        assert relative_error(actual[level], expected.numpy().transpose(0, 2, 3, 1)) <= 2e-6


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pth.tar"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_round_trip_is_exact_to_the_bit(layout, suffix, small, tmp_path):
    model = trained(small())
    path = tmp_path / f"model{suffix}"
    save_checkpoint(model, str(path), layout)
    assert list(tmp_path.iterdir()) == [path]
    state = read(path) if suffix != ".pth.tar" else torch.load(path, weights_only=True)
    if layout == "openmmlab" and suffix != ".safetensors":
        assert state["meta"] == {}
        state = state["state_dict"]
    assert sorted(state) == sorted(named((1, 2, 1, 1), layout))
    again = small()
    assert load_checkpoint(again, path).layout == layout
    for name, value in values(model).items():
        np.testing.assert_array_equal(values(again)[name].view("int32"), value.view("int32"))


def test_the_file_says_that_it_is_for_pytorch(small, tmp_path):
    save_checkpoint(small(), tmp_path / "model.safetensors", "huggingface")
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}


def test_from_pretrained_of_transformers(small, tmp_path):
    model = trained(small())
    save_checkpoint(model, tmp_path / "model.safetensors", "huggingface")
    transformers.PoolFormerConfig(
        depths=[1, 2, 1, 1], hidden_sizes=[8, 12, 16, 20], num_labels=10
    ).save_pretrained(tmp_path)
    theirs, report = transformers.PoolFormerForImageClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    x = np.random.default_rng(0).standard_normal((1, 64, 64, 3)).astype("float32")
    with torch.no_grad():
        logits = theirs.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).logits.numpy()
    assert relative_error(model.predict(x, verbose=0), logits) <= 2e-6


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights(dtype, suffix, small, tmp_path):
    model = trained(small(dtype=dtype))
    save_checkpoint(model, tmp_path / f"model{suffix}", "timm")
    state = read(tmp_path / f"model{suffix}")
    assert state["stem.conv.weight"].dtype == getattr(torch, dtype)
    again = small(dtype=dtype)
    load_checkpoint(again, tmp_path / f"model{suffix}")
    for name, value in values(model).items():
        np.testing.assert_array_equal(values(again)[name], value)


def test_a_backbone_has_no_classifier(small, tmp_path):
    save_checkpoint(small(include_top=False), tmp_path / "model.safetensors", "timm")
    assert not any(key.startswith("head.fc") for key in load_file(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("name", "layout", "message"),
    [
        ("a.safetensors", "torch", "`layout` must be one of .*'official'.*Received: 'torch'"),
        ("a.h5", "timm", r"`path` must end in one of \.safetensors.*Received: .*a\.h5"),
        ("nowhere/a.pth", "timm", "`path` must be in a folder that exists.*nowhere"),
    ],
)
def test_bad_arguments_are_named(name, layout, message, small, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_checkpoint(small(), tmp_path / name, layout)
    assert list(tmp_path.iterdir()) == []


def test_weights_without_a_name_in_the_layout(tmp_path):
    class Scaled(keras.layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(name="factor", shape=(1,))

        def call(self, x):
            return self.factor * x

    model = MetaFormer([1], [4], token_mixer=Scaled, input_shape=(8, 8, 3), classes=2)
    with pytest.raises(CheckpointError, match=r"`model` must be.*token_mixer/factor"):
        save_checkpoint(model, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_failure_leaves_the_older_file(suffix, small, tmp_path, monkeypatch):
    import safetensors.numpy

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"older")
    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(small(), path)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]
