"""Time and memory against what was varied, as one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_poolformer.files import replacing

# Okabe and Ito's colours.
COLOURS = {"TensorFlow": "#E69F00", "JAX": "#009E73", "PyTorch": "#0072B2"}
STYLES = {"inference": "-", "training": "--"}


def draw(outcomes: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws a column of two panels for each sweep: milliseconds and megabytes.

    Args:
        outcomes: As the command writes them to the JSON file.
        path: The PNG file.
    """
    from matplotlib.figure import Figure

    sweeps = list(dict.fromkeys(outcome["sweep"] for outcome in outcomes))
    figure = Figure((2.6 * len(sweeps) + 0.8, 5.0), layout="constrained")
    panels = figure.subplots(2, len(sweeps), squeeze=False, sharex="col")
    for column, sweep in enumerate(sweeps):
        mine = [outcome for outcome in outcomes if outcome["sweep"] == sweep]
        for row, (key, label) in enumerate((("milliseconds", "ms"), ("megabytes", "MB"))):
            axis = panels[row, column]
            for outcome in mine:
                points = [p for p in outcome["points"] if p[key] is not None]
                axis.plot(
                    [p["amount"] for p in points],
                    [p[key] for p in points],
                    "o" + STYLES[outcome["task"]],
                    color=COLOURS[outcome["backend"]],
                    markersize=3,
                    linewidth=1,
                    label=f"{outcome['backend']}, {outcome['task']}",
                )
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.tick_params(labelsize=7.5)
            axis.grid(visible=True, color="#E6E6E6", linewidth=0.5)
            axis.spines[["top", "right"]].set_visible(False)
            if column == 0:
                axis.set_ylabel(label, fontsize=8)
        panels[1, column].set_xlabel(mine[0]["unit"], fontsize=8)
        panels[0, column].set_title(sweep, loc="left", fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    with replacing(path) as target:
        figure.savefig(target, dpi=150, format="png")
