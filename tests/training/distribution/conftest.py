"""Starts the processes of a job, and its runs that several tests look at."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.distribution.job import run
from training.distribution.workers import Workers

ROOT = Path(__file__).parents[3]
SECONDS = 150
JOB = "tests.training.distribution.job"


@dataclass
class Result:
    """What one process of a job wrote."""

    measured: dict
    weights: list


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environments(count):
    """The variables that a launcher sets for each process, on this machine's CPU."""
    ports = [free_port() for _ in range(count)]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    common = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}
    for rank in range(count):
        own = {
            "tensorflow": {
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": rank}}
                )
            },
            "jax": {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": hosts[0],
                "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
                "KERAS_DISTRIBUTION_PROCESS_ID": str(rank),
            },
            "torch": {},  # torchrun's task
        }[keras.config.backend()]
        yield {**os.environ, **common, **(own if count > 1 else {})}


def launch(output, module, arguments, processes=1):
    """Starts `python -m module arguments` in every process; each prints into a file."""
    command = [sys.executable, "-m", module, *arguments]
    variables = list(environments(processes))
    if keras.config.backend() == "torch" and processes > 1:
        torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
        command[2:2] = torchrun
        variables = variables[:1]  # it starts them all
    running = []
    for number, environment in enumerate(variables):
        with (output / f"{number}.txt").open("w") as file:
            running.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
            )
    return running


def finish(output, running):
    """Waits for processes and returns their exit codes and what was printed."""
    try:
        codes = [process.wait(SECONDS) for process in running]
    finally:
        for process in running:
            process.kill()
    texts = [path.read_text() for path in sorted(output.glob("*.txt"))]
    return codes, "\n".join(texts)


def start(output, processes=1, **options):
    """Runs the job to its end and returns the exit codes and what was printed."""
    return finish(output, launch(output, JOB, [str(output), json.dumps(options)], processes))


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
