"""Draws the figures of the documentation.

    python docs/figures.py [--output FOLDER]

Every number in a figure comes out of the layer that the figure explains.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import matplotlib
import numpy as np
from matplotlib import patches
from matplotlib.figure import Figure

from keras_poolformer import PoolFormerS12
from keras_poolformer.layers import (
    AveragePool2D,
    GroupNorm1,
    LayerScale,
    PatchEmbedding,
    Pooling,
)
from keras_poolformer.layers.pooling import window_counts
from keras_poolformer.poolformer import VARIANTS
from keras_poolformer.stages import drop_path_schedule

WIDTH = 7.2  # inches; the same for all figures, so that their texts have the same size
DPI = 180

# Okabe and Ito's colours, and tints of them that differ in lightness too.
INK, MUTED, HAIRLINE = "#1A1A1A", "#5F5F5F", "#9A9A9A"
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PALE_BLUE, PALE_ORANGE, PALE_GREY = "#CFE4F2", "#F8DFA6", "#EFEFEF"
LIGHTEST_BLUE, MIDDLE_BLUE = "#E6F1F8", "#9CC6E2"
DASHED = (0, (3, 2))

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "mathtext.fontset": "dejavusans",
    "hatch.linewidth": 0.6,
    "text.color": INK,
    "axes.edgecolor": HAIRLINE,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


# === Drawing ===


class Canvas:
    """A white sheet measured in `columns` units across, its origin at the top left."""

    def __init__(self, columns: float, rows: float) -> None:
        unit = WIDTH / columns
        self.figure = Figure(figsize=(WIDTH, rows * unit), dpi=DPI, facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, columns), ylim=(rows, 0))
        self.axes.axis("off")

    def text(self, x: float, y: float, content: str, **style: Any) -> None:
        defaults: dict[str, Any] = {"ha": "center", "va": "center_baseline"}
        self.axes.text(x, y, content, **{**defaults, **style})

    def code(self, x: float, y: float, content: str, **style: Any) -> None:
        self.text(x, y, content, family="DejaVu Sans Mono", **{"fontsize": 8.5, **style})

    def box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        defaults = {"facecolor": "white", "edgecolor": INK, "linewidth": 0.9}
        self.axes.add_patch(patches.Rectangle((x, y), width, height, **{**defaults, **style}))

    def rounded_box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        defaults = {"facecolor": "white", "edgecolor": INK, "linewidth": 1.0}
        self.axes.add_patch(
            patches.FancyBboxPatch(
                (x, y), width, height, "round,pad=0,rounding_size=0.12", **{**defaults, **style}
            )
        )

    def polygon(self, points: Sequence[tuple[float, float]], **style: Any) -> None:
        defaults = {"facecolor": "white", "edgecolor": INK, "linewidth": 0.7, "joinstyle": "round"}
        self.axes.add_patch(patches.Polygon(points, closed=True, **{**defaults, **style}))

    def line(self, points: Sequence[tuple[float, float]], arrow: bool = True) -> None:
        """Draws a line through `points`, by default with an arrow head at its end."""
        style: dict[str, Any] = {"color": INK, "linewidth": 1.1}
        xs, ys = zip(*(points[:-1] if arrow else points), strict=True)
        self.axes.plot(xs, ys, solid_joinstyle="round", **style)
        if arrow:
            head: dict[str, Any] = {"arrowstyle": "-|>,head_length=0.35,head_width=0.18"}
            head |= {"shrinkA": 0, "shrinkB": 0, **style}
            self.axes.annotate("", points[-1], points[-2], arrowprops=head)


def numpy_of(layer: Any, x: np.ndarray) -> np.ndarray:
    """Returns what a layer makes of `x`, computed with Keras's backend."""
    return keras.ops.convert_to_numpy(layer(np.asarray(x, "float32")))


def on_map(layer: Any, values: np.ndarray) -> np.ndarray:
    """Returns what a layer makes of a map of (H, W) numbers."""
    return numpy_of(layer, values[None, :, :, None])[0, :, :, 0]


def number(value: float) -> str:
    """Writes a number with at most two digits after the point and a true minus sign."""
    return f"{round(float(value), 2) + 0.0:g}".replace("-", "\N{MINUS SIGN}")


