"""A small training in a process of its own that dies at a given moment.

python -m tests.training.killed FOLDER MOMENT

MOMENT is `never`, or what the process is doing when SIGKILL comes and how often it has
done it: `step:7` after the 7th step, before it is saved; `writing:5` in the middle of
writing the 5th checkpoint; `validating:1`. Or `term:7`: SIGTERM.
"""

import os
import signal
import sys
from pathlib import Path

import keras
import safetensors.numpy

from training import guard, train
from training.augmentation import Augmentation
from training.datasets.digits import load_digits
from training.recipe import Recipe, find_recipe

# Everything that has a state: averages, sums of gradients, stochastic depth, mixing.
RECIPE = Recipe(
    build=find_recipe("digits").build,
    model={
        "depths": (1, 1),
        "dims": (8, 16),
        "layer_scale_init_value": 1.0,
        "drop_path_rate": 0.3,
    },
    image_size=8,
    augmentation=Augmentation(crop_scale=(0.5, 1.0), flip=0, rand_augment=0),
    epochs=2,
    warmup_epochs=0.5,
    batch_size=32,
    learning_rate=1e-2,
    accumulation=2,
    ema=0.9,
    checkpoint_minutes=0,
)
STEPS = 5


def kill_at(moment):
    kind, _, count = moment.partition(":")
    left = [int(count or 0)]

    def strike(number=signal.SIGKILL):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), number)

    def before(target, name, **arguments):
        function = getattr(target, name)

        def wrapped(*args, **kwargs):
            strike(**arguments)
            return function(*args, **kwargs)

        setattr(target, name, wrapped)

    if kind == "step":
        before(guard.Guard, "on_train_batch_end")
    elif kind == "term":
        before(guard.Guard, "on_train_batch_end", number=signal.SIGTERM)
    elif kind == "validating":
        guard.Guard.on_test_batch_end = lambda self, batch, logs=None: strike()
    elif kind == "writing":
        function = safetensors.numpy.save_file

        def save_file(tensors, path, metadata):
            function(tensors, path, metadata)
            if left[0] == 1:
                Path(path).write_bytes(Path(path).read_bytes()[:-1000])
            strike()

        safetensors.numpy.save_file = save_file


def run(folder, verbose=0):
    data = load_digits().limit(STEPS * 32)
    return train.train(RECIPE, data, Path(folder), seed=3, verbose=verbose)


if __name__ == "__main__":
    kill_at(sys.argv[2])
    try:
        run(sys.argv[1], verbose=1)
    except guard.Stopped as stopped:
        print(f"stopped by {stopped} with {keras.config.backend()}")
        raise SystemExit(128 + stopped.signal) from None
