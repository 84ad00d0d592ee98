"""What launchers write into the environment."""

import json

import keras
import pytest

from training.distribution import connect
from training.distribution.launch import Launch, read_launch

VARIABLES = [
    *["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TF_CONFIG"],
    *[f"KERAS_DISTRIBUTION_{n}" for n in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")],
]
TORCHRUN = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "8"}


def tf_config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def keras_distribution(addresses="a:1", processes="2", process="1"):
    return {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": addresses,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": processes,
        "KERAS_DISTRIBUTION_PROCESS_ID": process,
    }


@pytest.fixture
def launched(monkeypatch):
    """Sets the variables of a launcher, and no others."""

    def launched(variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return launched


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_without_a_launcher_there_is_one_process(backend, launched):
    launched({})
    assert read_launch(backend) == Launch(rank=0, count=1)


def test_torchrun(launched):
    launched(TORCHRUN)
    assert read_launch("torch") == Launch(9, 16, local_rank=1, local_count=8)


@pytest.mark.parametrize(
    ("kind", "index", "expected"),
    [("worker", 1, Launch(1, 2)), ("worker", 0, Launch(0, 2))],
)
def test_tf_config(kind, index, expected, launched):
    launched(tf_config({"worker": ["a:1", "b:1"]}, kind, index))
    assert read_launch("tensorflow") == expected


@pytest.mark.parametrize(("kind", "rank"), [("chief", 0), ("worker", 2)])
def test_the_chief_of_tf_config_comes_first(kind, rank, launched):
    launched(tf_config({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, kind, max(rank - 1, 0)))
    assert read_launch("tensorflow") == Launch(rank, 3)


@pytest.mark.parametrize("addresses", ["a:1", "a:1,b:1"])
def test_keras_distribution(addresses, launched):
    launched(keras_distribution(addresses))
    assert read_launch("jax") == Launch(1, 2, address="a:1")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TF_CONFIG": "{"}, "`TF_CONFIG` must be"),
        (tf_config({"worker": ["a:1"]}, index=1), "`TF_CONFIG` must be"),
        (tf_config({"worker": ["a:1"], "ps": ["b:1"]}), "at most a chief"),
    ],
)
def test_a_wrong_tf_config_is_refused(variables, message, launched):
    launched(variables)
    with pytest.raises(ValueError, match=message):
        read_launch("tensorflow")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"KERAS_DISTRIBUTION_PROCESS_ID": "0"}, "`KERAS_DISTRIBUTION_JOB_ADDRESSES` must be set"),
        (keras_distribution(processes="two"), "`KERAS_DISTRIBUTION_NUM_PROCESSES` must be an int"),
        (keras_distribution(process="2"), r"PROCESS_ID` must be in \[0, 2\). Received: 2"),
        (keras_distribution("a:1,b:1,c:1"), "those of all 2"),
    ],
)
def test_wrong_keras_distribution_variables_are_refused(variables, message, launched):
    launched(variables)
    with pytest.raises(ValueError, match=message):
        read_launch("jax")


@pytest.mark.parametrize(
    ("variables", "owner", "launcher"),
    [
        (TORCHRUN, "torch", "torchrun"),
        (tf_config({"worker": ["a:1", "b:1"]}), "tensorflow", "TF_CONFIG"),
        (keras_distribution(), "jax", "KERAS_DISTRIBUTION_NUM_PROCESSES"),
    ],
)
def test_the_launcher_of_another_backend_is_refused(variables, owner, launcher, launched):
    """Each process would otherwise train alone, and write over the others' results."""
    launched(variables)
    for backend in {"tensorflow", "jax", "torch"} - {owner}:
        with pytest.raises(ValueError, match=f"must be '{owner}' for .* {launcher} starts"):
            read_launch(backend)


def test_without_a_launcher_one_device_is_used(launched, monkeypatch):
    launched({})
    if keras.config.backend() == "torch":
        assert connect().replicas == 1
    else:  # whose GPUs, if there are any, are all used
        assert (connect(1).rank, connect(1).count, connect(1).replicas) == (0, 1, 1)


def test_too_many_devices_are_refused(launched):
    launched({})
    keras.ops.zeros(()) + 1  # the engine runs
    message = {
        "torch": "start them with torchrun --nproc-per-node=512 -m training.train",
        "tensorflow": "`devices` must be .* Received: 512",
        "jax": "`devices` must be .* Received: 512",
    }[keras.config.backend()]
    with pytest.raises(ValueError, match=message):
        connect(512)


def test_no_device_is_refused(launched):
    launched({})
    with pytest.raises(ValueError, match="`devices` must be at least 1. Received: 0"):
        connect(0)
