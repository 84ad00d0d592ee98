import numpy as np
import pytest
from PIL import Image

from training.compare import main, names_of
from training.curves import save_comparison, save_curves
from training.history import best_epoch, load_history, save_history

ROWS = [
    {
        "loss": loss,
        "accuracy": accuracy,
        "val_loss": loss + 0.1,
        "val_accuracy": accuracy - 0.05,
        "learning_rate": rate,
        "images_per_second": 100.0,
    }
    for loss, accuracy, rate in ((2.0, 0.3, 1e-3), (1.0, 0.6, 2e-3), (0.5, 0.9, 1e-4))
]


def picture(path):
    return np.array(Image.open(path).convert("RGB"))


def test_draws_a_picture_of_loss_accuracy_and_learning_rate(tmp_path):
    target = tmp_path / "curves.png"
    save_curves(ROWS, target, "title", "held out")
    assert list(tmp_path.iterdir()) == [target]
    first = picture(target)
    assert first.shape == (484, 1430, 3)
    # What it shows depends on every curve.
    for key in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        save_curves([*ROWS[:2], {**ROWS[2], key: 0.15}], target, "title", "held out")
        assert not np.array_equal(picture(target), first), key


def test_one_epoch_is_enough(tmp_path):
    save_curves(ROWS[:1], tmp_path / "curves.png", "title", "held out")
    assert (tmp_path / "curves.png").stat().st_size > 5_000


def test_history_comes_back(tmp_path):
    save_history(ROWS, tmp_path)
    assert load_history(tmp_path) == ROWS
    assert (tmp_path / "history.csv").read_text().splitlines()[0].startswith("epoch,loss,")


def test_best_epoch_is_the_first_of_equals():
    accuracies = (0.3, 0.8, 0.5, 0.8)
    assert best_epoch([{"val_accuracy": value} for value in accuracies]) == 2


def test_runs_are_compared(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_history(ROWS if name == "a" else ROWS[:2], tmp_path / name)
    output = tmp_path / "both.png"
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "85.00%" in printed
    assert "55.00%" in printed
    both = picture(output)
    save_comparison({"a": ROWS}, tmp_path / "one.png", "Trainings compared")
    assert not np.array_equal(picture(tmp_path / "one.png"), both)


def test_runs_have_the_shortest_names_that_differ(tmp_path):
    paths = [tmp_path / "x" / "run", tmp_path / "y" / "run"]
    assert names_of(paths) == ["x/run", "y/run"]
    with pytest.raises(ValueError, match="`run` must name each folder once"):
        names_of([tmp_path, tmp_path])


@pytest.mark.parametrize(
    "content", [None, "", "epoch,loss\n1,2\n", "epoch,loss,val_accuracy\n1,x,2"]
)
def test_a_folder_without_a_table(content, tmp_path, capsys):
    if content is not None:
        (tmp_path / "history.csv").write_text(content)
    assert main([str(tmp_path), "-o", str(tmp_path / "c.png")]) == 2
    assert "error: `run` must be the folder of a training" in capsys.readouterr().err
    assert not (tmp_path / "c.png").exists()
