"""What is told of a .tflite file: the content of report.json, and one screen of it."""

import math
from dataclasses import asdict
from typing import Any

from tflite.checks import Graph
from tflite.comparison import Comparison
from tflite.half_precision import LARGEST
from tflite.interpreter import LiteRTModel
from tflite.metadata import read_labels


def describe(file: LiteRTModel, graph: Graph) -> dict[str, Any]:
    """Returns what a file says of itself."""
    names = read_labels(file.path)
    return {
        "file": str(file.path),
        "bytes": file.path.stat().st_size,
        "kind": file.kind,
        "input": str(file.input),
        "output": str(file.output),
        "labels": None if names is None else len(names),
        "partitions": graph.partitions,
        "fully_delegated": graph.is_delegated,
        "rank": graph.rank,
        "operations": graph.operations,
    }


def measured(comparison: Comparison, compared_on: str, minimum_sqnr: float) -> dict[str, Any]:
    """Returns what was measured of a file, ready for JSON.

    Args:
        comparison: The numbers.
        compared_on: Which images they were measured on.
        minimum_sqnr: The ratio of signal to noise that is asked of the file, in dB.
    """
    numbers = asdict(comparison)
    ratio = numbers["sqnr_db"]
    numbers["sqnr_db"] = round(ratio, 2) if math.isfinite(ratio) else None  # no number in JSON
    return {**numbers, "sqnr_floor_db": minimum_sqnr, "compared_on": compared_on}


def text(report: dict[str, Any]) -> str:
    """Returns a report for the terminal."""
    operations = sum(report["operations"].values())
    delegation = f"{report['partitions']} partition{'s' * (report['partitions'] != 1)}"
    if not report["fully_delegated"]:
        delegation += ", not all operations in it"
    pixels = f", {report['pixels']}" if "pixels" in report else ""
    lines = [
        f"LiteRT file      {report['file']} ({report['bytes'] / 1e6:.2f} MB)",
        f"Weights          {report.get('mode', report['kind'])}",
        f"Input            {report['input']}{pixels}",
        f"Output           {report['output']}",
        f"Class names      {report['labels'] or 'none in the file'}",
        f"Graph            {operations} operations of {len(report['operations'])} kinds, rank "
        f"{report['rank']}, {delegation}",
    ]
    if report.get("half_precision"):
        half = report["half_precision"]
        lines.append(
            f"Half precision   the largest number is {half['largest']:,.0f} ({half['operation']}), "
            f"{'more than' if half['overflows'] else 'of'} {LARGEST:,.0f} that float16 holds"
        )
    if "sqnr_db" in report:
        lines += _comparison(report)
    return "\n".join(lines)


def _comparison(report: dict[str, Any]) -> list[str]:
    ratio = "none" if report["sqnr_db"] is None else f"{report['sqnr_db']:.1f} dB"
    lines = [
        f"Compared on      {report['images']} images ({report['compared_on']})",
        f"Signal to noise  {ratio}, {report['sqnr_floor_db']:g} needed",
    ]
    if report["agreement"] is not None:
        lines.append(
            f"Same class       {report['agreement']:.2%} of the images; the largest difference of "
            f"a probability is {report['difference']:.1e}"
        )
    if report["keras_accuracy"] is not None:
        lines.append(
            f"Accuracy         {report['keras_accuracy']:.2%} in Keras, "
            f"{report['litert_accuracy']:.2%} in LiteRT"
        )
    lines.append(
        f"Time per image   {report['keras_milliseconds']:.3f} ms in Keras, "
        f"{report['litert_milliseconds']:.3f} ms in LiteRT on one thread"
    )
    return lines
