"""The one screen that says what a file is worth."""

from typing import Any


def text(report: dict[str, Any]) -> str:
    """Returns the report of a conversion or a verification for the terminal."""
    operations = sum(report["operations"].values())
    delegation = f"{report['partitions']} partition{'s' * (report['partitions'] != 1)}"
    if not report["fully_delegated"]:
        delegation += ", not all operations in it"
    lines = [
        f"LiteRT file      {report['file']} ({report['bytes'] / 1e6:.2f} MB)",
        f"Mode             {report['mode']}",
        f"Input            {report['input']}, {report['pixels']}",
        f"Output           {report['output']}",
        f"Class names      {report['labels'] or 'none in the file'}",
        f"Graph            {operations} operations of {len(report['operations'])} kinds, rank "
        f"{report['rank']}, {delegation}",
        f"Signal to noise  {report['sqnr_db']:.1f} dB on {report['compared_images']} images "
        f"({report['compared_on']}), {report['sqnr_floor_db']:g} needed",
    ]
    if report["same_first_class"] is not None:
        lines.append(f"Same class       {report['same_first_class']:.1%} of the images")
    lines += [f"problem: {problem}" for problem in report["problems"]]
    return "\n".join(lines)
