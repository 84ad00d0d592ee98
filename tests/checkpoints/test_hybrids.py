"""Checkpoints of the first paper's identity model and hybrids, in the official layout."""

import keras
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import keras_poolformer
from keras_poolformer import CheckpointError, MetaFormer, load_checkpoint, save_checkpoint
from keras_poolformer.checkpoints.__main__ import main
from keras_poolformer.layers import PositionEmbedding
from keras_poolformer.variants import FAMILIES
from tests.backends import relative_error, slow_except_under
from tests.checkpoints.conftest import values
from tests.hybrid_reference import copy_from_hybrid, hybrid
from tests.test_parity import to_torch

SMALL = {"depths": (1, 2, 1, 2), "dims": (8, 12, 32, 64)}
SIZE = (64, 64)
FAMILY = {
    "IIII": "MetaFormerIdentity", "PPPA": "MetaFormerPPPA", "PPAA": "MetaFormerPPAA",
    "PPPF": "MetaFormerPPPF", "PPFF": "MetaFormerPPFF",
}  # fmt: skip
every_hybrid = pytest.mark.parametrize("letters", FAMILY)
with_attention = pytest.mark.parametrize("letters", ["PPPA", "PPAA"])


def build(letters, size=SIZE, **kwargs):
    arguments = {
        **FAMILIES[FAMILY[letters]].arguments, **SMALL, "input_shape": (*size, 3), "classes": 10,
        "classifier_activation": None, **kwargs,
    }  # fmt: skip
    return MetaFormer(**arguments)


def written(letters, tmp_path, size=SIZE, suffix=".safetensors"):
    reference = hybrid(letters, **SMALL, size=size, classes=10)
    path = tmp_path / f"{letters}{suffix}"
    if suffix == ".safetensors":
        save_file(reference.state_dict(), path)
    else:
        torch.save(reference.state_dict(), path)
    return reference, path


def logits(reference, x):
    with torch.no_grad():
        return reference(to_torch(x))[0].numpy()


def images(size=SIZE):
    return np.random.default_rng(0).standard_normal((2, *size, 3)).astype("float32")


@every_hybrid
@pytest.mark.parametrize("suffix", [".safetensors", ".pth.tar"])
def test_a_checkpoint_fills_every_weight(letters, suffix, tmp_path):
    reference, path = written(letters, tmp_path, suffix=suffix)
    model, twin = build(letters), build(letters)
    copy_from_hybrid(reference, twin)
    report = load_checkpoint(model, path)
    assert report.layout == "official"
    assert len(report.loaded) == len(reference.state_dict())
    assert (report.left_out, report.kept, report.resized) == ((), (), ())
    for name, value in values(twin).items():
        np.testing.assert_array_equal(values(model)[name], value, err_msg=name)


def test_the_embedding_moves_the_later_names(tmp_path):
    """Written out: stages 0, 2, 5 and 7, with the embedding at 4, for the third of four."""
    model = build("PPAA")
    save_checkpoint(model, tmp_path / "a.safetensors", "official")
    state = load_file(tmp_path / "a.safetensors")
    assert sorted({key.split(".")[1] for key in state if key.startswith("network")}) == [
        *("0", "1", "2", "3", "4", "5", "6", "7"),
    ]
    assert state["network.4.pos_embed"].shape == (1, 32, 4, 4)
    assert state["network.3.proj.weight"].shape == (32, 12, 3, 3)
    assert state["network.5.0.token_mixer.qkv.weight"].shape == (96, 32)
    assert state["network.5.0.token_mixer.proj.bias"].shape == (32,)
    assert state["network.5.0.mlp.fc1.weight"].shape == (128, 32, 1, 1)
    assert state["network.6.proj.weight"].shape == (64, 32, 3, 3)
    assert state["network.7.1.layer_scale_2"].shape == (64,)
    save_checkpoint(build("PPPF"), tmp_path / "b.safetensors", "official")
    state = load_file(tmp_path / "b.safetensors")
    assert state["network.6.1.token_mixer.fc.weight"].shape == (4, 4)


@every_hybrid
def test_a_round_trip_is_exact(letters, tmp_path):
    reference, model = hybrid(letters, **SMALL, size=SIZE, classes=10), build(letters)
    expected = {name: value.clone() for name, value in reference.state_dict().items()}
    copy_from_hybrid(reference, model)
    save_checkpoint(model, tmp_path / "a.pth", "official")
    reference.load_state_dict(torch.load(tmp_path / "a.pth", weights_only=True), strict=True)
    for name, value in expected.items():
        assert torch.equal(reference.state_dict()[name], value), name
    again = build(letters)
    load_checkpoint(again, tmp_path / "a.pth")
    for name, value in values(model).items():
        np.testing.assert_array_equal(values(again)[name], value, err_msg=name)


