"""What a launcher wrote into the environment: which of how many processes this one is."""

import json
import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Launch:
    """This process among those that train together.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
        local_rank: Its number on this host.
        local_count: How many there are on this host.
        address: Host and port of the first process, or `None` where the engine
            finds it itself.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    address: str | None = None


def read_launch(backend: str) -> Launch:
    """Returns what the launcher of a backend said, or a lone process if there was none.

    Args:
        backend: `"tensorflow"`, `"jax"` or `"torch"`.

    Raises:
        ValueError: if a variable is missing or wrong, or if the launcher is another
            backend's: each process would take itself for the only one.
    """
    launches = {
        "torch": ("torchrun", _torchrun()),
        "tensorflow": ("TF_CONFIG", _tf_config()),
        "jax": ("KERAS_DISTRIBUTION_NUM_PROCESSES", _keras_distribution()),
    }
    for other, (launcher, launch) in launches.items():
        if other != backend and launch.count > 1:
            raise ValueError(
                f"`KERAS_BACKEND` must be {other!r} for the {launch.count} processes that "
                f"{launcher} starts. Received: {backend!r}"
            )
    return launches[backend][1]


def _torchrun() -> Launch:
    """https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables"""
    if "RANK" not in os.environ or _integer("WORLD_SIZE", 1) == 1:
        return Launch()
    return Launch(
        _integer("RANK"),
        _integer("WORLD_SIZE"),
        _integer("LOCAL_RANK"),
        _integer("LOCAL_WORLD_SIZE"),
    )


def _tf_config() -> Launch:
    """https://www.tensorflow.org/guide/distributed_training#setting_up_the_tf_config_environment_variable"""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return Launch()
    try:
        config: dict[str, Any] = json.loads(text)
        cluster = {kind: list(addresses) for kind, addresses in config["cluster"].items()}
        kind, index = config["task"]["type"], int(config["task"]["index"])
        if not set(cluster) <= {"chief", "worker"}:
            raise ValueError(f"has {sorted(set(cluster) - {'chief', 'worker'})}")
        cluster[kind][index]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(
            '`TF_CONFIG` must be {"cluster": {"worker": ["host:port", ...]}, "task": {"type": '
            f'"worker", "index": 0}}}}, with workers and at most a chief. Received: {text}'
        ) from error
    chiefs = cluster.get("chief", [])
    rank = index if kind == "chief" else len(chiefs) + index
    return Launch(rank, sum(len(addresses) for addresses in cluster.values()))


def _keras_distribution() -> Launch:
    """https://keras.io/api/distribution/#initialize-function"""
    prefix = "KERAS_DISTRIBUTION_"
    names = [prefix + name for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")]
    missing = [name for name in names if name not in os.environ]
    if len(missing) == len(names):
        return Launch()
    if missing:
        raise ValueError(f"`{missing[0]}` must be set, as the others of {names} are")
    count, rank = _integer(names[1]), _integer(names[2])
    addresses = os.environ[names[0]].split(",")
    if len(addresses) not in (1, count):
        raise ValueError(
            f"`{names[0]}` must have the address of the first process, or those of all {count}. "
            f"Received: {os.environ[names[0]]}"
        )
    if not 0 <= rank < count:
        raise ValueError(f"`{names[2]}` must be in [0, {count}). Received: {rank}")
    return Launch(rank, count, address=addresses[0])


def _integer(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"`{name}` must be an integer. Received: {text!r}") from None
