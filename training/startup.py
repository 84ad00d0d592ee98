"""The start of Keras and of TensorFlow, without their messages."""

import importlib.util
import os


def start() -> None:
    """Imports Keras, and TensorFlow, whose `tf.data` reads the images on every backend.

    Unless TensorFlow is also Keras's backend it must not see the GPU, of which it
    would take all memory. If it is, its devices are not started yet: they can be
    divided and connected until then. Evaluation of folders needs no TensorFlow.
    """
    from training.quiet import quiet

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet():
        import keras

        if importlib.util.find_spec("tensorflow") is None:
            return
        import tensorflow as tf

        if keras.config.backend() == "tensorflow":
            tf.config.list_physical_devices("GPU")  # looks for a GPU now, and complains now
        else:
            tf.config.set_visible_devices([], "GPU")
            tf.config.list_logical_devices()


def backend() -> str:
    """Returns the name of Keras's backend."""
    import keras

    return keras.config.backend()
