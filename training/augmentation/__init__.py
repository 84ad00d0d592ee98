"""Random changes of training images: the paper's, each in a file of its own."""

from training.augmentation.augmentation import Augmentation

__all__ = ["Augmentation"]