def draw_grid(
    canvas: Canvas, left: float, top: float, values: np.ndarray, colours: Callable[[float], str]
) -> None:
    """Draws a map of numbers, each in a square of one unit."""
    for (row, column), value in np.ndenumerate(values):
        canvas.box(left + column, top + row, 1, 1, facecolor=colours(value), edgecolor=MUTED)
        canvas.text(left + column + 0.5, top + row + 0.52, number(value))


# === Rows of pixels and the windows on them ===


@dataclass(frozen=True)
class Row:
    """A row of pixels and what stands around it, drawn from `left` on.

    There are `before` zeros on the left, `after` zeros on the right, and `beyond`
    places on the right that are not even padding.
    """

    pixels: Sequence[float]
    before: int
    after: int
    beyond: int
    canvas: Canvas
    left: float

    def cell(self, place: int, top: float) -> None:
        """Draws the pixel, the zero of the padding or the nothing at a place of the row."""
        x, size = self.left + self.before + place, len(self.pixels)
        if 0 <= place < size:
            self.canvas.box(x, top, 1, 1, facecolor=PALE_BLUE, zorder=2)
            self.canvas.text(x + 0.5, top + 0.52, number(self.pixels[place]))
        elif place < size + self.after:
            self.canvas.box(x, top, 1, 1, edgecolor=MUTED, linestyle=DASHED)
            self.canvas.text(x + 0.5, top + 0.52, "0", color=MUTED)
        else:
            self.canvas.box(x, top, 1, 1, edgecolor=HAIRLINE, hatch="////")

    def whole(self, top: float) -> None:
        for place in range(-self.before, len(self.pixels) + self.after + self.beyond):
            self.cell(place, top)

    def window(self, start: int, size: int, top: float, exists: bool = True) -> None:
        for place in range(start, start + size):
            self.cell(place, top)
        x = self.left + self.before + start
        style = {"edgecolor": VERMILION} if exists else {"edgecolor": INK, "linestyle": ":"}
        self.canvas.box(x, top, size, 1, facecolor="none", linewidth=2.2, zorder=3, **style)

    def sum_of(self, start: int, end: int) -> str:
        """Writes the sum of the pixels and zeros from `start` up to `end`."""
        places = [self.pixels[p] if 0 <= p < len(self.pixels) else 0 for p in range(start, end)]
        terms = " + ".join(number(place) for place in places)
        return f"({terms})" if len(places) > 1 else terms


@dataclass(frozen=True)
class PoolingColumn:
    """A column of averages beside a row: the arguments of the pooling and where it is drawn."""

    title: str
    x: float
    ceil_mode: bool
    count_include_pad: bool


def draw_pooling(
    row: Row, top: float, pool: int, stride: int, windows: int, columns: Sequence[PoolingColumn]
) -> None:
    """Draws a row, `windows` windows on it, and the average of each in every column."""
    size, padding = len(row.pixels), row.before
    row.whole(top)
    starts = [window * stride - padding for window in range(windows)]
    tops = [top + 1.45 + 1.25 * window for window in range(windows)]
    existing = 0
    for column in columns:
        modes = (column.ceil_mode, column.count_include_pad)
        layer = AveragePool2D((1, pool), (1, stride), (0, padding), *modes)
        averages = on_map(layer, np.array([row.pixels]))[0]
        divisors = window_counts(size, pool, stride, padding, *modes)
        existing = max(existing, len(averages))
        row.canvas.code(column.x, top + 0.5, column.title)
        for window, (start, y) in enumerate(zip(starts, tops, strict=True)):
            if window >= len(averages):
                row.canvas.text(column.x, y + 0.5, "no window", color=MUTED, style="italic")
                continue
            first, last = start, min(start + pool, size + padding)
            if not column.count_include_pad:
                first, last = max(start, 0), min(last, size)
            fraction = f"{row.sum_of(first, last)} / {divisors[window]}"
            row.canvas.text(column.x, y + 0.5, f"{fraction} = {number(averages[window])}")
    for window, (start, y) in enumerate(zip(starts, tops, strict=True)):
        row.window(start, pool, y, exists=window < existing)