@pytest.mark.parametrize("letters", ["PPPA", "PPAA", "PPPF", "PPFF"])
def test_the_architecture_and_the_size_of_the_images_are_read_off_the_file(letters, tmp_path):
    size = (64, 96) if "A" in letters else SIZE  # of a matrix only the product is known
    reference, path = written(letters, tmp_path, size)
    model = keras_poolformer.load_model(path, classifier_activation=None)
    assert model.input_shape == (None, *size, 3)
    x = images(size)
    assert relative_error(model.predict(x, verbose=0), logits(reference, x)) <= 5e-6
    first = keras_poolformer.load_model(
        path, classifier_activation=None, data_format="channels_first"
    )
    y = first.predict(x.transpose(0, 3, 1, 2), verbose=0)
    assert relative_error(y, logits(reference, x)) <= 5e-6


@slow_except_under("tensorflow", "torch")
def test_a_randformer_is_read_with_its_identities_and_its_size(tmp_path, rng):
    arguments = {**FAMILIES["RandFormer"].arguments, **SMALL, "layer_scale_init_value": None}
    model = MetaFormer(**arguments, input_shape=(*SIZE, 3), classes=10)
    for weight in model.weights:
        weight.assign(weight + 0.1 * rng.standard_normal(weight.shape))
    save_checkpoint(model, tmp_path / "a.safetensors", "metaformer")
    again = keras_poolformer.load_model(tmp_path / "a.safetensors")
    assert again.input_shape == (None, *SIZE, 3)
    assert again.token_mixers == ("identity", "identity", "random_mixing", "random_mixing")
    np.testing.assert_allclose(
        again.predict(images(), verbose=0), model.predict(images(), verbose=0), rtol=1e-4, atol=1e-7
    )


# === Another size of image ===


def test_an_embedding_of_another_size_is_refused_with_the_reason(tmp_path):
    _, path = written("PPAA", tmp_path)
    model = build("PPAA", (80, 64))
    before = values(model)
    message = (
        r"network\.4\.pos_embed is \(1, 32, 4, 4\), the model needs \(1, 32, 5, 4\).*"
        r"a vector for each of 4 x 4 positions and the model has 5 x 4.*another size.*"
        r"`input_shape`.*position_embedding_size=\(4, 4\).*interpolate_position_embedding=True"
    )
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(model, path)
    for name, value in before.items():
        np.testing.assert_array_equal(values(model)[name], value)


@pytest.mark.parametrize(("letters", "own", "other"), [("PPPF", 4, 6), ("PPFF", 16, 24)])
def test_a_matrix_of_another_size_is_refused_with_the_reason(letters, own, other, tmp_path):
    _, path = written(letters, tmp_path)
    message = f"every pair of {own} positions .*has {other} positions.*cannot be resized"
    for arguments in ({}, {"interpolate_position_embedding": True}):
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(build(letters, (64, 96)), path, **arguments)


@slow_except_under("torch")
@with_attention
def test_the_embedding_is_interpolated_on_request(letters, tmp_path):
    reference, path = written(letters, tmp_path)
    size = (80, 128)
    model = build(letters, size)
    report = load_checkpoint(model, path, interpolate_position_embedding=True)
    index = 4 if letters == "PPAA" else 6
    assert report.resized == (f"network.{index}.pos_embed",)
    assert f"interpolated network.{index}.pos_embed" in str(report)
    other = hybrid(letters, **SMALL, size=size, classes=10)
    state = reference.state_dict()
    key = f"network.{index}.pos_embed"
    shape = other.state_dict()[key].shape[2:]
    state[key] = torch.nn.functional.interpolate(state[key], shape, mode="bicubic")
    other.load_state_dict(state, strict=True)
    expected = logits(other, images(size))
    assert relative_error(model.predict(images(size), verbose=0), expected) <= 5e-6
    # The other ways to the same model.
    loaded = keras_poolformer.load_model(
        path, input_shape=(*size, 3), interpolate_position_embedding=True,
        classifier_activation=None,
    )  # fmt: skip
    inside = build(letters, size, position_embedding_size=(4, 4) if index == 4 else (2, 2))
    assert load_checkpoint(inside, path).resized == ()
    for same in (loaded, inside):
        assert relative_error(same.predict(images(size), verbose=0), expected) <= 5e-6


@slow_except_under("torch")
def test_a_224_checkpoint_of_the_builder_at_256(tmp_path):
    reference = hybrid("PPAA", classes=5)
    save_file(reference.state_dict(), tmp_path / "a.safetensors")
    model = keras_poolformer.MetaFormerPPAAS12(
        weights=tmp_path / "a.safetensors", input_shape=(256, 256, 3), classes=5,
        classifier_activation=None, position_embedding_size=14,
    )  # fmt: skip
    larger = hybrid("PPAA", size=(256, 256), classes=5)
    state = reference.state_dict()
    key = "network.4.pos_embed"
    state[key] = torch.nn.functional.interpolate(state[key], (16, 16), mode="bicubic")
    larger.load_state_dict(state, strict=True)
    x = images((256, 256))[:1]
    assert relative_error(model.predict(x, verbose=0), logits(larger, x)) <= 5e-6


