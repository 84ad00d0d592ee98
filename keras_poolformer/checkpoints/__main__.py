"""Checkpoints on the command line.

python -m keras_poolformer.checkpoints inspect poolformer_s12.pth.tar
python -m keras_poolformer.checkpoints convert poolformer_s12.pth.tar poolformer_s12.keras
python -m keras_poolformer.checkpoints convert pets.keras pets.safetensors --layout huggingface
python -m keras_poolformer.checkpoints presets caformer
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from keras_poolformer.checkpoints.tensors import Checkpoint

LAYOUTS = ("official", "timm", "huggingface", "openmmlab", "metaformer")


def presets(part: str) -> int:
    """Prints the published weights whose name has `part` in it: 0 if there are any, 1 if not."""
    from keras_poolformer.checkpoints.presets import PRESETS

    found = [preset for name, preset in PRESETS.items() if part.lower() in name]
    if not found:
        print(f"error: no preset has {part!r} in its name", file=sys.stderr)
        return 1
    print(f"{'name':38} {'builder':18} {'pixels':>6} {'classes':>7} {'top-1':>6}  hub")
    for preset in found:
        top1 = "-" if preset.top1 is None else f"{preset.top1} %"
        print(
            f"{preset.name:38} {preset.builder:18} {preset.image_size:6} {preset.classes:7,} "
            f"{top1:>6}  {preset.repository}/{preset.file}"
        )
    return 0


def inspect(path: Path, use_ema: bool) -> int:
    """Prints what is in a file: 0 if all of it fits a PoolFormer, 1 if not."""
    import keras

    from keras_poolformer.checkpoints.errors import CheckpointError, listed
    from keras_poolformer.checkpoints.load import match_weights
    from keras_poolformer.checkpoints.reading import read_checkpoint
    from keras_poolformer.pretrained import build_for, load_model

    if path.suffix == ".keras":
        model = load_model(path)
        print(_summary(path, model, "keras", sorted({str(w.dtype) for w in model.weights})))
        return 0
    checkpoint = read_checkpoint(path, use_ema)
    with keras.StatelessScope(initialize_variables=False):  # only the shapes are of interest
        model = build_for(checkpoint)
    layout = _layout(checkpoint)
    print(_summary(path, model, layout, sorted({t.dtype for t in checkpoint.tensors.values()})))
    if checkpoint.entry:
        print(f"Entry        {checkpoint.entry}")
    try:
        match = match_weights(model, checkpoint)
    except CheckpointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Fits         {len(match.keys)} tensors")
    if match.left_out:
        names = [checkpoint.stored_name(key) for key in match.left_out]
        print(f"Left out     {listed(names)}")
    return 0


def convert(source: str, target: Path, layout: str | None, use_ema: bool) -> int:
    """Writes a model in another layout or format: 0 when that is done."""
    from keras_poolformer.checkpoints.load import fill
    from keras_poolformer.checkpoints.reading import SUFFIXES, is_checkpoint, read_checkpoint
    from keras_poolformer.checkpoints.save import save_checkpoint
    from keras_poolformer.files import replacing
    from keras_poolformer.pretrained import build_for, load_model

    is_keras = target.name.endswith((".keras", ".weights.h5"))
    if not is_keras and not is_checkpoint(target):
        raise ValueError(
            f"`OUT` must end in .keras, .weights.h5 or {', '.join(SUFFIXES)}. "
            f"Received: {str(target)!r}"
        )
    if is_keras and layout is not None:
        raise ValueError(
            f"`--layout` must be left out for a file of Keras. Received: {layout!r} for "
            f"{str(target)!r}"
        )
    if not target.parent.is_dir():
        raise ValueError(f"`OUT` must be in a folder that exists. Received: {str(target)!r}")
    if is_checkpoint(Path(source)):
        checkpoint = read_checkpoint(source, use_ema)
        model = build_for(checkpoint)
        print(fill(model, checkpoint))
    else:
        model = load_model(source)
    if not is_keras:
        save_checkpoint(model, target, layout or "official")
    else:
        with replacing(target) as temporary:
            if target.suffix == ".keras":
                model.save(temporary, include_optimizer=False)
            else:
                model.save_weights(temporary)
    written = "keras" if is_keras else layout or "official"
    print(_summary(target, model, written, sorted({str(w.dtype) for w in model.weights})))
    return 0


def _layout(checkpoint: "Checkpoint") -> str:
    from keras_poolformer.checkpoints.layouts import detect_layout

    return detect_layout(checkpoint).name


def _summary(path: Path, model: "keras.Model", layout: str, dtypes: list[str]) -> str:
    from keras_poolformer.metaformer import MetaFormer
    from keras_poolformer.variants import name_of

    name, classes = type(model).__name__, "none: no classifier"
    if isinstance(model, MetaFormer):
        name = name_of(model) or f"MetaFormer, depths {model.depths}, dims {model.dims}"
        if model.classes:
            classes = str(model.classes)
    return (
        f"File         {path} ({path.stat().st_size / 1e6:.1f} MB)\n"
        f"Layout       {layout}\n"
        f"Model        {name}\n"
        f"Classes      {classes}\n"
        f"Parameters   {model.count_params():,}\n"
        f"Types        {', '.join(dtypes)}"
    )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_poolformer.checkpoints",
        description="Look into PyTorch checkpoints of PoolFormers and their successors, convert "
        "them, and list the published ones.",
        epilog="Exit codes: 0 all is well, 1 the file does not fit or nothing is found, 2 bad "
        "input.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    look = commands.add_parser("inspect", help="say what a file is")
    look.add_argument("file", type=Path, metavar="FILE", help="a checkpoint or a .keras file")
    change = commands.add_parser("convert", help="write a model in another format")
    change.add_argument("source", metavar="IN", help="a checkpoint, a .keras file or a preset")
    change.add_argument("target", type=Path, metavar="OUT", help=".keras, .weights.h5, .pth, ...")
    change.add_argument(
        "--layout", choices=LAYOUTS, help="whose names the weights get, for PyTorch (official)"
    )
    published = commands.add_parser("presets", help="list the published weights; no network")
    published.add_argument(
        "part", nargs="?", default="", help="part of the names, such as caformer"
    )
    for command in (look, change):
        command.add_argument(
            "--no-ema", action="store_true", help="take the weights themselves, not their average"
        )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = parse(arguments)
    try:
        if options.command == "presets":
            return presets(options.part)
        if options.command == "inspect":
            return inspect(options.file, not options.no_ema)
        return convert(options.source, options.target, options.layout, not options.no_ema)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # too late where Keras is imported already
    raise SystemExit(main())