# === docs/pooling.md ===


def pooling_row() -> Figure:
    """A row of five pixels, pooled with a padding of one."""
    canvas = Canvas(25, 5.9)
    columns = [
        PoolingColumn("count_include_pad=True", 12.6, False, True),
        PoolingColumn("count_include_pad=False", 20.4, False, False),
    ]
    draw_pooling(Row((1, 2, 3, 4, 5), 1, 1, 0, canvas, 0.4), 0.6, 3, 2, 3, columns)
    return canvas.figure


def pooling_ceil_mode() -> Figure:
    """Windows that do not fill their row: kept, cut and dropped."""
    canvas = Canvas(25, 21.9)
    by_ceil_mode = [
        PoolingColumn("ceil_mode=False", 12.6, False, True),
        PoolingColumn("ceil_mode=True", 20.4, True, True),
    ]
    by_count = [
        PoolingColumn("count_include_pad=True", 12.6, True, True),
        PoolingColumn("count_include_pad=False", 20.4, True, False),
    ]
    canvas.text(0.4, 0.8, "(a)  The second window hangs over the edge.", ha="left")
    draw_pooling(Row((1, 2, 3, 4), 0, 0, 1, canvas, 1.4), 1.6, 3, 2, 2, by_ceil_mode)
    canvas.text(
        0.4, 6.6, "(b)  ceil_mode=True: what is beyond the padding never counts.", ha="left"
    )
    draw_pooling(Row((1, 2, 3, 4), 1, 1, 1, canvas, 0.4), 7.4, 3, 2, 3, by_count)
    canvas.text(0.4, 13.6, "(c)  No window starts in the right padding.", ha="left")
    draw_pooling(Row((1, 2, 3), 1, 1, 1, canvas, 0.4), 14.4, 2, 2, 3, by_ceil_mode)
    # The legend: one pixel, one zero, one place beyond.
    for left, pixels, after, beyond, name in (
        (0.4, (1,), 0, 0, "pixel"),
        (6.4, (), 1, 0, "padding"),
        (13.4, (), 0, 1, "neither"),
    ):
        Row(pixels, 0, after, beyond, canvas, left).whole(20.4)
        canvas.text(left + 1.4, 20.9, name, ha="left", color=MUTED)
    return canvas.figure


def pooling_divisors() -> Figure:
    """The divisor of every 3x3 window on a map of 5x5 pixels."""
    canvas = Canvas(21, 8.7)
    shades = {4: PALE_ORANGE, 6: PALE_GREY, 9: PALE_BLUE}
    for left, count_include_pad in ((1.4, True), (12.6, False)):
        counts = window_counts(5, 3, 1, 1, False, count_include_pad)
        divisors = np.outer(counts, counts)
        canvas.code(left + 3.5, 0.6, f"count_include_pad={count_include_pad}", fontsize=9.5)
        for row, column in np.ndindex(7, 7):
            canvas.box(left + column, 1.3 + row, 1, 1, edgecolor=HAIRLINE, linestyle=DASHED)
        draw_grid(canvas, left + 1, 2.3, divisors, lambda divisor: shades[int(divisor)])
        # A corner, an edge and an inner window, and the pixel in the middle of each.
        for row, column in ((0, 0), (0, 3), (3, 3)):
            look: dict[str, Any] = {"facecolor": "none", "edgecolor": VERMILION, "linewidth": 1.8}
            canvas.box(left + column + 0.07, 1.37 + row, 2.86, 2.86, zorder=3, **look)
            canvas.axes.add_patch(
                patches.Circle((left + column + 1.5, 2.8 + row), 0.36, zorder=3, **look)
            )
    return canvas.figure


def by_sign(value: float) -> str:
    """Returns the colour of a number that pooling added (or, negative, took away)."""
    if abs(value) < 1e-5:
        return "white"
    return PALE_ORANGE if value > 0 else MIDDLE_BLUE


