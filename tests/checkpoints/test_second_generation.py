"""Checkpoints of the second generation, in timm's layout and the official code's."""

import re

import keras
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import keras_poolformer
from keras_poolformer import CheckpointError, MetaFormer, load_checkpoint, save_checkpoint
from keras_poolformer.checkpoints.__main__ import main
from keras_poolformer.variants import FAMILIES
from tests.backends import relative_error
from tests.checkpoints.conftest import build_small, values
from tests.references import copy_from_timm, timm, timm_metaformer

metaformer = timm.models.metaformer
SMALL = {"depths": [1, 2, 1, 1], "dims": [8, 12, 32, 64]}
CONV, ATTENTION = metaformer.SepConv, metaformer.Attention
NORM, TOKEN_NORM = metaformer.LayerNorm2dNoBias, metaformer.LayerNormNoBias
THEIRS = {
    "PoolFormerV2": {"norm_layers": metaformer.GroupNorm1NoBias, "use_mlp_head": False},
    "ConvFormer": {"token_mixers": CONV},
    "CAFormer": {
        "token_mixers": [CONV, CONV, ATTENTION, ATTENTION],
        "norm_layers": [NORM, NORM, TOKEN_NORM, TOKEN_NORM],
    },
}
every_family = pytest.mark.parametrize("family", THEIRS)
every_layout = pytest.mark.parametrize("layout", ["timm", "metaformer"])


def reference_of(family):
    return timm_metaformer(**SMALL, **THEIRS[family], num_classes=10)


def build(family, **kwargs):
    arguments = {
        **FAMILIES[family].arguments, **SMALL, "layer_scale_init_value": None, "classes": 10,
        "classifier_activation": None, "input_shape": (64, 64, 3), **kwargs,
    }  # fmt: skip
    return MetaFormer(**arguments)


def to_official(state):
    """timm's names and shapes turned into those of the official code, written from the two."""
    official = {}
    for key, value in state.items():
        name = re.sub(r"^stem\.conv", "downsample_layers.0.conv", key)
        name = re.sub(r"^stem\.norm", "downsample_layers.0.post_norm", name)
        name = re.sub(r"^stages\.(\d)\.downsample\.norm", r"downsample_layers.\1.pre_norm", name)
        name = re.sub(r"^stages\.(\d)\.downsample\.conv", r"downsample_layers.\1.conv", name)
        name = name.replace(".blocks.", ".").replace("head.norm", "norm").replace("head.fc", "head")
        if re.search(r"fc[12]|pwconv", name) and value.ndim == 4:
            value = value[:, :, 0, 0]
        official[name] = value.contiguous()
    # Of the MLP head, the norm inside was "head.fc.norm" in timm.
    return official


def written(reference, layout, path):
    state = reference.state_dict()
    save_file(to_official(state) if layout == "metaformer" else state, path)
    return path


@every_family
@every_layout
def test_a_checkpoint_fills_every_weight(family, layout, tmp_path):
    reference, model, twin = reference_of(family), build(family), build(family)
    copy_from_timm(reference, twin)
    report = load_checkpoint(model, written(reference, layout, tmp_path / "a.safetensors"))
    assert report.layout == layout
    assert len(report.loaded) == len(reference.state_dict())
    assert (report.left_out, report.kept) == ((), ())
    for path, value in values(twin).items():
        np.testing.assert_array_equal(values(model)[path], value, err_msg=path)


