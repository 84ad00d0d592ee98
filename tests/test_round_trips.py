"""A model saved under one backend is the same model under the others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_poolformer import PoolFormerS12
from tests.backends import BACKEND, relative_error

# Each writes for one and reads from one; `make test-all` has all pairs.
NEXT = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}
OTHERS = [
    pytest.param(other, marks=() if other == NEXT[BACKEND] else pytest.mark.slow)
    for other in sorted(set(NEXT) - {BACKEND})
]
MODEL = {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 24], "layer_scale_init_value": 0.5,
         "include_preprocessing": True, "input_shape": (None, None, 3), "classes": 10}  # fmt: skip

# Runs in a process of its own, under another backend.
RELOAD = """
import json, sys
import numpy as np, keras, keras_poolformer
from tests.test_metaformer import GatedMixer  # registers the mixer of a user
folder, backend, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
assert keras.config.backend() == backend
x = np.load(f"{folder}/x.npy")
whole = keras.saving.load_model(f"{folder}/model.keras")
assert type(whole) is keras_poolformer.MetaFormer
part = keras_poolformer.PoolFormerS12(**arguments, weights=f"{folder}/model.weights.h5")
mixed = keras.saving.load_model(f"{folder}/mixed.keras")
np.savez(f"{folder}/{backend}-weights.npz", *whole.get_weights())
np.savez(f"{folder}/{backend}.npz", whole=whole.predict(x, verbose=0),
         part=part.predict(x, verbose=0), mixed=mixed.predict(x, verbose=0))
"""


@pytest.mark.parametrize("other", OTHERS)
def test_saved_here_and_reloaded_under(other, tmp_path, rng):
    from tests.test_metaformer import GatedMixer

    model = PoolFormerS12(**MODEL)
    mixed = PoolFormerS12(**MODEL, token_mixer=["pooling", "pooling", GatedMixer(0.3), "identity"])
    for m in (model, mixed):
        m.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in m.get_weights()])
    x = rng.integers(0, 256, (2, 45, 64, 3))
    np.save(tmp_path / "x.npy", x)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    mixed.save(tmp_path / "mixed.keras")

    process = subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path), other, json.dumps(MODEL)],
        env={**os.environ, "KERAS_BACKEND": other, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    weights = np.load(tmp_path / f"{other}-weights.npz")
    for index, weight in enumerate(model.get_weights()):
        np.testing.assert_array_equal(weights[f"arr_{index}"], weight)
    outputs = np.load(tmp_path / f"{other}.npz")
    expected = model.predict(x, verbose=0)
    assert relative_error(outputs["whole"], expected) < 5e-6
    assert relative_error(outputs["part"], expected) < 5e-6
    assert relative_error(outputs["mixed"], mixed.predict(x, verbose=0)) < 5e-6


def test_saved_after_training_the_optimizer_comes_along(tmp_path, rng):
    model = PoolFormerS12(**{**MODEL, "depths": [1, 1], "dims": [8, 12]}, drop_path_rate=0.1)
    x, labels = rng.integers(0, 256, (8, 32, 32, 3)), np.arange(8)
    model.compile(keras.optimizers.AdamW(1e-4), "sparse_categorical_crossentropy")
    model.fit(x, labels, batch_size=4, verbose=0)
    model.save(tmp_path / "trained.keras")
    reloaded = keras.saving.load_model(tmp_path / "trained.keras")
    assert int(reloaded.optimizer.iterations) == 2
    np.testing.assert_allclose(reloaded.predict(x), model.predict(x), rtol=1e-6)
    reloaded.fit(x, labels, batch_size=4, verbose=0)
    assert int(reloaded.optimizer.iterations) == 4
