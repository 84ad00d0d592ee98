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


def test_decay_reaches_matrices_and_kernels_only():
    model = published_model((64, 64, 3), 3, builder="CAFormerS18", **TINY)
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
    model = published_model(
        (32, 32, 3), 3, builder="RandFormerS12", depths=[1, 1], dims=[8, 12],
        token_mixer=["identity", "random_mixing"], res_scale_init_value=[None, 1.0],
        drop_path_rate=0,
    )  # fmt: skip
    recipe = dataclasses.replace(
        find_recipe("randformer_s12_imagenet"), ema=0.5, weight_decay=0.5, precision="float32"
    )
    before = {weight.path: to_numpy(weight) for weight in model.weights}
    model.compile(make_optimizer(recipe, model, 0.01), "categorical_crossentropy")
    model.fit(rng.uniform(0, 255, (3, 32, 32, 3)), np.eye(3), batch_size=3, verbose=0)
    assert {w.path for w in model.non_trainable_weights} == {"stage2_block1/token_mixer/mixing"}
    for weight in model.weights:
        changed = np.abs(to_numpy(weight) - before[weight.path]).max() > 0
        assert changed == weight.trainable, weight.path


def test_lamb_trains_a_small_caformer(tmp_path, image_folder, tiny_recipe):
    """With the paper's recipe but for the size of everything, and the rate that goes with it."""
    paper = find_recipe("caformer_s18_imagenet_384")
    recipe = dataclasses.replace(
        paper,
        model={"builder": "CAFormerS18", **TINY, "drop_path_rate": 0, "head_dropout_rate": 0},
        image_size=32,
        augmentation=tiny_recipe.augmentation,
        epochs=10,
        batch_size=6,
        learning_rate=0.03,
        reference_batch=None,
        ema=0.8,
        precision="float32",
    )
    summary = train(recipe, load_folder(image_folder), tmp_path / "run", verbose=0)
    settings = summary["settings"]
    assert (settings["optimizer"], settings["schedule"], settings["clip_norm"]) == (
        "lamb", "constant", 1.0,
    )  # fmt: skip
    with (tmp_path / "run" / "history.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 10
    assert np.mean(losses[5:]) < 0.8 * losses[0]
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert model.name == "caformer_s18"


@pytest.mark.parametrize(
    ("builder", "crop_pct"), [("PoolFormerS12", 0.9), ("PoolFormerV2S12", 1.0)]
)
def test_the_crop_is_the_models_where_the_recipe_has_none(
    builder, crop_pct, tmp_path, image_folder, monkeypatch
):
    class DescribedError(Exception):
        pass

    def end_here(path, settings, overwrite):
        raise DescribedError(settings["recipe"]["crop_pct"])

    recipe = dataclasses.replace(find_recipe("finetune"), model={"builder": builder}, image_size=32)
    assert recipe.crop_pct is None
    monkeypatch.setattr("training.train.RunFolder", end_here)
    with pytest.raises(DescribedError, match=str(crop_pct)):
        train(recipe, load_folder(image_folder), tmp_path / "run", verbose=0)
