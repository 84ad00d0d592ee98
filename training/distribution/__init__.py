"""Several devices and machines, on the engines that Keras's backends bring."""

from training.distribution.workers import Workers, connect

__all__ = ["Workers", "connect"]
