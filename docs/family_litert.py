"""Measures what models of the family take in LiteRT, into docs/measured/family_litert.json.

    KERAS_BACKEND=tensorflow python docs/family_litert.py convert PoolFormerS12 CAFormerS18
    python docs/family_litert.py time

Times are medians of runs on one thread of images of 224 pixels, the files in turns. The weights
are random: times and sizes do not depend on them.
"""

import argparse
import json
from pathlib import Path

import keras_poolformer
from keras_poolformer.files import replacing
from tflite.benchmark.machine import machine, versions
from tflite.benchmark.runner import Runner
from tflite.benchmark.timing import interleave, spread
from tflite.convert import convert

DOCS = Path(__file__).parent
FILES, MEASURED = DOCS.parent / "runs" / "family", DOCS / "measured" / "family_litert.json"
MODES = ("float32", "dynamic-int8")
ROUNDS, REPEATS = 5, 4


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    converting = commands.add_parser("convert", help=f"write .tflite files into {FILES}")
    converting.add_argument("models", nargs="+", help="builders, such as PoolFormerS12")
    commands.add_parser("time", help="time all files there")
    options = parser.parse_args()
    if options.command == "convert":
        FILES.mkdir(parents=True, exist_ok=True)
        for name in options.models:
            model = getattr(keras_poolformer, name)()
            for mode in MODES:
                convert(model, FILES / f"{name}.{mode}.tflite", quantize=mode)
    else:
        measure()


def measure() -> None:
    """Times all files and writes what was found."""
    files = sorted(FILES.glob("*.tflite"))
    runners = [Runner(file) for file in files]
    times = interleave(runners, ROUNDS, REPEATS)
    models: dict[str, dict[str, dict[str, float]]] = {}
    for file, found in zip(files, times, strict=True):
        name, mode = file.stem.split(".")
        models.setdefault(name, {})[mode] = {
            "milliseconds": round(spread(found).median, 2),
            "megabytes": round(file.stat().st_size / 1e6, 2),
        }
    outcome = {"machine": machine(), "versions": versions("ai-edge-litert"), "models": models}
    with replacing(MEASURED) as path:
        path.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
