"""The picture of the worst mistakes."""

from collections.abc import Sequence
from pathlib import Path

from keras_poolformer.files import replacing
from training.class_labels import Labels
from training.evaluation import Mistake

COLUMNS = 5
_LONGEST = 24  # characters of a name that fit under a photograph


def save_mistakes(
    mistakes: Sequence[Mistake], labels: Labels, target: Path, title: str, line: str
) -> None:
    """Draws the photographs whose class the model was most wrong about.

    Args:
        mistakes: The wrong answers, the worst first.
        labels: WordNet id and name of every class.
        target: The .png file to write.
        title: Title of the picture.
        line: A line under the title.
    """
    from matplotlib.figure import Figure

    columns = min(COLUMNS, max(len(mistakes), 3))
    rows = max(-(-len(mistakes) // columns), 1)
    width, height = 2.3 * columns, 2.75 * rows + 0.9
    figure = Figure(figsize=(width, height), dpi=120)
    figure.text(
        0.5, 1 - 0.3 / height, title, ha="center", va="center", fontsize=13, parse_math=False
    )
    figure.text(0.5, 1 - 0.6 / height, line, ha="center", va="center", fontsize=10, color="0.35")
    if not mistakes:
        figure.text(0.5, 0.45, "No mistakes", ha="center", fontsize=16, color="#2f7d4f")
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(0.02, 0.62 / height, 0.98, 1 - 0.8 / height, 0.08, 0.3)
    for axes in grid.flat:
        axes.axis("off")
    for axes, mistake in zip(grid.flat, mistakes, strict=False):
        axes.imshow(mistake.pixels)
        said = f"{_short(labels[mistake.answer][1])} {mistake.probability:.0%}"
        for offset, text, color in (
            (-4, _short(labels[mistake.label][1]), "0.15"),
            (-17, f"said {said}", "#b3261e"),
        ):
            axes.annotate(
                text,
                (0.5, 0),
                (0, offset),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=8.5,
                color=color,
                parse_math=False,
            )
    with replacing(target) as path:
        figure.savefig(path, format="png")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
