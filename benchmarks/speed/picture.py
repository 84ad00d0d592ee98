"""The ratios of all jobs as one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.job import Job
from keras_poolformer.files import replacing

OURS, PEERS = "#0072B2", "#9A9A9A"
WIDTH = 7.2


def draw(jobs: Sequence[tuple[Job, Sequence[dict[str, Any]]]], path: Path) -> None:
    """Draws a panel of bars for each job: the time over timm's, with its quartiles.

    Args:
        jobs: The jobs with their rows, as `report.summary` returns them.
        path: The PNG file.
    """
    from matplotlib.figure import Figure

    counts = [max(1, sum(row.get("ratio") is not None for row in rows)) for _, rows in jobs]
    figure = Figure((WIDTH, 0.24 * sum(counts) + 0.75 * len(counts)), layout="constrained")
    panels = figure.subplots(len(jobs), 1, squeeze=False, height_ratios=[n + 1 for n in counts])
    for (job, rows), axis in zip(jobs, panels[:, 0], strict=True):
        rows = [row for row in rows if row.get("ratio") is not None]
        rows = sorted(rows, key=lambda row: -row["ratio"])
        places = range(len(rows))
        values = [row["ratio"] for row in rows]
        spreads = [
            [max(0.0, row["ratio"] - row["quartiles"][0]) for row in rows],
            [max(0.0, row["quartiles"][1] - row["ratio"]) for row in rows],
        ]
        colours = [OURS if row["contender"].startswith("keras_poolformer") else PEERS
                   for row in rows]  # fmt: skip
        axis.barh(places, values, color=colours, height=0.7)
        axis.errorbar(values, places, xerr=spreads, fmt="none", ecolor="#1A1A1A", elinewidth=0.8)
        for place, row in zip(places, rows, strict=True):
            # On white, since the line at 1 runs through some of them.
            axis.text(row["quartiles"][1], place, f" {row['ratio']:.2f}", va="center", fontsize=7.5,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3})  # fmt: skip
        axis.set_yticks(places, [row["contender"] for row in rows], fontsize=7.5)
        axis.axvline(1.0, color="#1A1A1A", linewidth=0.8, linestyle=(0, (3, 2)))
        axis.set_title(job.name, loc="left", fontsize=9)
        axis.tick_params(axis="x", labelsize=7.5)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(0, 1.12 * max([1.0, *(row["quartiles"][1] for row in rows)]))
    panels[-1, 0].set_xlabel("time of a step over that of timm (less is faster)", fontsize=8)
    with replacing(path) as target:
        figure.savefig(target, dpi=150, format="png")
