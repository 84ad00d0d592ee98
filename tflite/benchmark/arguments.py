"""The command line of `tflite.benchmark`, and what its arguments must be."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tflite.benchmark import peers
from tflite.quantize import MODES


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflite.benchmark",
        description="Measure .tflite files on this machine's CPU.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"peers: {', '.join(peers.PEERS)}\nmodes: {', '.join(MODES)}",
    )
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help="a .tflite file with one input")
    add("--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="numbers (1 2)")
    add("--rounds", type=int, default=10, help="turns of each file (10)")
    add("--repeats", type=int, default=5, help="timed runs of a turn (5)")
    add("--warmup", type=int, default=3, help="runs before the first turn (3)")
    add("--seed", type=int, default=0, help="of the order of the turns (0)")
    add("--ops", type=int, default=5, metavar="N", help="slowest operations to list (5); 0: none")
    add("--against", nargs="+", default=[], metavar="PEER", help="networks to compare with")
    add("--modes", nargs="+", metavar="MODE", help="how they are quantised (as the files are)")
    add("--model", help="the Keras model of the first file, for --against plain")
    add("--keep", type=Path, metavar="FOLDER", help="keep the peers' files there")
    add("--report", type=Path, metavar="FILE", help="file for all that was measured (none)")
    return parser.parse_args(arguments)


def check(
    files: Sequence[str | Path],
    threads: Sequence[int],
    rounds: int,
    repeats: int,
    warmup: int,
    seed: int,
) -> None:
    """Checks what is measured, and how.

    Raises:
        ValueError: if an argument cannot be right.
    """
    if not files:
        raise ValueError("`files` must be at least one .tflite file. Received: none")
    if not threads or min(threads) < 1 or len(set(threads)) < len(threads):
        raise ValueError(f"`threads` must be different positive numbers. Received: {list(threads)}")
    for name, value, least in (
        ("rounds", rounds, 1),
        ("repeats", repeats, 1),
        ("warmup", warmup, 0),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {value}")


def check_peers(
    names: Sequence[str],
    modes: Sequence[str] | None,
    model: str | Path | None,
    keep: str | Path | None,
) -> None:
    """Checks what belongs to the peers.

    Raises:
        ValueError: if an argument cannot be right, or belongs to no peer.
    """
    for mode in modes or ():
        if mode not in MODES:
            raise ValueError(f"`modes` must be among {list(MODES)}. Received: {mode!r}")
    if peers.PLAIN in names and model is None:
        raise ValueError(
            f"`model` must be the Keras model of the first file for `against={peers.PLAIN!r}`. "
            "Received: nothing"
        )
    if peers.PLAIN not in names and model is not None:
        raise ValueError(
            f"`model` must be left out without `against={peers.PLAIN!r}`, which alone needs it. "
            f"Received: {str(model)!r}"
        )
    for name, value in (("modes", modes), ("keep", keep)):
        if value is not None and not names:
            raise ValueError(
                f"`{name}` must be left out without `against`, to whose networks it belongs. "
                f"Received: {value!r}"
            )
