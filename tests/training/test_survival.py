"""A training that is killed and started again ends as one that was not."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training import killed
from training.checkpoint import FILE, Checkpoint

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow  # six processes, each with its start and its compilation


def start(folder, moment):
    return subprocess.run(
        [sys.executable, "-m", "tests.training.killed", folder, moment],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )


def weights(folder, name="model.keras"):
    return keras.saving.load_model(folder / name).get_weights()


def rows(folder):
    with (folder / "history.csv").open() as file:
        skipped = ("seconds", "images_per_second")
        return [
            {key: value for key, value in row.items() if key not in skipped}
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = start(folder, "never")
    assert done.returncode == 0, done.stderr
    return folder


def test_killed_at_any_moment_it_ends_with_the_same_weights(uninterrupted, tmp_path):
    progress = []
    for moment in ("step:3", "writing:2", "validating:1"):
        done = start(tmp_path, moment)
        assert done.returncode == -signal.SIGKILL, done.stderr
        state = Checkpoint(tmp_path / FILE).progress
        progress.append((state.epoch, state.step))
        assert not (tmp_path / "summary.json").exists()
    assert len(list(tmp_path.glob(f".*{FILE}"))) == 0  # of the one that was half written
    done = start(tmp_path, "never")
    assert done.returncode == 0, done.stderr
    assert "Go on after epoch" in done.stdout

    # Two steps were saved before the third died, and one more before the second save broke;
    # then all but the last, after which the validation died.
    assert progress == [(0, 2), (0, 3), (0, 4)]
    for one, other in zip(weights(uninterrupted), weights(tmp_path), strict=True):
        np.testing.assert_array_equal(one, other)
    assert rows(uninterrupted) == rows(tmp_path)
    for one, other in zip(
        weights(uninterrupted, "best.keras"), weights(tmp_path, "best.keras"), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert not (tmp_path / FILE).exists()


def test_sigterm_saves_the_step_and_the_same_command_goes_on(uninterrupted, tmp_path):
    done = start(tmp_path, "term:7")
    assert done.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in done.stdout
    state = Checkpoint(tmp_path / FILE).progress
    assert (state.epoch, state.step) == (1, 2)
    assert len(state.history) == 1
    killed.run(tmp_path)
    for one, other in zip(weights(uninterrupted), weights(tmp_path), strict=True):
        np.testing.assert_array_equal(one, other)