@every_family
@every_layout
def test_the_architecture_is_read_off_the_file(family, layout, tmp_path):
    reference = reference_of(family)
    path = written(reference, layout, tmp_path / "a.safetensors")
    model = keras_poolformer.load_model(path, classifier_activation=None, input_shape=(48, 80, 3))
    x = np.random.default_rng(0).standard_normal((2, 48, 80, 3)).astype("float32")
    with torch.no_grad():
        expected = reference(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    assert relative_error(model.predict(x, verbose=0), expected) <= 5e-6
    backbone = build(family, include_top=False)
    report = load_checkpoint(backbone, path)
    heads = [key for key in report.left_out if key.startswith("head")]
    assert len(heads) == len(report.left_out) == (2 if family == "PoolFormerV2" else 6)


@every_family
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_timm_loads_what_is_written_strictly(family, suffix, tmp_path):
    reference, model = reference_of(family), build(family)
    expected = {name: value.clone() for name, value in reference.state_dict().items()}
    copy_from_timm(reference, model)
    save_checkpoint(model, tmp_path / f"a{suffix}", "timm")
    state = (
        load_file(tmp_path / "a.safetensors")
        if suffix == ".safetensors"
        else torch.load(tmp_path / "a.pth", weights_only=True)
    )
    reference.load_state_dict(state, strict=True)
    for name, value in expected.items():
        assert torch.equal(reference.state_dict()[name], value), name


@every_family
def test_a_round_trip_through_the_official_layout_is_exact(family, tmp_path):
    reference, model = reference_of(family), build(family)
    copy_from_timm(reference, model)
    save_checkpoint(model, tmp_path / "a.safetensors", "metaformer")
    state, expected = load_file(tmp_path / "a.safetensors"), to_official(reference.state_dict())
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name
    again = build(family)
    load_checkpoint(again, tmp_path / "a.safetensors")
    for path, value in values(model).items():
        np.testing.assert_array_equal(values(again)[path], value)


@every_layout
def test_randformer_keeps_its_frozen_matrices(layout, tmp_path):
    model = build("RandFormer")
    save_checkpoint(model, tmp_path / "a.safetensors", layout)
    state = load_file(tmp_path / "a.safetensors")
    block = "2.blocks.0" if layout == "timm" else "2.0"
    assert state[f"stages.{block}.token_mixer.random_matrix"].shape == (16, 16)
    again = keras_poolformer.load_model(
        tmp_path / "a.safetensors", input_shape=(64, 64, 3), classifier_activation=None
    )
    for path, value in values(model).items():
        np.testing.assert_array_equal(values(again)[path], value)
    other = build("RandFormer", input_shape=(96, 96, 3))
    before = values(other)
    message = r"random_matrix is \(16, 16\), the model needs \(36, 36\)"
    with pytest.raises(
        CheckpointError, match=f"{message}.*pair of 16 positions.*`input_shape` that it was"
    ):
        load_checkpoint(other, tmp_path / "a.safetensors")
    for path, value in values(other).items():
        np.testing.assert_array_equal(value, before[path])


@every_layout
@pytest.mark.parametrize("family", ["PoolFormerV2", "CAFormer"])
def test_a_round_trip_with_the_classes_of_imagenet_21k(family, layout, tmp_path):
    model = build(family, classes=21841)
    save_checkpoint(model, tmp_path / "a.safetensors", layout)
    again = keras_poolformer.load_model(tmp_path / "a.safetensors", input_shape=(64, 64, 3))
    assert again.output_shape == (None, 21841)
    for path, value in values(model).items():
        np.testing.assert_array_equal(values(again)[path], value, err_msg=path)


@every_layout
def test_another_number_of_classes_needs_skip_head(layout, tmp_path):
    path = written(reference_of("CAFormer"), layout, tmp_path / "a.safetensors")
    model = build("CAFormer", classes=3)
    with pytest.raises(CheckpointError, match="Only the classifier does not fit.*skip_head=True"):
        load_checkpoint(model, path)
    report = load_checkpoint(model, path, skip_head=True)
    assert len(report.kept) == len(report.left_out) == 6


def test_the_generations_are_not_confused(tmp_path):
    second = build("PoolFormerV2")
    with pytest.raises(CheckpointError, match="layouts 'timm' and 'metaformer'.*'official'"):
        save_checkpoint(second, tmp_path / "a.safetensors", "official")
    first = build_small(dims=SMALL["dims"], depths=SMALL["depths"])
    save_checkpoint(first, tmp_path / "first.safetensors", "timm")
    save_checkpoint(second, tmp_path / "second.safetensors", "timm")
    with pytest.raises(CheckpointError, match=r"Missing in the file.*stem\.norm\.weight"):
        load_checkpoint(second, tmp_path / "first.safetensors")
    with pytest.raises(CheckpointError, match=r"Left over in the file \(\d+\): "):
        load_checkpoint(first, tmp_path / "second.safetensors")


def test_a_builder_takes_a_file_and_the_command_tells_what_it_is(tmp_path, capsys):
    with torch.device("meta"):
        reference = timm.create_model("poolformerv2_s12", num_classes=7)
    reference = reference.to_empty(device="cpu")
    with torch.no_grad():
        for weight in reference.parameters():
            weight.normal_()
    save_file(reference.state_dict(), tmp_path / "a.safetensors")
    model = keras_poolformer.PoolFormerV2S12(weights=tmp_path / "a.safetensors", classes=7)
    expected = reference.state_dict()["head.fc.weight"].numpy().T
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model.get_layer("head").kernel), expected
    )
    assert keras_poolformer.load_model(tmp_path / "a.safetensors").name == "poolformerv2_s12"
    assert main(["inspect", str(tmp_path / "a.safetensors")]) == 0
    told = capsys.readouterr().out
    assert "PoolFormerV2S12" in told
    assert "Classes      7" in told
