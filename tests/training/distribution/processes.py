"""Starts several processes of one program, as launchers do."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras

ROOT = Path(__file__).parents[3]
SECONDS = 150
JOB = "tests.training.distribution.job"


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
