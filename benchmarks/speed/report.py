"""What the turns say: ratios to the reference, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.speed.ceiling import shares
from benchmarks.speed.job import Job
from benchmarks.speed.turns import Result

REFERENCE = "timm"


def ratios(result: Result, reference: Result) -> np.ndarray:
    """Returns the ratio of two contenders' times in each round."""
    rounds = min(len(result.seconds), len(reference.seconds))
    return result.medians[:rounds] / reference.medians[:rounds]


def summary(
    job: Job, results: Sequence[Result], rates: dict[str, float] | None = None
) -> dict[str, Any]:
    """Returns what of a job goes into the JSON file, a row for each contender.

    Args:
        job: What was timed.
        results: What the contenders did.
        rates: The machine's, as `ceiling.measure` returns them, or `None`.

    Times are in milliseconds, memory in bytes, `matrix` and `bandwidth` shares of the rates.
    `ratio` is the median over the rounds of the
    contender's time over the reference's in the same round, with its quartiles; it is `None`
    where the reference took no part.
    """
    reference = next((r for r in results if r.contender == REFERENCE and r.seconds), None)
    rows = []
    for result in results:
        row: dict[str, Any] = {"contender": result.contender, "problem": result.problem}
        if result.seconds:
            spread = None
            if reference is not None:
                spread = np.percentile(ratios(result, reference), (25, 50, 75)).tolist()
            row |= {
                "milliseconds": 1000 * float(np.median(result.medians)),
                "ratio": None if spread is None else spread[1],
                "quartiles": None if spread is None else [spread[0], spread[2]],
                "memory": result.memory,
                **({} if rates is None else shares(job, float(np.median(result.medians)), rates)),
                "build_seconds": result.build,
                "first_seconds": result.first,
                "seconds": result.seconds,
            }
        rows.append(row)
    return {"job": asdict(job), "rows": rows}


def table(job: Job, rows: Sequence[dict[str, Any]]) -> str:
    """Returns a Markdown table of a job, the fastest first; who took no part stands below it."""
    lines = [
        f"### {job.name[0].upper()}{job.name[1:]}",
        "",
        "| | ratio | quartiles | ms | images/s | of the matrix rate | of the bandwidth "
        "| memory, MB | build, s | first step, s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    timed = [row for row in rows if "milliseconds" in row]
    for row in sorted(timed, key=lambda row: row["milliseconds"]):
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        quartiles = "" if row["quartiles"] is None else "{:.2f}-{:.2f}".format(*row["quartiles"])
        memory = "" if row["memory"] is None else f"{row['memory'] / 1e6:.0f}"
        rate = 1000 * job.batch / row["milliseconds"]
        matrix, bandwidth = (
            f"{row[share]:.0%}" if share in row else "" for share in ("matrix", "bandwidth")
        )
        lines.append(
            f"| {row['contender']} | {ratio} | {quartiles} | {row['milliseconds']:.1f} "
            f"| {rate:.1f} | {matrix} | {bandwidth} | {memory} "
            f"| {row['build_seconds']:.1f} | {row['first_seconds']:.1f} |"
        )
    absent = [row for row in rows if row["problem"]]
    if absent:
        lines += ["", *(f"Not run: {row['contender']} ({row['problem']})." for row in absent)]
    return "\n".join(lines)
