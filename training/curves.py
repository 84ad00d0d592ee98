"""The picture of a training, or of several: loss, accuracy and learning rate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_poolformer.files import replacing

COLORS = ("#1f6fb4", "#d1495b", "#2f7d4f", "#8a5fbf", "#c77d0a", "#3a9ca6", "#7f5539", "#5c677d")

History = Sequence[Mapping[str, float]]
"""The rows of `history.csv`: an epoch each."""


def save_curves(history: History, target: Path, title: str, held_out: str) -> None:
    """Draws one run.

    Args:
        history: The epochs, with `loss`, `accuracy`, `val_loss`, `val_accuracy` and
            `learning_rate`.
        target: The .png file to write.
        title: Title of the picture.
        held_out: A line under the title.
    """
    figure, axes = _figure(title, held_out)
    epochs = range(1, len(history) + 1)
    percent = [[100 * epoch[key] for epoch in history] for key in ("accuracy", "val_accuracy")]
    losses = [[epoch[key] for epoch in history] for key in ("loss", "val_loss")]
    for panel, values, form in ((axes[0], losses, "{:.3f}"), (axes[1], percent, "{:.1f} %")):
        for line, name, color in zip(
            values, ("training (augmented)", "validation"), ("#7f8c9b", COLORS[0]), strict=True
        ):
            label = f"{name}: {form.format(line[-1])} at the end"
            panel.plot(epochs, line, label=label, color=color, marker="o", markersize=2.5)
        panel.legend(frameon=False, fontsize=9)
    axes[2].plot(epochs, [epoch["learning_rate"] for epoch in history], color=COLORS[0])
    with replacing(target) as path:
        figure.savefig(path, format="png")


def save_comparison(histories: Mapping[str, History], target: Path, title: str) -> None:
    """Draws several runs, each in a colour of its own.

    Args:
        histories: The epochs of each run by its name.
        target: The .png file to write.
        title: Title of the picture.
    """
    figure, axes = _figure(title, "dashed: training, on augmented images; solid: validation")
    for index, (name, history) in enumerate(histories.items()):
        color = COLORS[index % len(COLORS)]
        epochs = range(1, len(history) + 1)
        percent = [100 * epoch["val_accuracy"] for epoch in history]
        axes[0].plot(epochs, [epoch["loss"] for epoch in history], "--", color=color, lw=1)
        axes[0].plot(epochs, [epoch["val_loss"] for epoch in history], color=color)
        axes[1].plot(epochs, percent, color=color, label=f"{name}: {percent[-1]:.1f} %")
        axes[2].plot(epochs, [epoch["learning_rate"] for epoch in history], color=color)
    axes[1].legend(frameon=False, fontsize=9)
    with replacing(target) as path:
        figure.savefig(path, format="png")


def _figure(title: str, line: str) -> tuple[Any, Any]:
    """An empty picture of three panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.4), dpi=110, layout="constrained")
    figure.suptitle(f"{title}\n", fontsize=13, parse_math=False)
    figure.text(0.5, 0.905, line, ha="center", fontsize=10, color="0.35", parse_math=False)
    axes = figure.subplots(1, 3, width_ratios=(1.15, 1.15, 0.8))
    axes[0].set(title="Loss", ylabel="cross-entropy with the recipe's smoothing")
    axes[1].set(title="Accuracy", ylabel="top-1 accuracy, %")
    axes[2].set(title="Learning rate", ylabel="at the end of the epoch")
    for panel in axes:
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
    axes[2].ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    return figure, axes
