"""Checkpoints of the PyTorch projects go into Keras models as a whole or not at all."""

import argparse
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import keras_poolformer
from keras_poolformer import CheckpointError, MetaFormer, load_checkpoint
from keras_poolformer.variants import VARIANTS
from tests.backends import relative_error, rest_only_under
from tests.checkpoints.conftest import SMALL, values
from tests.checkpoints.names import dense, named, state_dict
from tests.references import copy_from_transformers, transformers_poolformer

LAYOUTS = ["official", "timm", "huggingface", "openmmlab"]


def write(state, path):
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for path in expected:
        np.testing.assert_array_equal(actual[path], expected[path], err_msg=path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pth.tar", ".bin", ".pt"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_in_every_kind_of_file(layout, suffix, reference, expected, small, tmp_path):
    path = write(state_dict(reference, layout), tmp_path / f"a.checkpoint{suffix}")
    model = small()
    report = load_checkpoint(model, str(path))
    assert_equal(values(model), expected)
    assert report.layout == layout
    assert sorted(report.loaded) == sorted(named(SMALL["depths"], layout))
    assert (report.left_out, report.kept, report.entry) == ((), (), "")
    assert str(report) == f"Loaded {len(expected)} tensors in the layout {layout!r}"


@pytest.mark.parametrize(
    "variant", rest_only_under("torch", VARIANTS, ["S12"], "the other sizes have more of the same")
)
def test_every_variant_has_every_weight_in_its_place(variant, tmp_path):
    row = VARIANTS[variant]
    reference = transformers_poolformer(row.depths, row.dims)
    model = getattr(keras_poolformer, f"PoolFormer{variant}")()
    copy_from_transformers(reference, model)
    expected = values(model)
    for layout in LAYOUTS:
        path = write(state_dict(reference, layout), tmp_path / "file.safetensors")
        for weight in model.weights:
            weight.assign(np.zeros(weight.shape))
        assert load_checkpoint(model, path).layout == layout
        assert_equal(values(model), expected)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_loaded_model_gives_the_logits_of_the_reference(
    layout, data_format, reference, small, tmp_path
):
    path = write(state_dict(reference, layout), tmp_path / "file.pth")
    is_first = data_format == "channels_first"
    shape = (3, None, None) if is_first else (None, None, 3)
    model = small(data_format=data_format, input_shape=shape)
    load_checkpoint(model, path)
    x = np.random.default_rng(0).standard_normal((2, 3, 51, 64)).astype("float32")
    with torch.no_grad():
        logits = reference(torch.from_numpy(x)).logits.numpy()
    actual = model.predict(x if is_first else x.transpose(0, 2, 3, 1), verbose=0)
    assert relative_error(actual, logits) <= 2e-6


def test_the_argument_weights_of_a_builder(tmp_path):
    row = VARIANTS["S12"]
    reference = transformers_poolformer(row.depths, row.dims)
    path = write(state_dict(reference, "timm"), tmp_path / "s12.pth")
    model = keras_poolformer.PoolFormerS12(weights=path)
    twin = keras_poolformer.PoolFormerS12()
    copy_from_transformers(reference, twin)
    assert_equal(values(model), values(twin))
    backbone = keras_poolformer.PoolFormerS12(weights=str(path), include_top=False)
    assert_equal(values(backbone), {k: v for k, v in values(twin).items() if "head" not in k})
    with pytest.raises(CheckpointError, match=r"head\.fc\.weight is \(1000, 512\).*\(5, 512\)"):
        keras_poolformer.PoolFormerS12(weights=path, classes=5)


# === What training programs wrap around the weights ===

WRAPPINGS = {
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"lr": 0.1}},
    "model": lambda s: {"model": s, "args": argparse.Namespace(lr=0.1)},
    "nested twice": lambda s: {"model": {"state_dict": OrderedDict(s)}},
    "module.": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {"model": {f"_orig_mod.module.{k}": v for k, v in s.items()}},
    "parameters": lambda s: {k: torch.nn.Parameter(v) for k, v in s.items()},
    "older format": None,
}


