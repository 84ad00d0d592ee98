import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.backends import slow_except_under
from training.checkpoint import FILE, Checkpoint
from training.datasets.dataset import Split
from training.datasets.folder import load_folder
from training.guard import Guard
from training.recipe import find_recipe
from training.run_folder import RunFolder
from training.train import main, train


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_digits_end_to_end(tmp_path, capsys, digits):
    output = tmp_path / "runs" / "digits"
    assert (
        run(
            *("--limit", 64, "--epochs", 2, "--set", "warmup_epochs=0"),
            *("--output", output, "--seed", 3),
        )
        == 0
    )
    assert {path.name for path in output.iterdir()} == {
        "best.keras",
        "curves.png",
        "history.csv",
        "model.keras",
        "recipe.json",
        "summary.json",
        "tensorboard",
    }
    summary = json.loads((output / "summary.json").read_text())
    assert summary["recipe"] == "digits"
    assert summary["backend"] == keras.config.backend()
    assert summary["images"] == {"train": 64, "validation": 144, "test": 360}
    assert summary["settings"]["epochs"] == 2
    assert summary["seed"] == 3
    assert summary["versions"]["keras"] == keras.__version__

    # The saved model takes raw pixels and is the one that was measured.
    model = keras.saving.load_model(output / "model.keras")
    predictions = model.predict(digits.test.images.astype("float32"), verbose=0)
    np.testing.assert_allclose(predictions.sum(-1), 1, rtol=1e-4)
    accuracy = np.mean(predictions.argmax(-1) == digits.test.labels)

    # The last batch of the 144 validation images is filled up, which their loss must not show.
    p = model.predict(digits.validation.images.astype("float32"), verbose=0)
    targets = 0.9 * np.eye(10)[digits.validation.labels] + 0.01
    rows = (output / "history.csv").read_text().splitlines()
    last = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
    assert float(last["val_loss"]) == pytest.approx(-(targets * np.log(p)).sum(-1).mean(), rel=1e-4)
    assert accuracy == pytest.approx(summary["test_accuracy"], abs=1e-6)

    printed = capsys.readouterr().out
    assert "Epoch 2/2" in printed
    assert f"{accuracy:.2%} of 360 held-out images" in printed
    for name in ("model.keras", "curves.png", "summary.json"):
        assert str(output / name) in printed


