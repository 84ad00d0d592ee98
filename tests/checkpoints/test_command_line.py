"""`python -m keras_poolformer.checkpoints`: its reports and its exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from keras_poolformer import list_presets
from keras_poolformer.checkpoints.__main__ import main
from tests.backends import only_under
from tests.checkpoints.conftest import values
from tests.checkpoints.names import dense, named, state_dict

pytestmark = only_under("torch", "the command does what test_load and test_save do everywhere")


@pytest.fixture
def file(reference, tmp_path):
    path = tmp_path / "small.safetensors"
    save_file(state_dict(reference, "timm"), path)
    return path


def test_inspect(file, capsys):
    assert main(["inspect", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"File         {file} (0.1 MB)",
        "Layout       timm",
        "Model        MetaFormer, depths (1, 2, 1, 1), dims (8, 12, 16, 20)",
        "Classes      10",
        f"Parameters   {sum(value.numel() for value in load_file(file).values()):,}",
        "Types        float32",
        "Fits         62 tensors",
    ]


def test_inspect_a_detector(reference, tmp_path, capsys):
    torch.save({"state_dict": dense(reference, "backbone.")}, tmp_path / "detector.pth")
    assert main(["inspect", str(tmp_path / "detector.pth")]) == 0
    out = capsys.readouterr().out
    assert "Layout       openmmlab, dense" in out
    assert "Classes      none: no classifier" in out
    assert "Entry        state_dict" in out
    assert "Left out     backbone.norm0.bias, backbone.norm0.weight, backbone.norm2.bias" in out


def test_inspect_says_what_does_not_fit(reference, tmp_path, capsys):
    state = state_dict(reference, "official")
    del state["network.4.0.norm2.bias"]
    state["surprise"] = torch.ones(2)
    torch.save(state, tmp_path / "file.pth")
    assert main(["inspect", str(tmp_path / "file.pth")]) == 1
    captured = capsys.readouterr()
    assert "Layout       official" in captured.out
    assert "Missing in the file (1): network.4.0.norm2.bias" in captured.err
    assert "Left over in the file (1): surprise" in captured.err


@pytest.mark.parametrize("layout", ["official", "timm", "huggingface", "openmmlab"])
def test_convert_to_a_layout(layout, file, expected, tmp_path, capsys):
    target = tmp_path / "converted.safetensors"
    assert main(["convert", str(file), str(target), "--layout", layout]) == 0
    assert sorted(load_file(target)) == sorted(named((1, 2, 1, 1), layout))
    assert f"Layout       {layout}" in capsys.readouterr().out
    np.testing.assert_array_equal(
        load_file(target)[named((1, 2, 1, 1), layout)[0]].numpy().transpose(2, 3, 1, 0),
        expected["stem/kernel"],
    )


def test_convert_to_keras_and_back(file, expected, tmp_path, capsys):
    whole, weights, back = (tmp_path / n for n in ("a.keras", "a.weights.h5", "b.safetensors"))
    assert main(["convert", str(file), str(whole)]) == 0
    assert "Loaded 62 tensors in the layout 'timm'" in capsys.readouterr().out
    model = keras.saving.load_model(whole)
    for name, value in expected.items():
        np.testing.assert_array_equal(values(model)[name], value)
    assert main(["convert", str(whole), str(weights)]) == 0
    model.load_weights(weights)
    assert main(["inspect", str(whole)]) == 0
    assert "Layout       keras" in capsys.readouterr().out
    assert main(["convert", str(whole), str(back), "--layout", "timm"]) == 0
    before, after = load_file(file), load_file(back)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_averages_can_be_left_alone(reference, tmp_path, capsys):
    state = state_dict(reference, "timm")
    average = {key: value + 1 for key, value in state.items()}
    torch.save({"state_dict": state, "state_dict_ema": average}, tmp_path / "file.pth")
    for options, wanted in (([], average), (["--no-ema"], state)):
        target = tmp_path / "out.safetensors"
        arguments = [str(tmp_path / "file.pth"), str(target), "--layout", "timm"]
        assert main(["convert", *arguments, *options]) == 0
        assert torch.equal(load_file(target)["stem.conv.bias"], wanted["stem.conv.bias"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere.pth"], "names a file that does not exist"),
        (["inspect", "text.pth"], "The file is broken"),
        (["inspect", "text.txt"], "must be a file that ends in"),
        (["inspect", "other.safetensors"], "no PoolFormer checkpoint in a known layout"),
        (["convert", "small.safetensors", "out.onnx"], "`OUT` must end in .keras"),
        (["convert", "small.safetensors", "nowhere/out.keras"], "`OUT` must be in a folder"),
        (["convert", "small.safetensors", "out.keras", "--layout", "timm"], "`--layout` must be"),
        (["convert", "poolformer_s99", "out.keras"], "did you mean 'poolformer_s"),
    ],
)
def test_bad_input_is_named(arguments, message, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("text.pth").write_text("no checkpoint")
    Path("text.txt").write_text("no checkpoint")
    save_file({"weight": torch.ones(2)}, "other.safetensors")
    before = sorted(tmp_path.iterdir())
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert sorted(tmp_path.iterdir()) == before


def test_presets_are_listed(capsys):
    assert main(["presets", "CAFormer_s18"]) == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split() == ["name", "builder", "pixels", "classes", "top-1", "hub"]
    assert len(rows) == 5
    assert rows[1].split() == [
        "caformer_s18.sail_in1k_384", "CAFormerS18", "384", "1,000", "85.0", "%",
        "timm/caformer_s18.sail_in1k_384/model.safetensors",
    ]  # fmt: skip
    assert rows[4].split()[3:5] == ["21,841", "-"]
    assert main(["presets"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(list_presets())
    assert main(["presets", "resnet"]) == 1
    assert capsys.readouterr().err == "error: no preset has 'resnet' in its name\n"


def test_as_a_command(file):
    done = subprocess.run(
        [sys.executable, "-m", "keras_poolformer.checkpoints", "inspect", str(file)],
        cwd=Path(__file__).parents[2],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Layout       timm" in done.stdout
