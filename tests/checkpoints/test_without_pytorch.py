"""Published weights need no PyTorch: everything here runs where it cannot be imported."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from tests.backends import BACKEND
from tests.checkpoints.names import state_dict

SCRIPT = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
import numpy as np, keras_poolformer

model = keras_poolformer.load_model("file.safetensors")
expected = np.load("expected.npz")
for i, weight in enumerate(model.get_weights()):
    np.testing.assert_array_equal(weight, expected[f"arr_{i}"])
keras_poolformer.save_checkpoint(model, "copy.safetensors", "timm")
for call in (
    lambda: keras_poolformer.load_model("file.pth"),
    lambda: keras_poolformer.save_checkpoint(model, "copy.pth"),
):
    try:
        call()
    except ImportError as error:
        print(error)
assert "torch" not in sys.modules
"""


@pytest.mark.skipif(BACKEND == "torch", reason="torch is Keras's backend here")
def test_safetensors_files_are_read_and_written(reference, expected, tmp_path):
    save_file(state_dict(reference, "timm"), tmp_path / "file.safetensors")
    np.savez(tmp_path / "expected.npz", *expected.values())
    (tmp_path / "file.pth").touch()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"The package 'torch' is needed to {verb} .pth files: pip install 'keras-poolformer[torch]'"
        for verb in ("read", "write")
    ]
    assert (tmp_path / "copy.safetensors").is_file()
    assert not (tmp_path / "copy.pth").exists()
