"""The picture of a training: loss and accuracy, epoch by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_poolformer.files import replacing


def save_curves(
    history: Mapping[str, Sequence[float]], target: Path, title: str, held_out: str
) -> None:
    """Draws loss and accuracy of training and validation.

    Args:
        history: What `fit` returns in `History.history`: `loss`, `accuracy`,
            `val_loss` and `val_accuracy`.
        target: The .png file to write.
        title: Title of the picture.
        held_out: A line under the title.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), dpi=120, layout="constrained")
    figure.suptitle(f"{title}\n", fontsize=13)
    figure.text(0.5, 0.905, held_out, ha="center", fontsize=10, color="0.35")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    _draw(loss_axes, history["loss"], history["val_loss"], "{:.3f}")
    loss_axes.set(title="Loss", ylabel="cross-entropy with label smoothing")
    loss_axes.legend(loc="upper right", frameon=False)
    percent = [[100 * v for v in history[key]] for key in ("accuracy", "val_accuracy")]
    _draw(accuracy_axes, percent[0], percent[1], "{:.1f} %")
    accuracy_axes.set(title="Accuracy", ylabel="accuracy, %", ylim=(None, 101))
    accuracy_axes.legend(loc="lower right", frameon=False)
    with replacing(target) as path:
        figure.savefig(path, format="png")


def _draw(axes: Any, training: Sequence[float], validation: Sequence[float], form: str) -> None:
    epochs = range(1, len(training) + 1)
    for values, name, color in (
        (training, "training (augmented)", "#7f8c9b"),
        (validation, "validation", "#1f6fb4"),
    ):
        label = f"{name}: {form.format(values[-1])} at the end"
        axes.plot(epochs, values, label=label, color=color, marker="o", markersize=2.5)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
