"""The peer trains with the settings of the recipe, by timm's own parts."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.peers import posterising_to_black
from benchmarks.timm_settings import EMBEDDINGS, Settings, parse
from benchmarks.timm_training import build, main, train
from keras_poolformer import MetaFormer
from tests.references import timm

ROOT = Path(__file__).parents[2]
TINY = Settings(
    depths=(1, 1),
    dims=(8, 16),
    image_size=16,
    epochs=1,
    warmup_epochs=0,
    batch_size=4,
    lr=1e-2,
    workers=0,
)
PLAIN = dataclasses.replace(TINY, rand_augment="", erasing=0, mixup=0, cutmix=0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes, red and green with noise: 10 and 6 images each."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for part, count in (("train", 10), ("val", 6)):
        for channel, name in enumerate(("red", "green")):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 60, (24, 20, 3))
                pixels[..., channel] += 150
                image = Image.fromarray(pixels.astype("uint8"))
                image.save(folder / part / name / f"{number}.png")
    return folder


def test_the_defaults_are_those_of_the_recipe():
    from training.recipes.images import RECIPE

    settings, augmentation = Settings(), RECIPE.augmentation
    assert settings.depths == RECIPE.model["depths"]
    assert settings.dims == RECIPE.model["dims"]
    assert settings.layer_scale == RECIPE.model["layer_scale_init_value"]
    assert settings.drop_path == RECIPE.model["drop_path_rate"]
    assert settings.lr == RECIPE.peak_learning_rate
    assert settings.warmup_lr == RECIPE.warmup_learning_rate
    assert settings.final_lr == RECIPE.final_learning_rate
    assert settings.smoothing == RECIPE.label_smoothing
    for name in ("image_size", "crop_pct", "epochs", "batch_size", "warmup_epochs"):
        assert getattr(settings, name) == getattr(RECIPE, name), name
    assert settings.weight_decay == RECIPE.weight_decay
    for name in ("crop_scale", "flip", "erasing", "mixup", "cutmix"):
        assert getattr(settings, name) == getattr(augmentation, name), name
    assert settings.rand_augment == (
        f"rand-m{augmentation.magnitude:g}-mstd{augmentation.magnitude_std:g}-inc1"
    )
    assert augmentation.rand_augment == 2  # timm's default
    assert (RECIPE.optimizer, RECIPE.schedule, RECIPE.clip_norm) == ("adamw", "cosine", None)


def test_the_model_has_the_weights_of_ours():
    model = build(dataclasses.replace(TINY, drop_path=0.1), 10)
    ours = MetaFormer(depths=TINY.depths, dims=TINY.dims, input_shape=(16, 16, 3), classes=10)
    assert sum(weight.numel() for weight in model.parameters()) == ours.count_params()
    reference = timm.create_model("poolformer_s12", drop_path_rate=0.1)
    kinds = [{type(part) for part in model.modules()} for model in (model, reference)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("embeddings", EMBEDDINGS)
def test_patch_embeddings_start_as_asked(embeddings):
    settings = dataclasses.replace(TINY, dims=(16, 256), embeddings=embeddings)
    weights = dict(build(settings, 10).named_parameters())
    kernel = weights["stages.1.downsample.conv.weight"].detach()
    bound = 1 / (16 * 3 * 3) ** 0.5
    deviation = {"authors": bound / 3**0.5, "timm": 0.02}[embeddings]
    assert float(kernel.std()) == pytest.approx(deviation, rel=0.02)
    assert (float(kernel.abs().max()) <= bound) == (embeddings == "authors")
    # All else is timm's: the MLPs of both, as in the authors' model.
    assert float(weights["stages.1.blocks.0.mlp.fc1.weight"].detach().std()) == pytest.approx(
        0.02, rel=0.02
    )


def test_writes_what_it_measured(photos, tmp_path, capsys):
    history, summary = train(TINY, photos, tmp_path / "run")
    (epoch,) = history
    assert set(epoch) == {"epoch", "loss", "val_accuracy", "learning_rate", "seconds"}
    assert 0.3 < epoch["loss"] < 3
    assert epoch["val_accuracy"] * 12 == round(epoch["val_accuracy"] * 12)
    assert json.loads((tmp_path / "run" / "history.json").read_text()) == history
    saved = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert saved["training_images"] == 20
    assert saved["validation_images"] == 12
    assert saved["versions"]["timm"] == timm.__version__
    assert saved["settings"]["dims"] == [8, 16]
    assert saved["images_per_second"] == pytest.approx(20 / epoch["seconds"], rel=0.05)
    assert saved["val_accuracy"] == summary["val_accuracy"] == epoch["val_accuracy"]
    assert f"{epoch['loss']:.4f}" in capsys.readouterr().out


def test_learns_to_tell_red_from_green(photos):
    history, _ = train(dataclasses.replace(PLAIN, epochs=6), photos)
    assert history[-1]["val_accuracy"] == 1
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


def test_equal_seeds_give_equal_runs(photos):
    losses = [
        train(dataclasses.replace(TINY, seed=seed), photos)[0][0]["loss"] for seed in (1, 1, 2)
    ]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_the_learning_rate_rises_and_falls_by_steps(photos):
    settings = dataclasses.replace(PLAIN, epochs=4, warmup_epochs=1)
    history, _ = train(settings, photos)
    steps = [5 * epoch - 1 for epoch in (1, 2, 3, 4)]  # the last of each epoch
    expected = [
        1e-6 + (1e-2 - 1e-6) * step / 5
        if step < 5
        else 2e-5 + (1e-2 - 2e-5) * (1 + math.cos(math.pi * step / 20)) / 2
        for step in steps
    ]
    np.testing.assert_allclose([epoch["learning_rate"] for epoch in history], expected, rtol=1e-6)


READING = """
import hashlib, sys, torch
from pathlib import Path
from benchmarks.peers import posterising_to_black
from benchmarks.timm_settings import Settings
from benchmarks.timm_training import load
settings = Settings(image_size=16, batch_size=10, workers=2)
with posterising_to_black():
    for _ in range(2):
        torch.manual_seed(0)
        images = torch.cat([images for images, _ in load(settings, Path(sys.argv[1]))[0]])
        print(*(hashlib.sha256(image.numpy()).hexdigest() for image in images))
