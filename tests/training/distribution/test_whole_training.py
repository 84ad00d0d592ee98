"""`python -m training.train` in two processes, stopped on the way and started again."""

import json
import time

import pytest

from tests.training.distribution.processes import SECONDS, finish, launch
from training.checkpoint import FILE, Checkpoint

pytestmark = pytest.mark.slow  # four processes, each with its start and its compilation


def test_two_processes_stop_together_and_go_on(tmp_path):
    run = tmp_path / "run"
    options = {"--recipe": "digits", "--limit": "1077", "--epochs": "2", "--output": str(run)}
    arguments = [part for option in options.items() for part in option]
    arguments += ["--set", "warmup_epochs=1", "--set", "checkpoint_minutes=0"]

    running = launch(tmp_path, "training.train", arguments, 2)
    began = time.monotonic()
    while not (run / FILE).is_file() and time.monotonic() - began < SECONDS:
        time.sleep(0.05)
    running[-1].terminate()  # one of them, or torchrun, which tells both
    codes, text = finish(tmp_path, running)
    assert all(codes), text[-8000:]
    assert "the state is saved" in text
    progress = Checkpoint(run / FILE).progress
    assert (progress.epoch, progress.step) < (2, 0)
    assert not (run / "summary.json").exists()

    codes, text = finish(tmp_path, launch(tmp_path, "training.train", arguments, 2))
    assert not any(codes), text[-8000:]
    assert f"Go on after epoch {progress.epoch}, step {progress.step}" in text
    summary = json.loads((run / "summary.json").read_text())
    assert summary["workers"] == {"processes": 2, "devices": 2}
    assert summary["epochs"] == 2
    assert summary["test_accuracy"] > 0.5