def test_folder_end_to_end(tmp_path, image_folder, tiny_recipe):
    output = tmp_path / "run"
    recipe = dataclasses.replace(tiny_recipe, batch_size=6)
    dataset = load_folder(image_folder)
    summary = train(recipe, dataset, output, verbose=0)
    assert summary["data"] == str(image_folder)
    assert summary["class_names"] == ["a", "b", "c"]
    assert summary["input"]["shape"] == [8, 8, 3]
    model = keras.saving.load_model(output / "model.keras")
    assert model.input_shape == (None, 8, 8, 3)

    # A next training starts where this one ended.
    still = dataclasses.replace(recipe, learning_rate=1e-12)
    train(still, dataset, tmp_path / "next", weights=output / "model.keras", seed=1, verbose=0)
    after = keras.saving.load_model(tmp_path / "next" / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(
        after.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5
    )


def test_command_line_overrides_the_recipe(tmp_path, image_folder, monkeypatch):
    calls = []

    def record(recipe, dataset, output, **rest):
        calls.append((recipe, dataset, output, rest))
        return {
            "test_accuracy": 0.5,
            "training_seconds": 1.0,
            "parameters": 1,
            "images_per_second": 1.0,
            "best_epoch": 1,
            "best_validation_accuracy": 0.5,
            "epochs": 1,
        }

    monkeypatch.setattr("training.train.train", record)
    monkeypatch.chdir(tmp_path)
    assert run("--data", image_folder) == 0
    options = ["--epochs", 7, "--batch-size", 5, "--learning-rate", 0.5, "--image-size", 48]
    options += ["--set", "ema=0.9", "--precision", "mixed_bfloat16", "--overwrite"]
    assert run("--data", image_folder, *options, "--weights", "w.keras", "--seed", 9) == 0
    assert run() == 0
    images, changed, digits = calls
    assert images[0] == find_recipe("images")
    assert images[2] == Path("runs/images")
    expected = {"epochs": 7, "batch_size": 5, "learning_rate": 0.5, "image_size": 48}
    expected |= {"ema": 0.9, "precision": "mixed_bfloat16"}
    assert changed[0] == dataclasses.replace(find_recipe("images"), **expected)
    assert changed[3]["weights"] == "w.keras"
    assert changed[3]["seed"] == 9
    assert changed[3]["overwrite"] is True
    assert digits[0] == find_recipe("digits")
    assert digits[1].class_names == tuple("0123456789")


@slow_except_under("torch")
def test_the_same_command_on_a_complete_run_trains_nothing(tmp_path, tiny_recipe, digits, capsys):
    data = digits.limit(64)
    first = train(tiny_recipe, data, tmp_path, verbose=0)
    written = (tmp_path / "model.keras").stat().st_mtime_ns
    assert train(tiny_recipe, data, tmp_path) == json.loads(json.dumps(first))
    assert "is complete" in capsys.readouterr().out
    assert (tmp_path / "model.keras").stat().st_mtime_ns == written
    train(tiny_recipe, data, tmp_path, overwrite=True, verbose=0)
    assert (tmp_path / "model.keras").stat().st_mtime_ns > written


def test_a_folder_of_another_recipe_is_refused_before_the_training(tmp_path, tiny_recipe, digits):
    data = digits.limit(64)
    train(tiny_recipe, data, tmp_path, verbose=0)
    other = dataclasses.replace(tiny_recipe, weight_decay=0.1)
    with pytest.raises(ValueError, match=r"`output`.*recipe\.weight_decay=0\.05 where.*has 0\.1"):
        train(other, data, tmp_path, verbose=0)
    with pytest.raises(ValueError, match="`output`.*seed=0 where this one has 1"):
        train(tiny_recipe, data, tmp_path, seed=1, verbose=0)


def test_the_saved_model_is_the_model_alone(tmp_path, tiny_recipe, digits):
    summary = train(tiny_recipe, digits.limit(64), tmp_path, verbose=0)
    saved = (tmp_path / "model.keras").stat().st_size
    assert saved < 4 * summary["parameters"] + 60_000  # not three times as much
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert getattr(model, "optimizer", None) is None


@pytest.mark.parametrize(
    "precision",
    [pytest.param("mixed_bfloat16", marks=slow_except_under("torch")), "mixed_float16"],
)
def test_mixed_precision_with_averages(precision, tmp_path, tiny_recipe, digits):
    recipe = dataclasses.replace(tiny_recipe, precision=precision, ema=0.9, epochs=3)
    summary = train(recipe, digits, tmp_path, verbose=0)
    assert summary["validation_accuracy"] > 0.5
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model.layers[-1].dtype_policy.name == precision


def test_a_full_disk_is_found_before_the_training(tmp_path, tiny_recipe, digits, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"`output` must be on a disk with .* MB of free space"):
        train(tiny_recipe, digits.limit(64), tmp_path / "run", verbose=0)


def test_one_training_a_folder(tmp_path):
    with RunFolder(tmp_path, {}), pytest.raises(ValueError, match="another process is training"):
        RunFolder(tmp_path, {})
    with RunFolder(tmp_path, {}):
        pass


@slow_except_under("torch", "jax")
def test_equal_seeds_give_equal_models(tmp_path, tiny_recipe, digits):
    def weights(seed, name):
        train(tiny_recipe, digits.limit(64), tmp_path / name, seed=seed, verbose=0)
        model = keras.saving.load_model(tmp_path / name / "model.keras")
        return [keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables]

    first, again, other = weights(0, "first"), weights(0, "again"), weights(1, "other")
    for one, two in zip(first, again, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)
    assert max(np.abs(a - b).max() for a, b in zip(first, other, strict=True)) > 0.05


def test_training_learns_and_never_sees_the_test_images(tmp_path, tiny_recipe, digits):
    # The test split has wrong labels: a model that learned from it would get them right.
    wrong = Split(digits.test.images, (digits.test.labels + 1) % 10)
    recipe = dataclasses.replace(tiny_recipe, epochs=4)
    dataset = dataclasses.replace(digits, test=wrong)
    summary = train(recipe, dataset, tmp_path / "run", verbose=0)
    assert summary["validation_accuracy"] > 0.7
    assert summary["test_accuracy"] < 0.1


@slow_except_under("torch")
def test_a_loss_without_bound_names_step_and_checkpoint(tmp_path, tiny_recipe, digits):
    recipe = dataclasses.replace(tiny_recipe, epochs=3, learning_rate=1e30, warmup_epochs=0)
    with pytest.raises(FloatingPointError, match=r"at step \d of epoch 1\. There is no checkpoint"):
        train(recipe, digits.limit(64), tmp_path, verbose=0)
    assert {path.name for path in tmp_path.iterdir()} <= {"recipe.json", "tensorboard"}

    # Now one that breaks after an epoch that was good: its checkpoint is named and whole.
    good = dataclasses.replace(tiny_recipe, epochs=2)
    guard = Guard.on_train_batch_end

    def broken(self, batch, logs=None):
        epoch_of_two = self.params["epochs"] == 2
        guard(self, batch, {**logs, "loss": float("nan")} if epoch_of_two else logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Guard, "on_train_batch_end", broken)
        with pytest.raises(FloatingPointError, match=r"step 1 of epoch 2\. The last good.*epoch 1"):
            train(good, digits.limit(64), tmp_path / "good", verbose=0)
    assert Checkpoint(tmp_path / "good" / FILE).progress.epoch == 1


@pytest.mark.parametrize(("accuracy", "code"), [(0.969, 1), (0.97, 0)])
def test_required_accuracy(tmp_path, capsys, monkeypatch, accuracy, code):
    summary = {
        "test_accuracy": accuracy,
        "training_seconds": 1.0,
        "parameters": 1,
        "images_per_second": 1.0,
        "best_epoch": 1,
        "best_validation_accuracy": accuracy,
        "epochs": 1,
    }
    monkeypatch.setattr("training.train.train", lambda *args, **kwargs: summary)
    assert run("--require-accuracy", 0.97, "--output", tmp_path) == code
    message = "error: the test accuracy is 96.90%, below the required 97.00%\n"
    assert capsys.readouterr().err == (message if code else "")


def test_a_loss_without_bound_is_exit_code_1(tmp_path, capsys, monkeypatch):
    def diverge(*args, **kwargs):
        raise FloatingPointError("The loss became inf")

    monkeypatch.setattr("training.train.train", diverge)
    assert run("--output", tmp_path) == 1
    assert capsys.readouterr().err == "error: The loss became inf\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "nothing"], "`recipe` must be one of"),
        (["--recipe", "images"], "`data` must be a folder"),
        (["--data", "nowhere"], "`data` must be a folder, or the name of a data set"),
        (["--epochs", "0"], "`epochs`"),
        (["--batch-size", "0"], "`batch_size`"),
        (["--learning-rate", "-1"], "`learning_rate`"),
        (["--image-size", "3"], "`input_shape`"),
        (["--limit", "5"], "`limit`"),
        (["--weights", "nowhere.keras"], "`weights`"),
        (["--require-accuracy", "97"], "`require_accuracy`"),
        (["--seed", "-1"], "`seed`"),
        (["--set", "epoch=3"], "did you mean 'epochs'"),
        (["--set", "augmentation.rand_augment=2"], "`augmentation.rand_augment` must be 0"),
    ],
)
def test_bad_input_is_told_without_a_traceback(tmp_path, capsys, options, message):
    assert run(*options, "--output", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Received: " in error
    assert not (tmp_path / "run").exists()


def test_output_that_is_a_file(tmp_path, capsys):
    (tmp_path / "run").write_text("a file")
    assert run("--limit", 32, "--output", tmp_path / "run") == 2
    assert "error: " in capsys.readouterr().err