@pytest.mark.parametrize("case", WRAPPINGS)
def test_wrappings(case, reference, expected, small, tmp_path):
    state = state_dict(reference, "official")
    path = tmp_path / "file.pth"
    if case == "older format":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        torch.save(WRAPPINGS[case](state), path)
    model = small()
    report = load_checkpoint(model, path)
    assert_equal(values(model), expected)
    prefix = {"module.": "module.", "compiled": "_orig_mod.module."}.get(case, "")
    assert sorted(report.loaded) == sorted(f"{prefix}{key}" for key in state)


def averages(state):
    return {key: 2 * value for key, value in state.items()}


EMA = {
    "state_dict_ema": lambda s: {"state_dict": s, "state_dict_ema": averages(s)},
    "model_ema": lambda s: {
        "model": s, "model_ema": {f"module.{k}": v for k, v in averages(s).items()}
    },
    "ema_state_dict": lambda s: {
        "state_dict": s,
        "ema_state_dict": {
            "steps": torch.tensor(7), **{f"module.{k}": v for k, v in averages(s).items()}
        },
    },
    "state_dict/ema_*": lambda s: {
        "state_dict": s | {f"ema_{k.replace('.', '_')}": v for k, v in averages(s).items()}
    },
}  # fmt: skip


@pytest.mark.parametrize("entry", EMA)
def test_averaged_weights_are_taken_unless_the_others_are_wanted(
    entry, reference, expected, small, tmp_path
):
    torch.save(EMA[entry](state_dict(reference, "openmmlab")), tmp_path / "file.pth")
    model = small()
    report = load_checkpoint(model, tmp_path / "file.pth")
    assert report.entry == entry
    assert_equal(values(model), {path: 2 * value for path, value in expected.items()})
    report = load_checkpoint(model, tmp_path / "file.pth", use_ema=False)
    assert report.entry in ("state_dict", "model")
    assert_equal(values(model), expected)


# === Classifiers and dense prediction ===


def test_a_classifier_of_other_classes_is_left_out_on_request(reference, expected, small, tmp_path):
    path = write(state_dict(reference, "huggingface"), tmp_path / "file.safetensors")
    model = small(classes=3)
    head = {path: value for path, value in values(model).items() if path.startswith("head/")}
    with pytest.raises(CheckpointError, match=r"Only the classifier.*skip_head=True"):
        load_checkpoint(model, path)
    report = load_checkpoint(model, path, skip_head=True)
    assert report.left_out == ("classifier.bias", "classifier.weight")
    assert report.kept == ("head/kernel", "head/bias")
    assert_equal(values(model), {**expected, **head})
    assert "left out classifier.bias" in str(report)


def test_a_backbone_leaves_the_classifier_out(reference, expected, small, tmp_path):
    path = write(state_dict(reference, "openmmlab"), tmp_path / "file.pth")
    model = small(include_top=False)
    report = load_checkpoint(model, path)
    assert report.left_out == ("head.fc.bias", "head.fc.weight")
    assert_equal(values(model), {k: v for k, v in expected.items() if "head" not in k})


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_detector_gives_its_backbone(prefix, suffix, reference, expected, small, tmp_path):
    state = dense(reference, prefix)
    others = {}
    if prefix:  # a whole detector
        others = {"neck.lateral_convs.0.conv.weight": torch.ones(3), "bbox_head.a": torch.ones(2)}
    path = write({**state, **others}, tmp_path / f"file{suffix}")
    model = small(include_top=False)
    report = load_checkpoint(model, path)
    assert_equal(values(model), {k: v for k, v in expected.items() if "head" not in k})
    norms = {f"{prefix}norm{i}.{leaf}" for i in (0, 2, 4) for leaf in ("weight", "bias")}
    assert set(report.left_out) == norms | others.keys()
    with pytest.raises(CheckpointError, match="Only the classifier does not fit"):
        load_checkpoint(small(), path)


# === What does not fit ===


def without(key):
    return lambda s: {k: v for k, v in s.items() if k != key}