"""


def test_images_are_read_by_processes_with_seeds_of_their_own(photos):
    # In a process of its own: JAX and TensorFlow have threads, and should not be forked.
    result = subprocess.run(
        [sys.executable, "-c", READING, str(photos)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    first, again = result.stdout.splitlines()
    assert first == again
    assert len(set(first.split())) == 20


def test_timm_may_posterise_to_black():
    image = Image.new("RGB", (4, 4), (200, 100, 50))
    operations = timm.data.auto_augment
    with posterising_to_black():
        strongest = operations.AugmentOp("PosterizeIncreasing", prob=1, magnitude=10)
        weaker = operations.AugmentOp("PosterizeIncreasing", prob=1, magnitude=9)
    assert strongest(image).getpixel((0, 0)) == (0, 0, 0)
    assert weaker(image).getpixel((0, 0)) == (128, 0, 0)
    assert operations.NAME_TO_OP["PosterizeIncreasing"] is operations.posterize


def test_the_command_line(photos, tmp_path, capsys):
    settings, data, output = parse(
        ["--data", str(photos), "--depths", "1", "2", "--dims", "8", "16", "--lr", "3e-4"]
    )
    assert settings == dataclasses.replace(Settings(), depths=(1, 2), dims=(8, 16), lr=3e-4)
    assert (data, output) == (photos, None)
    options = "--depths 1 --dims 8 --image-size 16 --batch-size 4 --epochs 1 --warmup-epochs 0"
    arguments = [*options.split(), "--workers", "0", "--output", str(tmp_path)]
    assert main(["--data", str(photos), *arguments]) == 0
    assert "images/s" in capsys.readouterr().out
    assert (tmp_path / "summary.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--depths", "1"], "--depths and --dims must be equally many"),
        (["--batch-size", "3"], "--batch-size must be even. Received: 3"),
        (["--embeddings", "keras"], "--embeddings must be one of ('authors', 'timm')"),
        (["--data", "nowhere"], "--data must be a folder with train/"),
    ],
)
def test_a_wrong_command_line_is_refused(photos, capsys, arguments, message):
    with pytest.raises(SystemExit):
        parse(["--data", str(photos), *arguments])
    assert message in capsys.readouterr().err


def test_too_few_images_are_refused(photos):
    with pytest.raises(ValueError, match="`batch_size` must be at most 20, the training images"):
        train(dataclasses.replace(TINY, batch_size=22), photos)


def test_it_starts_by_itself_and_without_tensorflow():
    script = "import sys, benchmarks.timm_training as peer\ntry:\n    peer.main(['--help'])\n"
    script += "finally:\n    assert not {'keras', 'tensorflow'} & set(sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "--layer-scale" in result.stdout