def pooling_constant() -> Figure:
    """`pool(x) - x` of a constant map, with the padding counted and left out."""
    canvas = Canvas(21, 7.6)
    constant = np.full((5, 6), 9.0)
    canvas.text(3.4, 0.6, "x")
    draw_grid(canvas, 0.4, 1.3, constant, lambda _: PALE_BLUE)
    for left, count_include_pad in ((7.4, True), (14.4, False)):
        pool = AveragePool2D(3, 1, 1, count_include_pad=count_include_pad)
        canvas.text(left + 3, 0.6, "pool(x) \N{MINUS SIGN} x")
        draw_grid(canvas, left, 1.3, on_map(pool, constant) - constant, by_sign)
        canvas.code(left + 3, 6.9, f"count_include_pad={count_include_pad}")
    return canvas.figure


def pooling_same() -> Figure:
    """Six pixels halved: with symmetric padding, and with that of Keras's `"same"`."""
    canvas = Canvas(27, 6.9)
    pixels = (1, 2, 3, 4, 5, 6)
    canvas.code(0.4, 0.6, "AveragePool2D, padding=1", ha="left", fontsize=9.5)
    averages = [PoolingColumn("", 10.9, False, False)]
    draw_pooling(Row(pixels, 1, 1, 0, canvas, 0.4), 1.3, 3, 2, 3, averages)
    canvas.code(14.4, 0.6, 'AveragePooling2D, padding="same"', ha="left", fontsize=9.5)
    # The definition of "same": nothing on the left, one place that never counts on the
    # right. Keras's torch backend counts it.
    averages = [PoolingColumn("", 24.2, True, False)]
    draw_pooling(Row(pixels, 0, 0, 1, canvas, 14.4), 1.3, 3, 2, 3, averages)
    return canvas.figure


# === docs/architecture.md and README.md ===


def block() -> Figure:
    """The block of PoolFormer: two residual branches."""
    canvas = Canvas(14.4, 6.9)
    lefts, width, height = (1.5, 4.35, 7.2, 10.05), 2.55, 1.3
    fork, plus = 1.2, 13.0
    branch_end = [("LayerScale", "one factor a channel"), ("Stochastic depth", "in training only")]
    mlp = "C \N{RIGHTWARDS ARROW} 4C \N{RIGHTWARDS ARROW} C"
    token_mixing = [("Norm", "one group"), ("Pooling", "pool(x) \N{MINUS SIGN} x"), *branch_end]
    channel_mixing = [("Norm", "one group"), ("Channel MLP", mlp), *branch_end]
    # The shortcut runs above the upper branch and below the lower one.
    bands = (
        (1.95, -1, "Token mixing: moves information between positions", token_mixing),
        (4.95, 1, "Channel mixing: treats every position by itself", channel_mixing),
    )
    for y, side, title, steps in bands:
        canvas.rounded_box(
            0.9, y - 1.35 + 0.4 * side, 12.6, 2.7, facecolor=PALE_GREY, edgecolor="none"
        )
        canvas.text(7.1, y + 1.49 * side, title, color=MUTED)
        shortcut = y + 1.1 * side
        canvas.line([(fork, y), (fork, shortcut), (plus, shortcut), (plus, y + 0.22 * side)])
        canvas.axes.plot(fork, y, "o", color=INK, markersize=4)
        for left, (name, note) in zip(lefts, steps, strict=True):
            mixes = name in ("Pooling", "Channel MLP")
            canvas.rounded_box(
                left, y - height / 2, width, height, facecolor=PALE_BLUE if mixes else "white"
            )
            canvas.text(left + width / 2, y - 0.2, name)
            canvas.text(left + width / 2, y + 0.28, note, fontsize=8, color=MUTED)
        rights = [left + width for left in lefts]
        for start, end in zip(rights, (*lefts[1:], plus - 0.22), strict=True):
            canvas.line([(start, y), (end, y)])
        canvas.axes.add_patch(patches.Circle((plus, y), 0.22, facecolor="white", edgecolor=INK))
        canvas.text(plus, y, "+", fontsize=12)
    upper, lower = bands[0][0], bands[1][0]
    middle = (upper + lower) / 2
    canvas.text(0.25, upper, "$x$", fontsize=13)
    canvas.line([(0.45, upper), (lefts[0], upper)])
    canvas.line(
        [
            *((plus + 0.22, upper), (13.85, upper), (13.85, middle)),
            *((0.45, middle), (0.45, lower), (lefts[0], lower)),
        ]
    )
    canvas.line([(plus + 0.22, lower), (13.9, lower)])
    canvas.text(14.1, lower, "$y$", fontsize=13)
    return canvas.figure


