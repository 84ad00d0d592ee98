"""Measures .tflite files on this machine's CPU: time, memory, operations and delegation.

python -m tflite.benchmark float.tflite small.tflite --threads 1 2 --report report.json
python -m tflite.benchmark model.tflite --model model.keras --against plain MobileNetV2
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tflite.benchmark import memory, operation_times, peers
from tflite.benchmark.arguments import check, check_peers, parse
from tflite.benchmark.description import describe
from tflite.benchmark.machine import machine, versions
from tflite.benchmark.notes import notes
from tflite.benchmark.table import text
from tflite.benchmark.timing import spread
from tflite.process import run_module
from tflite.quantize import MODES

PROFILED_RUNS = 20


def benchmark(
    files: Sequence[str | Path],
    *,
    threads: Sequence[int] = (1, 2),
    rounds: int = 10,
    repeats: int = 5,
    warmup: int = 3,
    seed: int = 0,
    profile: bool = True,
    against: Sequence[str] = (),
    modes: Sequence[str] | None = None,
    model: str | Path | None = None,
    keep: str | Path | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Measures .tflite files, and other networks beside them.

    All are timed in one process, in turns (module `timing`), by LiteRT's interpreter with
    its XNNPACK delegate. Memory (`memory`) and operations by time (`operation_times`) are
    measured in processes of their own, with the first number of threads.

    Args:
        files: .tflite files with one input. The first is what the others are compared with.
        threads: Numbers of threads to time with, one after the other.
        rounds: Turns of each file.
        repeats: Timed runs of a turn, after one that is not timed.
        warmup: Runs before the first turn.
        seed: Of the order of the turns.
        profile: Whether the operations are measured by their time.
        against: Names in `peers.PEERS` to compare with. They are built with the image
            size, batch, input and number of classes of the first file.
        modes: How they are quantised; by default as the files are.
        model: What `keras_poolformer.load_model` takes, needed for `"plain"`.
        keep: Folder for the peers' files, made where it is missing. By default they are deleted.
        progress: Told what is being done.

    Returns:
        `machine`, `versions`, `settings`, what is `measured` in words, `notes`, and under
        `files` for each file what `describe` says, with its `name`, its `peak_memory` in
        bytes or `None`, its `times` by the number of threads (`median`, `lower`, `upper` and
        `fastest` in milliseconds, `count`, and the `ratio` of the median to the first
        file's), and its `operation_times` (`None`, with `not_profiled` saying why, where
        LiteRT's profiler does not work).

    Raises:
        ValueError: if an argument cannot be right, a file cannot be measured or a peer
            cannot be built.
        OSError: if a process ends before its result, or `keep` cannot be written.

    Example:
    >>> benchmark(["model.tflite"])["files"][0]["times"]["1"]["median"]
    28.5
    """
    check(files, threads, rounds, repeats, warmup, seed)
    paths = [Path(file) for file in files]
    names = peers.resolve(against)
    check_peers(names, modes, model, keep)
    report: dict[str, Any] = {
        "machine": machine(),
        "versions": versions("ai-edge-litert", "numpy"),
        "settings": {
            "threads": list(threads),
            "rounds": rounds,
            "repeats": repeats,
            "warmup": warmup,
            "seed": seed,
        },
    }
    described = describe(paths)
    for entry, file in zip(described, files, strict=True):
        entry["name"] = str(file)
    with _folder(keep) as folder:
        if names:
            report["versions"] |= versions("keras", "tensorflow", "ai-edge-quantizer")
            described += _peers(described, names, modes, model, folder, progress)
            report["settings"] |= {"against": names, "peers_weights": peers.WEIGHTS}
        report["files"] = described
        report["measured"] = {"memory": memory.MEASURED}
        _time(report, progress)
        for entry in described:
            progress(f"Memory of {entry['name']}")
            entry["peak_memory"] = memory.peak_memory(Path(entry["file"]), threads[0])
        if profile:
            report["measured"]["operation_times"] = operation_times.MEASURED
            for entry in described:
                progress(f"Operations of {entry['name']}")
                entry |= _profiled(Path(entry["file"]), threads[0])
    if keep is None:
        for entry in described[len(paths) :]:
            entry["file"] = None
    report["notes"] = notes(report)
    return report