def test_an_embedding_of_the_same_size_is_loaded_as_it_is(tmp_path):
    reference, path = written("PPPA", tmp_path)
    model = build("PPPA")
    assert load_checkpoint(model, path, interpolate_position_embedding=True).resized == ()
    (layer,) = (layer for layer in model.layers if isinstance(layer, PositionEmbedding))
    expected = reference.state_dict()["network.6.pos_embed"][0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.embedding), expected)


# === What does not fit ===

BAD = {
    "no embedding": (
        lambda s: s.pop("network.4.pos_embed"),
        # Without it nothing tells that the names are shifted.
        r"Missing in the file \(1\): network\.4\.pos_embed",
    ),
    "a second embedding": (
        lambda s: s.update({"network.7.pos_embed": torch.ones(1, 64, 2, 2)}),
        r"Left over in the file \(1\): network\.7\.pos_embed",
    ),
    "an embedding of other channels": (
        lambda s: s.update({"network.4.pos_embed": torch.ones(1, 33, 4, 4)}),
        r"pos_embed is \(1, 33, 4, 4\), the model needs \(1, 32, 4, 4\)$",
    ),
    "an embedding of tokens": (
        lambda s: s.update({"network.4.pos_embed": torch.ones(1, 16, 32)}),
        r"pos_embed is \(1, 16, 32\), the model needs",
    ),
    "an empty embedding": (
        lambda s: s.update({"network.4.pos_embed": torch.ones(1, 32, 0, 4)}),
        r"pos_embed is \(1, 32, 0, 4\), the model needs",
    ),
    "an embedding of whole numbers": (
        lambda s: s.update({"network.4.pos_embed": torch.ones(1, 32, 4, 4, dtype=torch.int64)}),
        "no float.*pos_embed is I64",
    ),
    "no bias after the heads": (
        lambda s: s.pop("network.5.0.token_mixer.proj.bias"),
        r"Missing in the file \(1\): network\.5\.0\.token_mixer\.proj\.bias",
    ),
    "a bias of the queries": (
        lambda s: s.update({"network.5.0.token_mixer.qkv.bias": torch.ones(96)}),
        r"Left over in the file \(1\): network\.5\.0\.token_mixer\.qkv\.bias",
    ),
    "heads of another size": (
        lambda s: s.update({"network.5.0.token_mixer.qkv.weight": torch.ones(48, 32)}),
        r"qkv\.weight is \(48, 32\), the model needs \(96, 32\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("interpolate", [False, True])
def test_a_misfit_is_listed_and_changes_nothing(case, interpolate, tmp_path):
    change, message = BAD[case]
    state = hybrid("PPAA", **SMALL, size=SIZE, classes=10).state_dict()
    change(state)
    save_file(state, tmp_path / "a.safetensors")
    model = build("PPAA")
    before = values(model)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(
            model, tmp_path / "a.safetensors", interpolate_position_embedding=interpolate
        )
    for name, value in before.items():
        np.testing.assert_array_equal(values(model)[name], value)


@pytest.mark.parametrize("case", [case for case in BAD if case != "an embedding of other channels"])
def test_a_misfit_does_not_become_a_model(case, tmp_path):
    state = hybrid("PPAA", **SMALL, size=SIZE, classes=10).state_dict()
    BAD[case][0](state)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError):
        keras_poolformer.load_model(tmp_path / "a.safetensors")


@pytest.mark.parametrize("layout", ["timm", "huggingface", "openmmlab", "metaformer"])
@pytest.mark.parametrize("letters", ["PPPA", "PPFF"])
def test_no_other_layout_has_these_parts(letters, layout, tmp_path):
    with pytest.raises(CheckpointError, match="in the layout 'official', of a hybrid"):
        save_checkpoint(build(letters), tmp_path / "a.safetensors", layout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", [{"residual": False}, {"mlp_ratios": [4, None, 4, 4]}])
def test_what_no_project_has_is_not_written(part, tmp_path):
    with pytest.raises(CheckpointError, match="`model` must have shortcuts and an MLP.*stage"):
        save_checkpoint(build("IIII", **part), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_another_hybrid_is_named(tmp_path):
    save_file(hybrid("PPPA", classes=5).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="'official', MetaFormerPPPAS12, 5 classes"):
        load_checkpoint(build("PPAA"), tmp_path / "a.safetensors")


@slow_except_under("tensorflow", "torch")
def test_the_command_tells_what_it_is_and_converts_it(tmp_path, capsys):
    path = tmp_path / "metaformer_ppaa_s12_224.safetensors"
    save_file(hybrid("PPAA", classes=7).state_dict(), path)
    assert main(["inspect", str(path)]) == 0
    told = capsys.readouterr().out
    assert "MetaFormerPPAAS12" in told
    assert "Layout       official" in told
    assert "Classes      7" in told
    assert main(["convert", str(path), str(tmp_path / "a.keras")]) == 0
    assert main(["convert", str(tmp_path / "a.keras"), str(tmp_path / "b.safetensors")]) == 0
    state, again = load_file(path), load_file(tmp_path / "b.safetensors")
    assert state.keys() == again.keys()
    for name, value in state.items():
        assert torch.equal(again[name], value), name
