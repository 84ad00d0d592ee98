"""What a reader of measured numbers should know, in words."""

from typing import Any

BUSY = 0.5
"""Processes that ran before, from which on times are disturbed."""


def notes(report: dict[str, Any]) -> list[str]:
    """Returns what makes the numbers of a benchmark less than they seem; nothing if they are fine.

    Args:
        report: What `tflite.benchmark.benchmark` has measured.
    """
    machine, entries = report["machine"], report["files"]
    threads = max(report["settings"]["threads"])
    found = []
    if threads > machine["cores"]:
        found.append(f"{threads} threads on {machine['cores']} cores wait for each other")
    if machine["load"] is not None and machine["load"] > BUSY:
        found.append(f"the machine was busy before: a load of {machine['load']}")
    shapes = sorted({str(entry["shape"]) for entry in entries})
    if len(shapes) > 1:
        found.append(f"the files do different work: inputs of {' and '.join(shapes)}")
    for entry in entries:
        if entry["open_batch"]:
            found.append(f"{entry['name']} leaves its batch open: measured with one image")
        if entry["partitions"] > 1:
            found.append(
                f"{entry['name']} runs in {entry['partitions']} pieces of the delegate, with "
                "operations of the CPU's own kernels between them"
            )
    return found