@contextmanager
def _folder(keep: str | Path | None) -> Iterator[Path]:
    """Yields the folder for the peers' files, which ends here unless it is to be kept."""
    if keep is not None:
        Path(keep).mkdir(parents=True, exist_ok=True)
        yield Path(keep)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _peers(
    described: Sequence[dict[str, Any]],
    names: Sequence[str],
    modes: Sequence[str] | None,
    model: str | Path | None,
    folder: Path,
    progress: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Builds the peers of the first file and describes them."""
    first = described[0]
    if len(first["shape"]) != 4 or first["dtype"] not in ("float32", "uint8"):
        raise ValueError(
            "`against` must be left out where the first file does not take float32 or uint8 "
            f"images of (height, width, channels). Received: {first['file']!r} with the input "
            f"{first['input']}"
        )
    if modes is None:
        unclear = [entry["file"] for entry in described if entry["mode"] is None]
        if unclear:
            raise ValueError(
                f"`modes` must be given, since {unclear[0]!r} is quantised in none of "
                f"{list(MODES)}. Received: nothing"
            )
        modes = list(dict.fromkeys(entry["mode"] for entry in described))
    batch, *image_shape = first["shape"]
    output = first["outputs"][0]
    made = []
    for name in names:
        progress(f"Building {name}")
        made += peers.build_peer(
            name,
            modes,
            folder,
            image_shape=image_shape,
            batch=batch,
            input=first["dtype"],
            classes=output[-1] if len(output) == 2 else 1000,
            model=model,
        )
    entries = describe([Path(file["file"]) for file in made])
    for entry, file in zip(entries, made, strict=True):
        entry |= {"name": f"{file['peer']} {file['mode']}", **file}
    return entries


def _time(report: dict[str, Any], progress: Callable[[str], None]) -> None:
    """Times all files of a report and adds what was measured."""
    settings, entries = report["settings"], report["files"]
    progress(f"Timing {len(entries)} files")
    task = {"files": [entry["file"] for entry in entries]} | {
        name: settings[name] for name in ("threads", "rounds", "repeats", "warmup", "seed")
    }
    for entry in entries:
        entry["times"] = {}
    for threads, times in zip(
        settings["threads"], run_module("tflite.benchmark.timing", task), strict=True
    ):
        spreads = [spread(seconds) for seconds in times]
        for entry, found in zip(entries, spreads, strict=True):
            entry["times"][str(threads)] = {
                **{name: round(value, 4) for name, value in asdict(found).items()},
                "ratio": round(found.median / spreads[0].median, 4),
            }


def _profiled(file: Path, threads: int) -> dict[str, Any]:
    """Returns the operations of a file by their time, or why that was not measured."""
    try:
        found = operation_times.operation_times(file, threads, PROFILED_RUNS)
    except (ValueError, ChildProcessError) as error:
        return {"operation_times": None, "not_profiled": str(error)}
    return {"operation_times": asdict(found)}


def run(options: argparse.Namespace) -> None:
    """Does what the command line says and reports it."""
    if options.ops < 0:
        raise ValueError(f"`ops` must be at least 0. Received: {options.ops}")
    if options.report is not None and not options.report.parent.is_dir():
        raise ValueError(
            "`report` must be the path of a file in a folder that exists. "
            f"Received: {str(options.report)!r}"
        )
    report = benchmark(
        options.files,
        threads=options.threads,
        rounds=options.rounds,
        repeats=options.repeats,
        warmup=options.warmup,
        seed=options.seed,
        profile=options.ops > 0,
        against=options.against,
        modes=options.modes,
        model=options.model,
        keep=options.keep,
        progress=lambda message: print(message, file=sys.stderr, flush=True),
    )
    print(text(report, options.ops))
    if options.report is not None:
        from training.startup import start

        start()  # Keras comes with what is imported next
        from keras_poolformer.files import replacing

        with replacing(options.report) as path:
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"Report           {options.report}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: 0 when all is measured, 2 on bad input."""
    options = parse(arguments)
    try:
        run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
