"""Loads damaged checkpoints: `python -m tests.checkpoints.fuzz SEED COUNT`.

In a process of its own, since what it looks for includes crashes and hangs. Ends with
a line that counts what happened.
"""

import faulthandler
import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from keras_poolformer import CheckpointError, load_checkpoint
from tests.checkpoints.conftest import SMALL, build_small
from tests.checkpoints.names import state_dict
from tests.references import transformers_poolformer

NUMBERS = (b"\xff" * 8, bytes(8), b"\xff" * 7 + b"\x7f", (2**40).to_bytes(8, "little"))


def originals():
    """A checkpoint in each kind of file."""
    state = state_dict(transformers_poolformer(**SMALL, classes=10), "official")
    files = {"safetensors": save({key: value.contiguous() for key, value in state.items()})}
    for kind, is_zip in (("zip", True), ("pickle", False)):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=is_zip)
        files[kind] = buffer.getvalue()
    return files


def mutate(content, kind, rng):
    """Damages a file, mostly where its structure is rather than its numbers."""
    data = bytearray(content)

    def place():
        header = min(len(data), 12_000)
        if kind == "safetensors" and len(data) > 8:
            header = min(len(data), 8 + int.from_bytes(data[:8], "little"))
        chance = rng.random()
        if chance < 0.2 or not header:
            return rng.randrange(max(len(data), 1))
        if kind == "zip" and chance < 0.6:  # the directory of an archive is at its end
            return len(data) - 1 - rng.randrange(header)
        return rng.randrange(header)

    match rng.randrange(7):
        case 0:
            del data[rng.randrange(len(data)) :]
        case 1:
            for _ in range(rng.choice([1, 1, 2, 8])):
                data[place()] ^= 1 << rng.randrange(8)
        case 2:
            start, length = place(), rng.choice([1, 4, 8, 64])
            data[start : start + length] = rng.randbytes(rng.choice([1, 4, 8, 64]))
        case 3:
            start, source = place(), place()
            data[start:start] = data[source : source + rng.randrange(1, 400)]
        case 4:
            start = place()
            del data[start : start + rng.randrange(1, 400)]
        case 5:
            start = place()
            data[start : start + 8] = rng.choice(NUMBERS)
        case 6:
            data[: rng.choice([1, 2, 4, 8])] = rng.randbytes(rng.choice([1, 2, 4, 8]))
    return bytes(data)


def outcome(model, path, weights):
    """Returns the message of the library's own error, or "" if all weights were loaded."""
    try:
        report = load_checkpoint(model, path)
    except CheckpointError as error:
        return str(error)
    assert len(report.loaded) == weights
    return ""


def main(seed, count):
    faulthandler.enable()
    files = originals()
    model = build_small()
    before = model.get_weights()
    happened, slowest = Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(seed, seed + count):
            rng = random.Random(number)
            kind = rng.choice(list(files))
            path = Path(folder, f"file.{'safetensors' if kind == 'safetensors' else 'pth'}")
            path.write_bytes(mutate(files[kind], kind, rng))
            start = time.perf_counter()
            message = outcome(model, path, len(before))
            happened["refused" if message else "loaded"] += 1
            if message:
                after = model.get_weights()
                assert all(map(np.array_equal, before, after)), number
                assert str(path) in message, number
                assert len(message) < 5000, number
            else:  # only numbers were hit, or what nobody reads
                model.set_weights(before)
            slowest = max(slowest, time.perf_counter() - start)
    print(json.dumps({**happened, "slowest": round(slowest, 3)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