MISFITS = {
    "missing": (without("norm.bias"), r"Missing in the file \(1\): norm\.bias"),
    "left over": (
        lambda s: s | {"extra.weight": torch.ones(2)},
        r"Left over in the file \(1\): extra\.weight",
    ),
    "a buffer": (
        lambda s: s | {"num_batches": torch.tensor(3)},
        r"Left over in the file \(1\): num_batches",
    ),
    "another shape": (
        lambda s: s | {"patch_embed.proj.weight": torch.ones(8, 3, 3, 3)},
        r"Of another shape \(1\): patch_embed\.proj\.weight is \(8, 3, 3, 3\), "
        r"the model needs \(8, 3, 7, 7\)",
    ),
    "a linear layer": (
        lambda s: s | {"network.0.0.mlp.fc1.bias": torch.ones(32, 1)},
        r"fc1\.bias is \(32, 1\), the model needs \(32,\)",
    ),
    "no float": (
        lambda s: s | {"norm.weight": torch.ones(20, dtype=torch.int64)},
        r"no float \(1\): norm\.weight is int64",
    ),
    "another depth": (
        lambda s: {k: v for k, v in s.items() if not k.startswith("network.2.1.")},
        r"depths \(1, 1, 1, 1\).*Missing in the file \(10\): network\.2\.1\.norm1\.weight",
    ),
    "everything at once": (
        lambda s: without("norm.bias")(s)
        | {"x": torch.ones(1), "norm.weight": torch.ones(3)},
        r"Missing .*norm\.bias.*Left over .*: x.*another shape .*norm\.weight is \(3,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_a_misfit_is_listed_and_changes_nothing(case, reference, small, tmp_path):
    change, message = MISFITS[case]
    path = write(change(state_dict(reference, "official")), tmp_path / "file.pth")
    model = small()
    before = values(model)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(model, path)
    assert "does not fit the model 'metaformer'" in str(caught.value)
    assert str(path) in str(caught.value)
    assert_equal(values(model), before)


def test_names_in_messages_are_the_files_own(reference, small, tmp_path):
    state = {
        f"module.{k}": v for k, v in without("norm.bias")(state_dict(reference, "timm")).items()
    }
    state.pop("module.head.norm.bias")
    state["module.odd\x1b[31m" + "x" * 500] = torch.ones(1)
    path = write(state, tmp_path / "file.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(small(), path)
    message = str(caught.value)
    assert "Missing in the file (1): module.head.norm.bias" in message
    assert r"module.odd\x1b[31mxxx" in message  # no commands for the terminal
    assert len(message) < 1000


def test_another_variant_is_named(small, tmp_path):
    row = VARIANTS["S12"]
    path = write(
        state_dict(transformers_poolformer(row.depths, row.dims), "timm"), tmp_path / "file.pth"
    )
    with pytest.raises(CheckpointError, match=r"layout 'timm', PoolFormerS12, 1000 classes\. Miss"):
        load_checkpoint(keras_poolformer.PoolFormerS24(), path)


def test_a_model_that_is_no_poolformer(reference, tmp_path):
    import keras

    path = write(state_dict(reference, "official"), tmp_path / "file.pth")
    dense_model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(CheckpointError, match="`model` must be a MetaFormer.*dense.*/kernel"):
        load_checkpoint(dense_model, path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_other_precisions(dtype, suffix, reference, expected, small, tmp_path):
    state = {k: v.to(dtype) for k, v in state_dict(reference, "official").items()}
    path = write(state, tmp_path / f"file{suffix}")
    model = small()
    load_checkpoint(model, path)
    rounded = state["patch_embed.proj.weight"].to(torch.float32).numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(values(model)["stem/kernel"], rounded)
    error = relative_error(values(model)["stem/kernel"], expected["stem/kernel"])
    assert error == 0 if dtype == torch.float64 else 0 < error < 1e-2


def test_the_model_does_not_share_memory_with_the_file(reference, expected, small, tmp_path):
    path = write(state_dict(reference, "official"), tmp_path / "file.pth")
    first, second = small(), small()
    load_checkpoint(first, path)
    load_checkpoint(second, path)
    for weight in first.weights:
        weight.assign(np.zeros(weight.shape))
    path.write_bytes(b"")
    assert_equal(values(second), expected)


def test_a_metaformer_of_other_stages_and_settings(tmp_path):
    model = MetaFormer([1, 1], [4, 6], mlp_ratios=[2, 3], layer_scale_init_value=None,
                       stem_patch_size=3, classes=2, input_shape=(32, 32, 3))  # fmt: skip
    for layout in LAYOUTS:
        path = tmp_path / f"{layout}.safetensors"
        keras_poolformer.save_checkpoint(model, path, layout)
        loaded = keras_poolformer.load_model(path, input_shape=(32, 32, 3))
        assert_equal(values(loaded), values(model))
