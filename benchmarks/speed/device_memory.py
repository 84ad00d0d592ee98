"""The memory of a GPU that a process takes at its peak, asked of the library that runs there."""

import sys


def on_gpu() -> int | None:
    """Returns the highest number of bytes that were in use at once, or `None` without a GPU.

    The library of the backend is asked, since others may be imported too. What it reserved
    beyond what it used does not count.
    """
    backend = None
    if "keras" in sys.modules:
        backend = sys.modules["keras"].config.backend()
    if backend == "jax":
        import jax

        if jax.default_backend() != "gpu":
            return None
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    if backend == "tensorflow":
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            return None
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.max_memory_allocated())
