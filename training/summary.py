"""What a training leaves behind in numbers: `summary.json`."""

import importlib.metadata
import os
import platform
import sys
from typing import Any

import keras

import keras_poolformer


def versions() -> dict[str, str]:
    """Returns the versions of what a result depends on."""
    names = ("keras", keras.config.backend(), "numpy", "tensorflow", "keras-cv")
    return {
        "keras_poolformer": keras_poolformer.__version__,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        **{name: importlib.metadata.version(name) for name in names},
    }


def machine() -> dict[str, Any]:
    """Returns what the training ran on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "devices": _devices(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def _devices() -> list[str]:
    """Names of the accelerators, or of the CPU, as the backend calls them."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
        return [str(name) for name in names] or ["cpu"]
    if keras.config.backend() == "jax":
        import jax

        return [device.device_kind for device in jax.devices()]
    import torch

    count = torch.cuda.device_count()
    return [torch.cuda.get_device_name(index) for index in range(count)] or ["cpu"]
