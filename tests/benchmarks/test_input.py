"""Images a second of the input pipeline: its stages, and what is written down."""

import json
import time

import pytest

from benchmarks.input import __main__ as command
from benchmarks.input.stages import cumulative
from benchmarks.speed.turns import Result
from training.augmentation import Augmentation


def test_each_stage_has_all_before_it_and_the_last_is_the_whole():
    whole = Augmentation()
    stages = dict(cumulative(whole))
    assert list(stages) == [
        "decode, crop, resize",
        "flip, rotate, zoom, shift",
        "RandAugment",
        "erasing",
        "mixup, CutMix",
    ]
    first = stages["decode, crop, resize"]
    assert first.flip == first.rand_augment == first.erasing == first.mixup == first.cutmix == 0
    assert stages["RandAugment"].rand_augment == 2
    assert stages["RandAugment"].erasing == 0
    assert stages["mixup, CutMix"] == whole


def test_what_an_augmentation_lacks_is_no_stage():
    stages = dict(cumulative(Augmentation(rand_augment=0, mixup=0, cutmix=0)))
    assert list(stages) == ["decode, crop, resize", "flip, rotate, zoom, shift", "erasing"]


def test_a_rate_is_images_over_time():
    def batches():
        while True:
            time.sleep(0.02)
            yield None

    assert 150 < command.images_a_second(batches(), 8, 0.2) < 400


def test_the_command_measures_photographs_and_writes_a_table(tmp_path, capsys, monkeypatch):
    def fake(entries, rounds, steps):
        return [Result(entries[0][0].name, seconds=[[0.5]] * rounds),
                Result(entries[1][0].name, problem="killed")]  # fmt: skip

    monkeypatch.setattr(command, "run", fake)
    monkeypatch.setattr(command, "SAMPLES", 16)
    arguments = "--image-size 32 --batch-size 4 --seconds 0.1 --rounds 1 --backend jax torch"
    assert command.main([*arguments.split(), "--output", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "input.json").read_text())
    assert [stage["stage"] for stage in written["stages"]][:2] == ["read", "decode, crop, resize"]
    assert all(stage["images_a_second"] > 0 for stage in written["stages"])
    assert written["models"][0]["images_a_second"] == 8
    printed = capsys.readouterr().out
    assert "| keras_poolformer, JAX | 8.0 |" in printed
    assert "Not run: keras_poolformer, PyTorch (killed)." in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "0"], "`--seconds` must be positive. Received: 0.0"),
        (["--data", "nowhere"], "`--data` must be a folder of images. Received: 'nowhere'"),
    ],
)
def test_bad_input_is_named(arguments, message, capsys):
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err
