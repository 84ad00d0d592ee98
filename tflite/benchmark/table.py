"""The one screen that says how fast files are."""

from collections.abc import Sequence
from typing import Any


def text(report: dict[str, Any], operations: int) -> str:
    """Returns the report of a benchmark for the terminal.

    Args:
        report: What `tflite.benchmark.benchmark` returns.
        operations: How many of the slowest kinds of operations to list for each file that
            was given; those of the peers are in the report.
    """
    machine, settings = report["machine"], report["settings"]
    load = "" if machine["load"] is None else f", load {machine['load']} before"
    cores = f"{machine['cores']} core{'s' * (machine['cores'] != 1)}"
    libraries = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [
        f"Processor        {machine['processor']}, {cores}, {machine['system']}{load}",
        f"Libraries        {libraries}",
        f"Time             milliseconds: median and quartiles of {settings['rounds']} rounds of "
        f"{settings['repeats']} runs, in turns; ratios to the first",
        f"Peak memory      MB: {report['measured']['memory']}",
        "Delegated        operations that XNNPACK runs, and in how many pieces; the CPU's own "
        "kernels run the rest",
    ]
    if "operation_times" in report["measured"]:
        lines.append(f"Operations       {report['measured']['operation_times']}")
    if "against" in settings:
        lines.append(f"Peers' weights   {settings['peers_weights']}")
    lines += ["", *_table(report)]
    for entry in report["files"]:
        if "peer" not in entry and "operation_times" in entry:
            lines += ["", *_slowest(entry, operations, settings["threads"][0])]
    notes = [f"note: {note}" for note in report["notes"]]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _table(report: dict[str, Any]) -> list[str]:
    counts = [str(count) for count in report["settings"]["threads"]]
    head = ["", "mode", "MB", "peak memory", "delegated"]
    for count in counts:
        head += [f"{count} thread{'s' * (count != '1')}", "quartiles", "ratio"]
    rows = [head]
    for entry in report["files"]:
        peak = entry["peak_memory"]
        row = [
            entry.get("peer", entry["name"]),
            entry["mode"] or "?",
            f"{entry['bytes'] / 1e6:.2f}",
            "not measured" if peak is None else f"{peak / 1e6:.1f}",
            f"{entry['delegated']}/{sum(entry['operations'].values())} in {entry['partitions']}",
        ]
        for count in counts:
            times = entry["times"][count]
            row += [
                _short(times["median"]),
                f"{_short(times['lower'])}-{_short(times['upper'])}",
                f"{times['ratio']:.2f}",
            ]
        rows.append(row)
    return _aligned(rows, texts=[0, 1])


def _slowest(entry: dict[str, Any], count: int, threads: int) -> list[str]:
    """Returns the slowest kinds of operations of a file, or why they are not known."""
    found = entry["operation_times"]
    if found is None:
        return [f"{entry['name']}: operations by time not measured. {entry['not_profiled']}"]
    kinds = found["kinds"]
    rows = [_row(kind["share"], kind["milliseconds"], _label(kind)) for kind in kinds[:count]]
    rest = kinds[count:]
    if rest:
        number = sum(kind["count"] for kind in rest)
        rows.append(
            _row(
                sum(kind["share"] for kind in rest),
                sum(kind["milliseconds"] for kind in rest),
                f"{number} others of {len(rest)} kinds",
            )
        )
    between = found["between"]
    rows.append(_row(between, between * found["milliseconds"], "between operations"))
    plural = f"{threads} thread{'s' * (threads != 1)}"
    return [
        f"{entry['name']}: {_short(found['milliseconds'])} ms under the profiler, {plural}",
        *_aligned(rows, texts=[2]),
    ]


def _row(share: float, milliseconds: float, label: str) -> list[str]:
    return [f"{share:.1%}", f"{_short(milliseconds)} ms", label]


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.{3 if milliseconds < 1 else 2}f}"


def _label(kind: dict[str, Any]) -> str:
    own = "" if kind["is_delegated"] else ", not delegated"
    return f"{kind['count']} x {kind['name']}{own}"


def _aligned(rows: Sequence[Sequence[str]], texts: Sequence[int]) -> list[str]:
    """Returns rows in columns, those of `texts` to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