def network() -> Figure:
    """The maps that PoolFormer-S12 makes of an image, and what lies between them."""
    # The shapes do not depend on the depths; a shallow network is built faster.
    model = PoolFormerS12(depths=(1, 1, 1, 1))
    shapes = [tuple(model.input_shape[1:])]
    shapes += [tuple(level.shape[1:]) for level in model.pyramid_outputs.values()]
    canvas = Canvas(14.4, 4.6)
    floor, left = 2.95, 0.3
    notes = [("image", "")]
    for stage, depth in enumerate(VARIANTS["S12"].depths, 1):
        notes.append((f"stage {stage}", f"{depth} blocks"))
    ends: list[tuple[float, float]] = []
    for (height, width, channels), note in zip(shapes, notes, strict=True):
        # Square roots keep the first map on the sheet and the last one visible.
        side, slant = 0.12 * height**0.5 + 0.15, 0.026 * channels**0.5
        near = floor - side
        top = [(0.0, near), (side, near), (side + slant, near - slant), (slant, near - slant)]
        right = [(side, near), (side, floor), (side + slant, floor - slant)]
        right.append((side + slant, near - slant))
        for points, shade in ((top, LIGHTEST_BLUE), (right, MIDDLE_BLUE)):
            canvas.polygon([(left + x, y) for x, y in points], facecolor=shade)
        canvas.box(left, near, side, side, facecolor=PALE_BLUE, linewidth=0.7)
        centre = left + (side + slant) / 2
        shape = "\N{MULTIPLICATION SIGN}".join(str(size) for size in (height, width, channels))
        canvas.text(centre, floor + 0.4, shape, fontsize=9)
        for y, line in zip((0.8, 1.2), note, strict=True):
            canvas.text(centre, floor + y, line, fontsize=9, color=MUTED)
        ends.append((left, left + side + slant))
        left += side + slant + 1.18
    patches_of = [
        "7\N{MULTIPLICATION SIGN}7\nstride 4",
        *["3\N{MULTIPLICATION SIGN}3\nstride 2"] * 3,
    ]
    arrow = floor - 0.25
    for convolution, (_, start), (end, _) in zip(patches_of, ends[:-1], ends[1:], strict=True):
        canvas.line([(start + 0.12, arrow), (end - 0.12, arrow)])
        canvas.text((start + end) / 2, arrow - 0.45, convolution, fontsize=8.5, va="center")
    canvas.line([(ends[-1][1] + 0.12, arrow), (12.5, arrow)])
    canvas.rounded_box(12.55, 0.55, 1.6, 2.4)
    for y, step in ((0.95, "norm"), (1.75, "mean"), (2.55, "linear")):
        canvas.text(13.35, y, step)
    for y in (1.17, 1.97):
        canvas.line([(13.35, y), (13.35, y + 0.36)])
    canvas.text(13.35, floor + 0.4, f"{model.output_shape[-1]} classes", fontsize=9)
    canvas.text(13.35, floor + 0.8, "head", fontsize=9, color=MUTED)
    return canvas.figure


def mixer() -> Figure:
    """What pooling makes of an edge."""
    edge = np.zeros((5, 6))
    edge[:, 3:] = 9
    pooled = on_map(AveragePool2D(3, 1, 1, count_include_pad=False), edge)
    canvas = Canvas(21, 6.7)
    shades = {0: "white", 3: LIGHTEST_BLUE, 6: PALE_BLUE, 9: MIDDLE_BLUE}
    canvas.text(3.4, 0.6, "x")
    draw_grid(canvas, 0.4, 1.3, edge, lambda value: shades[round(value)])
    canvas.text(10.4, 0.6, "pool(x)")
    draw_grid(canvas, 7.4, 1.3, pooled, lambda value: shades[round(value)])
    canvas.text(17.4, 0.6, "pool(x) \N{MINUS SIGN} x")
    draw_grid(canvas, 14.4, 1.3, on_map(Pooling(3), edge), by_sign)
    return canvas.figure


