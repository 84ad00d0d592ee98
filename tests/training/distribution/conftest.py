"""Starts the processes of a job, and its runs that several tests look at."""

import json
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from tests.training.distribution.job import run
from tests.training.distribution.processes import start
from training.distribution.workers import Workers


@dataclass
class Result:
    """What one process of a job wrote."""

    measured: dict
    weights: list


def results(output, processes=1, **options):
    codes, text = start(output, processes, **options)
    assert not any(codes), text[-8000:]
    written = []
    for rank in range(processes):
        with np.load(output / f"{rank}.npz") as weights:
            values = [weights[name] for name in weights.files]
        written.append(Result(json.loads((output / f"{rank}.json").read_text()), values))
    return written


@pytest.fixture
def start_job():
    return start


@pytest.fixture(scope="session")
def one_device():
    with keras.device("cpu"):
        measured, model = run(Workers())
    return Result(measured, [keras.ops.convert_to_numpy(w.value) for w in model.weights])


@pytest.fixture(scope="session")
def clipped_and_averaged(tmp_path_factory):
    """One device and two, whose optimizer clips gradients and averages weights."""
    options = {"optimizer": {"global_clipnorm": 0.1, "use_ema": True, "ema_momentum": 0.9}}
    with keras.device("cpu"):
        measured, model = run(Workers(), **options)
    alone = Result(measured, [keras.ops.convert_to_numpy(w.value) for w in model.weights])
    output = tmp_path_factory.mktemp("clipped")
    several = {"processes": 2} if keras.config.backend() == "torch" else {"devices": 2}
    return alone, results(output, **several, **options)


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory):
    """A job of two processes: its folder and what each of them saw."""
    output = tmp_path_factory.mktemp("processes")
    return output, results(output, 2)


@pytest.fixture(scope="session")
def two_devices(tmp_path_factory):
    """A job of one process with two virtual CPUs."""
    if keras.config.backend() == "torch":
        pytest.skip("on torch, each process has one device")
    output = tmp_path_factory.mktemp("devices")
    return output, results(output, devices=2)
