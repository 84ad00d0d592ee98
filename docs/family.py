"""Writes the table of docs/family.md and draws its picture.

    python docs/family.py

Parameters and multiply-accumulates are counted from the models. What LiteRT takes was measured
by `docs/family_litert.py` and stands in docs/measured/family_litert.json.
"""

import json
from pathlib import Path
from typing import Any

import keras
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

import keras_poolformer
from keras_poolformer.files import replacing
from keras_poolformer.variants import FAMILIES

DOCS = Path(__file__).parent
PAGE, PICTURE = DOCS / "family.md", DOCS / "measured" / "family.png"
MEASURED = DOCS / "measured" / "family_litert.json"
START, END = "<!-- table -->\n", "<!-- end of table -->\n"

# Okabe and Ito's colours.
COLOURS = {
    "PoolFormer": "#0072B2", "IdentityFormer": "#9A9A9A", "RandFormer": "#CC79A7",
    "PoolFormerV2": "#56B4E9", "ConvFormer": "#E69F00", "CAFormer": "#009E73",
}  # fmt: skip
HYBRIDS = "#D55E00"


def rows() -> list[dict[str, Any]]:
    """Returns a row for every model: its name, size, cost, accuracy and what was measured."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))["models"]
    found = []
    for family in FAMILIES.values():
        for size, variant in family.variants.items():
            name = family.builder_name(size)
            model = getattr(keras_poolformer, name)(weights=None)
            found.append(
                {
                    "name": name,
                    "family": family.name,
                    "parameters": model.count_params(),
                    "macs": keras_poolformer.count_macs(model),
                    "top1": variant.top1,
                    "litert": measured.get(name, {}),
                }
            )
            keras.backend.clear_session()
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| | parameters | GMACs | top-1 | float32 ms | MB | dynamic-int8 ms | MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found:
        cells = [f"`{row['name']}`", f"{row['parameters']:,}", f"{row['macs'] / 1e9:.2f}",
                 f"{row['top1']:.1f} %"]  # fmt: skip
        for mode in ("float32", "dynamic-int8"):
            one = row["litert"].get(mode)
            cells += [f"{one['milliseconds']:.1f}", f"{one['megabytes']:.1f}"] if one else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Draws accuracy against multiply-accumulates and against milliseconds."""
    figure = Figure((7.2, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    panels = (
        (left, "GMACs of an image of 224 pixels", lambda row: row["macs"] / 1e9),
        (
            right,
            "LiteRT float32, ms on one thread",
            lambda row: row["litert"].get("float32", {}).get("milliseconds"),
        ),
    )
    for axis, label, value in panels:
        for family in [*COLOURS, None]:
            points = [
                (value(row), row["top1"])
                for row in found
                if (row["family"] if row["family"] in COLOURS else None) == family
                and value(row) is not None
            ]
            colour = HYBRIDS if family is None else COLOURS[family]
            name = "first paper's hybrids" if family is None else family
            if points:
                style = "o" if family is None else "o-"
                axis.plot(*zip(*sorted(points), strict=True), style, color=colour, markersize=3.5,
                          linewidth=1.0, label=name)  # fmt: skip
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel(label, fontsize=8)
        axis.tick_params(labelsize=7.5)
        axis.grid(visible=True, which="both", color="#E6E6E6", linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("top-1 on ImageNet-1k that the authors report, %", fontsize=8)
    left.legend(fontsize=7, frameon=False, loc="lower right")
    with replacing(path) as target:
        figure.savefig(target, dpi=180)


def main() -> None:
    """Writes both."""
    found = rows()
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    with replacing(PAGE) as path:
        path.write_text(before + START + table(found) + END + after, encoding="utf-8")
    draw(found, PICTURE)


if __name__ == "__main__":
    main()