def touched_cells(layer: Any, shape: tuple[int, int, int, int], **kwargs: Any) -> np.ndarray:
    """Returns which numbers of a (B, H, W, C) tensor decide about the last sample's first one.

    Every number is changed in turn, to see whether the output moves there.
    """
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    place = (-1, 0, 0, 0)
    before = keras.ops.convert_to_numpy(layer(x, **kwargs))[place]
    touched = np.zeros(shape, bool)
    for index in np.ndindex(shape):
        changed = x.copy()
        changed[index] += 1
        after = keras.ops.convert_to_numpy(layer(changed, **kwargs))[place]
        touched[index] = abs(after - before) > 1e-4
    return touched


def norm_axes() -> Figure:
    """The numbers that share a mean and a variance under three normalisations."""
    samples, height, width, channels = shape = (3, 2, 2, 4)
    norms = (
        ("BatchNorm", touched_cells(keras.layers.BatchNormalization(), shape, training=True)),
        ("LayerNorm over channels", touched_cells(keras.layers.LayerNormalization(), shape)),
        ("GroupNorm with one group", touched_cells(GroupNorm1(), shape)),
    )
    canvas = Canvas(14.4, 5.0)
    side, slant = 0.62, (0.34, -0.26)
    for left, (title, touched) in zip((0.75, 5.65, 10.55), norms, strict=True):
        cells = touched.reshape(samples, height * width, channels)

        def corner(n: float, position: float, c: float, left: float = left) -> tuple[float, float]:
            return (left + n * side + c * slant[0], 1.75 + position * side + c * slant[1])

        for (n, position, c), is_touched in np.ndenumerate(cells):
            style = {"facecolor": ORANGE if is_touched else "white"}
            if c == 0:
                steps = ((0, 0), (1, 0), (1, 1), (0, 1))
                canvas.polygon([corner(n + i, position + j, 0) for i, j in steps], **style)
            if position == 0:
                steps = ((0, 0), (1, 0), (1, 1), (0, 1))
                canvas.polygon([corner(n + i, 0, c + j) for i, j in steps], **style)
            if n == samples - 1:
                steps = ((0, 0), (1, 0), (1, 1), (0, 1))
                canvas.polygon([corner(samples, position + i, c + j) for i, j in steps], **style)
        canvas.axes.plot(*corner(samples - 0.5, 0.5, 0), "o", color=INK, markersize=4)
        canvas.text(left + 1.5, 0.32, title, fontsize=10.5)
        canvas.text(left + samples * side / 2, 4.58, "samples", fontsize=9, color=MUTED)
        x, y = corner(0, height * width / 2, 0)
        canvas.text(x - 0.3, y, "positions", fontsize=9, color=MUTED, rotation=90, va="center")
        x, y = corner(samples, height * width, channels / 2)
        canvas.text(
            x + 0.22, y + 0.22, "channels", fontsize=9, color=MUTED, rotation=37, va="center"
        )
    return canvas.figure


def layer_scale() -> Figure:
    """A vector of factors on a channels_first map of as many columns as channels."""
    factors = np.array([1.0, 2.0, 3.0])
    ones = np.ones((1, 3, 2, 3), "float32")
    layer = LayerScale(data_format="channels_first")
    layer.build(ones.shape)
    layer.gamma.assign(factors)
    canvas = Canvas(21, 7.6)
    shades = {1: LIGHTEST_BLUE, 2: MIDDLE_BLUE, 3: "#5AA3D0"}
    rows = (
        (1.3, 'LayerScale(\n  data_format="channels_first"\n)(x)', numpy_of(layer, ones)[0]),
        (4.6, "x * gamma", (ones * factors)[0]),
    )
    for plane in range(3):
        canvas.text(9.3 + 4.5 * plane, 0.6, f"channel {plane}", color=MUTED)
    for top, title, planes in rows:
        canvas.code(0.4, top + 1, title, ha="left", va="center")
        for plane, values in enumerate(planes):
            draw_grid(canvas, 7.8 + 4.5 * plane, top, values, lambda value: shades[int(value)])
    canvas.text(13.8, 3.75, "one factor a channel", color=MUTED)
    canvas.text(13.8, 7.05, "one factor a column: wrong, and no error", color=MUTED)
    return canvas.figure


