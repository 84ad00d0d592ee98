"""Training what PoolFormer does not have: learned activations, scaled shortcuts, frozen mixers."""

import csv
import dataclasses

import keras
import numpy as np
import pytest

from tests.backends import to_numpy
from training.datasets.folder import load_folder
from training.models import published_model
from training.optimizer import make_optimizer, vectors
from training.recipe import find_recipe
from training.train import train

TINY = {"depths": [1, 1, 1, 1], "dims": [8, 8, 32, 32]}


def tiny(builder, size=64):
    return published_model((size, size, 3), 3, builder=builder, **TINY)


def test_decay_reaches_matrices_and_kernels_only():
    model = tiny("CAFormerS18")
    excluded = {weight.path for weight in vectors(model)}
    for part in (
        "stage1_block1/mlp/activation/scale",
        "stage1_block1/mlp/activation/bias",
        "stage1_block1/token_mixer/activation/scale",
        "stage3_block1/res_scale1/gamma",
        "stage4_block1/res_scale2/gamma",
        "stage2_downsample_norm/gamma",
        "head/norm/beta",
        "head/fc1/bias",
    ):
        assert part in excluded
    decayed = {weight.path: weight.name for weight in model.trainable_variables}
    assert {name for path, name in decayed.items() if path not in excluded} == {"kernel"}
    assert sum(name == "kernel" for name in decayed.values()) == len(decayed) - len(excluded)


def test_random_mixing_stays_as_it_is(rng):
    model = tiny("RandFormerS12")
    recipe = dataclasses.replace(
        find_recipe("randformer_s12_imagenet"), ema=0.5, weight_decay=0.5, precision="float32"
    )
    before = {weight.path: to_numpy(weight) for weight in model.weights}
    model.compile(make_optimizer(recipe, model, 0.01), "categorical_crossentropy")
    images, labels = rng.uniform(0, 255, (4, 64, 64, 3)), np.eye(3)[[0, 1, 2, 0]]
    model.fit(images, labels, batch_size=2, epochs=2, verbose=0)
    frozen = {weight.path for weight in model.non_trainable_weights}
    assert frozen == {f"stage{stage}_block1/token_mixer/mixing" for stage in (3, 4)}
    for weight in model.weights:
        changed = np.abs(to_numpy(weight) - before[weight.path]).max() > 0
        assert changed == (weight.path not in frozen), weight.path


@pytest.mark.parametrize("name", ["caformer_s18_imagenet", "caformer_s18_imagenet_384"])
def test_lamb_trains_a_small_caformer(name, tmp_path, image_folder, tiny_recipe):
    """With the paper's recipe but for the size of everything, and the rate that goes with it."""
    paper = find_recipe(name)
    fine_tuning = paper.schedule == "constant"
    recipe = dataclasses.replace(
        paper,
        model={**paper.model, **TINY, "drop_path_rate": 0.1},
        image_size=32,
        augmentation=tiny_recipe.augmentation,
        epochs=10,
        warmup_epochs=0 if fine_tuning else 2,
        cooldown_epochs=0,
        batch_size=6,
        learning_rate=0.03,
        reference_batch=None,
        ema=0.8 if fine_tuning else None,
        precision="float32",
    )
    summary = train(recipe, load_folder(image_folder), tmp_path / "run", verbose=0)
    assert summary["settings"]["optimizer"] == "lamb"
    with (tmp_path / "run" / "history.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 10
    assert losses[-1] < 0.8 * losses[0]
    assert summary["test_accuracy"] == 1.0
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert model.name == "caformer_s18"


def test_the_crop_is_the_models_where_the_recipe_has_none(tmp_path, image_folder, tiny_recipe):
    recipe = dataclasses.replace(
        find_recipe("finetune"),
        model={"builder": "PoolFormerV2S12", **TINY},
        image_size=32,
        augmentation=tiny_recipe.augmentation,
        epochs=1,
        warmup_epochs=0,
        batch_size=6,
    )
    assert recipe.crop_pct is None
    summary = train(recipe, load_folder(image_folder), tmp_path / "run", verbose=0)
    assert summary["settings"]["crop_pct"] == 1.0