def drop_path() -> Figure:
    """The rate of stochastic depth, block by block."""
    figure = Figure(figsize=(WIDTH, 3.3), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.09, 0.16, 0.83, 0.79))
    # M36 and M48 nearly coincide: each variant has a colour, a dash and a place for its name.
    looks: dict[str, tuple[str, str, tuple[float, float]]] = {
        "S12": (BLUE, "-", (-10, 7)),
        "S24": (ORANGE, "-", (7, -3)),
        "S36": (GREEN, "-", (7, -3)),
        "M36": (VERMILION, "-", (-12, 7)),
        "M48": (INK, "--", (7, -3)),
    }
    for name, variant in VARIANTS.items():
        colour, dash, offset = looks[name]
        schedule = drop_path_schedule(variant.drop_path_rate, variant.depths)
        rates = [rate for stage in schedule for rate in stage]
        blocks = range(1, len(rates) + 1)
        axes.plot(blocks, rates, color=colour, linestyle=dash, linewidth=1.6)
        axes.plot(blocks[-1], rates[-1], "o", color=colour, markersize=5)
        axes.annotate(name, (blocks[-1], rates[-1]), offset, textcoords="offset points")
    axes.set(xlabel="block", ylabel="probability of leaving a branch out", xlim=(0, 49))
    axes.set(ylim=(0, 0.42), xticks=(1, *range(6, 49, 6)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=PALE_GREY)
    axes.set_axisbelow(True)
    return figure


def padding() -> Figure:
    """Where the windows of a 3x3 convolution with stride 2 stand on an even map."""
    pixels = np.arange(1.0, 9.0)
    canvas = Canvas(25, 8.0)
    ours = PatchEmbedding(1, (1, 3), (1, 2), (0, 1))
    same = keras.layers.Conv2D(1, (1, 3), (1, 2), "same", data_format="channels_last")
    middle = np.zeros((1, 3, 1, 1), "float32")
    middle[0, 1] = 1  # each window answers with its middle pixel
    for left, title, layer, before in (
        (0.4, "PatchEmbedding, padding=1", ours, 1),
        (13.6, 'Conv2D, padding="same"', same, 0),
    ):
        layer.build((1, 1, 8, 1))
        layer.set_weights([middle, np.zeros(1, "float32")])
        canvas.code(left, 0.6, title, ha="left", fontsize=9.5)
        row = Row(tuple(pixels), before, 1, 0, canvas, left)
        row.whole(1.3)
        for window, response in enumerate(on_map(layer, pixels[None])[0]):
            start, y = 2 * window - before, 2.75 + 1.25 * window
            row.window(start, 3, y)
            end = left + before + start + 3
            canvas.text(end + 0.3, y + 0.5, f"\N{RIGHTWARDS ARROW} {number(response)}", ha="left")
    return canvas.figure


FIGURES: dict[str, Callable[[], Figure]] = {
    draw.__name__: draw
    for draw in (
        pooling_row,
        pooling_divisors,
        pooling_ceil_mode,
        pooling_constant,
        pooling_same,
        network,
        block,
        mixer,
        norm_axes,
        layer_scale,
        drop_path,
        padding,
    )
}


def draw_figure(name: str, folder: Path) -> Path:
    """Draws one figure into `folder` and returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.png"
    with matplotlib.rc_context(STYLE):
        figure = FIGURES[name]()
        temporary = folder / f".{name}.{os.getpid()}.png"
        try:
            # Without matplotlib's version, equal pictures are equal files.
            figure.savefig(temporary, metadata={"Software": None})
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the figures of the documentation.")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "figures",
        help="folder of the pictures (default: %(default)s)",
    )
    folder = parser.parse_args().output
    for name in FIGURES:
        print(draw_figure(name, folder))


if __name__ == "__main__":
    main()
